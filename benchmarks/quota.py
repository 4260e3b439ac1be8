"""A part of a core for a process, by the CPU controller of Linux's control groups; it takes root.

On a machine without cores to spare for the broker, two workers compete with it, and with each
other. What a second worker adds shows where none of them may use more than a part of a core.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")
_PERIOD_US = 20_000


class Quota:
    """A group of processes that may use a part of a core, all together."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def add(self, pid: int) -> None:
        """Let it hold for a process, its threads, and the processes that it starts."""
        (self._folder / "cgroup.procs").write_text(str(pid))


@contextmanager
def quota(cores: float, *, root: Path = _ROOT) -> Iterator[Quota]:
    """Make a group for processes that end before the block does.

    Parameters
    ----------
    cores
        How many they may use: 0.4 is 40 % of one.

    Raises
    ------
    OSError
        If the system has no such groups, or does not let this user make one.
    """
    limit_us = str(round(cores * _PERIOD_US))
    newer = (root / "cgroup.controllers").exists()
    if newer:
        (root / "cgroup.subtree_control").write_text("+cpu")
    folder = (root if newer else root / "cpu") / f"driftline-{os.getpid()}-{os.urandom(4).hex()}"
    folder.mkdir()
    try:
        if newer:
            (folder / "cpu.max").write_text(f"{limit_us} {_PERIOD_US}")
        else:
            (folder / "cpu.cfs_period_us").write_text(str(_PERIOD_US))
            (folder / "cpu.cfs_quota_us").write_text(limit_us)
        yield Quota(folder)
    finally:
        with suppress(OSError):
            folder.rmdir()
