"""What the kernel counts of the control group (version 2) that a process is in."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

_ROOT = Path("/")


class CgroupCounts(NamedTuple):
    """What a control group has used so far, and may use; `None` for what is not counted.

    Attributes
    ----------
    periods, throttled_periods
        Of a group with a limit of processor time.
    memory_limit_bytes
        `None` where there is no limit, too.
    """

    cpu_s: float | None = None
    periods: int | None = None
    throttled_periods: int | None = None
    memory_bytes: int | None = None
    memory_limit_bytes: int | None = None


def read_cgroup(pid: int, *, root: Path = _ROOT) -> CgroupCounts:
    """Read the counts of the group that a process is in.

    What a kernel or container does not show is absent; the first version of control groups is.

    Parameters
    ----------
    root
        Where `proc` and `sys` are.
    """
    lines = (_text(root / "proc" / str(pid) / "cgroup") or "").splitlines()
    own = next((line[3:] for line in lines if line.startswith("0::")), None)
    if own is None:
        return CgroupCounts()
    folder = root / "sys" / "fs" / "cgroup" / own.lstrip("/")
    words = (line.split() for line in (_text(folder / "cpu.stat") or "").splitlines())
    counted = {pair[0]: _number(pair[1]) for pair in words if len(pair) == len(("name", "value"))}
    used_us = counted.get("usage_usec")
    return CgroupCounts(
        None if used_us is None else used_us / 1e6,
        counted.get("nr_periods"),
        counted.get("nr_throttled"),
        _number(_text(folder / "memory.current")),
        _number(_text(folder / "memory.max")),
    )


def _text(file: Path) -> str | None:
    try:
        return file.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return None


def _number(text: str | None) -> int | None:
    """Return a count; `max`, which stands for no limit, is none."""
    stripped = "" if text is None else text.strip()
    return int(stripped) if stripped.isdecimal() else None
