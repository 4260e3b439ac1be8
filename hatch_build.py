"""Compile what is written in C when driftline is installed, where there is a C compiler.

Without one, or if `DRIFTLINE_COMPILE=0` is set, driftline is installed all the same: everything
that is compiled has a twin in Python. `driftline worker` says at its start which one runs.
"""

import os
import shutil
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

LIBRARIES = {
    "streams/_columns.so": "streams/columns.c",
    "streams/columns/_kernels.so": "streams/columns/kernels.c",
    "agents/_fetching.so": "agents/fetching.c",
}
_FLAGS = ("-O3", "-std=gnu11", "-shared", "-fPIC", "-Wall")
_COMPILERS = ("cc", "gcc", "clang")


class CompileHook(BuildHookInterface):  # type: ignore[type-arg]
    """Add the compiled libraries, and the wheel that `driftline/` is in, to what is installed."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile; an interface of hatchling."""
        if self.target_name != "wheel":
            return
        if version != "editable":  # in a checkout, `driftline/` is there
            build_data["dependencies"].append(f"driftline-client=={self.metadata.version}")
        if not all(map(self._compile, LIBRARIES)):
            return
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform}"  # it knows nothing of Python
        build_data["force_include"] |= {str(Path(self.root, name)): name for name in LIBRARIES}

    def _compile(self, name: str) -> bool:
        library = Path(self.root, name)
        library.unlink(missing_ok=True)  # what an older source gave
        compiler = os.environ.get("CC") or next(filter(shutil.which, _COMPILERS), None)
        if compiler is None or os.environ.get("DRIFTLINE_COMPILE") == "0":
            self.app.display_warning("driftline: nothing is compiled; it will be slower")
            return False
        # Compiled beside and moved, so that a worker that runs keeps the library it has.
        fresh = library.with_suffix(".new")
        command = [
            *compiler.split(),
            *_FLAGS,
            "-o",
            str(fresh),
            str(Path(self.root, LIBRARIES[name])),
        ]
        found = subprocess.run(command, capture_output=True, text=True, check=False)
        if found.returncode:
            reason = found.stderr.strip()[-500:]
            self.app.display_warning(f"driftline: not compiled, it will be slower: {reason}")
            return False
        fresh.replace(library)
        return True
