"""Take the package `driftline` from beside this folder, or from within it in a source archive."""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class PackageHook(BuildHookInterface):  # type: ignore[type-arg]
    """Say where the package is."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add it, unless it is installed where it is; an interface of hatchling."""
        if version == "editable":
            return
        here = Path(self.root)
        inside = here / "driftline"
        package = inside if inside.is_dir() else here.parent / "driftline"
        files = (one for one in package.rglob("*") if one.suffix in (".py", ".typed"))
        build_data["force_include"] |= {
            str(one): str(one.relative_to(package.parent)) for one in files
        }
