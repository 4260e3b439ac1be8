"""The version of driftline that is installed."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def installed_version() -> str:
    """Return the version, or ``0+unknown`` for a source tree that was never installed."""
    try:
        return version("driftline")
    except PackageNotFoundError:
        return "0+unknown"
