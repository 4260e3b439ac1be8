"""The kernels of the column store touch nothing that is not theirs, and do nothing undefined."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "streams" / "columns" / "kernels.c"
FLAGS = ("-O1", "-g", "-std=gnu11", "-shared", "-fPIC", "-fsanitize=address,undefined")
TESTS = ("test_columns.py", "test_packed_rows.py", "test_column_limits.py", "test_joined.py")
RUN = """
import sys
from pathlib import Path

import pytest

from streams.columns import kernels

kernels.LIBRARY = Path(sys.argv[1])
kernels._library = kernels._load()
kernels.available = kernels._library is not None
assert kernels.available
if sys.argv[2] == "broken":  # a row that has not the room which it is said to have
    import numpy as np

    kernels.call("driftline_merged_32", np.zeros(1, np.int64), 9, np.zeros(9, np.int32), 1, 9,
                 np.array([8]), np.zeros(1, np.int32), 1, kernels.progress())
sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", *sys.argv[2:]]))
"""


Sanitized = tuple[Path, dict[str, str]]
"""A library, and the environment that it needs."""


@pytest.fixture(scope="module")
def sanitized(tmp_path_factory: pytest.TempPathFactory) -> Sanitized:
    """Compile with sanitizers; give the library, and the environment that it needs."""
    compiler = next(filter(None, map(shutil.which, ("gcc", "cc"))), None)
    if compiler is None:
        pytest.skip("there is no compiler")
    library = tmp_path_factory.mktemp("sanitized") / "_kernels.so"
    command = [compiler, *FLAGS, "-o", library, SOURCE]
    built = subprocess.run(command, capture_output=True, check=False)
    runtimes = [
        subprocess.run(
            [compiler, f"-print-file-name={name}"], capture_output=True, text=True, check=True
        ).stdout.strip()
        for name in ("libasan.so", "libubsan.so")
    ]
    if built.returncode or not all(Path(name).is_absolute() for name in runtimes):
        pytest.skip("this compiler has no sanitizers")
    options = {
        "LD_PRELOAD": " ".join(runtimes),
        "ASAN_OPTIONS": "detect_leaks=0",  # Python's own
        "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
        "PYTHONMALLOC": "malloc",  # so that small arrays have guards, too
    }
    return library, os.environ | options


def run(
    sanitized: tuple[Path, dict[str, str]], *arguments: str
) -> subprocess.CompletedProcess[str]:
    library, environment = sanitized
    command = [sys.executable, "-c", RUN, str(library), *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.long
def test_sanitizers_find_nothing_in_the_kernels(sanitized: Sanitized) -> None:
    found = run(sanitized, *(f"tests/unit/{name}" for name in TESTS))

    assert found.returncode == 0, (found.stdout + found.stderr)[-4_000:]


@pytest.mark.long
def test_sanitizers_would_find_a_write_outside(sanitized: Sanitized) -> None:
    """Else the test above may have passed without them."""
    found = run(sanitized, "broken")

    assert "ERROR: AddressSanitizer" in found.stderr
