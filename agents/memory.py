"""How much memory a worker may use, and what follows when it nears that.

A worker that reaches its budget ends itself, for it is about to be ended anyway: the kernel would
do it without a word. Both are harmless, since state is in Kafka, and both come again as long as
the state does not fit; but this way the log says so, and the warning comes before.

This file knows no clock and asks no system but for the limits of control groups.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from streams.errors import ConfigError

LOWEST_BYTES = 64 << 20
"""Smallest budget that can be set; a worker without any state takes more."""

WARN_SHARE = 0.8
"""Share of the budget from which on a worker warns."""

AUTO_SHARE = 0.9
"""Share of what there is that is the budget if none is set.

The rest is for what counts against a control group and is no memory of the process, such as
buffers of the kernel: at the whole of it the kernel would always be first.
"""

_WARN_PAUSE_S = 300.0
_UNITS = {
    "": 1,
    "B": 1,
    **{name: 1_000**power for power, name in enumerate(("kB", "MB", "GB", "TB"), 1)},
    **{name: 1_024**power for power, name in enumerate(("KiB", "MiB", "GiB", "TiB"), 1)},
}
_PATTERN = re.compile(r"(\d{1,15}(?:\.\d{1,9})?) ?([A-Za-z]*)")
_ADVICE = (
    "shorten --horizon, spread the partitions over more workers, or raise --memory-budget"
    " where there is more memory"
)


def parse_budget(text: str, setting: str) -> int | None:
    """Turn ``2GiB`` into bytes, ``auto`` into None.

    Raises
    ------
    ConfigError
        If it is neither, or more than 0 and less than `LOWEST_BYTES`.

    Examples
    --------
    >>> parse_budget("1.5GiB", "--memory-budget")
    1610612736
    """
    if text.strip() == "auto":
        return None
    found = _PATTERN.fullmatch(text.strip())
    if found is None or found[2] not in _UNITS:
        raise ConfigError(
            f"{setting}: {text!r} is no size; write auto, 0 for none, or a number and a unit,"
            f" such as 512MiB or 2GiB"
        )
    size_bytes = int(float(found[1]) * _UNITS[found[2]])
    if 0 < size_bytes < LOWEST_BYTES:
        raise ConfigError(f"{setting}: {text!r} is less than {format_bytes(LOWEST_BYTES)}")
    return size_bytes


def format_bytes(size_bytes: int) -> str:
    """Write a size with one decimal at most.

    Examples
    --------
    >>> format_bytes(1610612736), format_bytes(64 << 20), format_bytes(0)
    ('1.5GiB', '64MiB', '0B')
    """
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        if size_bytes >= _UNITS[unit]:
            return f"{size_bytes / _UNITS[unit]:.1f}".removesuffix(".0") + unit
    return f"{size_bytes}B"


def detect_budget(*, host_bytes: int, root: Path = Path("/")) -> int:
    """Return the budget of a process that nobody gave one.

    Parameters
    ----------
    host_bytes
        Memory of the host.
    root
        Where ``proc`` and ``sys`` are.
    """
    return int(AUTO_SHARE * min([host_bytes, *_cgroup_limits(root)]))


def _cgroup_limits(root: Path) -> Iterator[int]:
    """Yield the memory limits of this process's control group and of those around it."""
    with suppress(OSError):
        for line in (root / "proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers == "":  # version 2
                top, name = root / "sys/fs/cgroup", "memory.max"
            elif "memory" in controllers.split(","):
                top, name = root / "sys/fs/cgroup/memory", "memory.limit_in_bytes"
            else:
                continue
            # In a container the path may be the host's, which is not there; its own limit is then
            # that of the top.
            group = top / path.lstrip("/")
            for folder in (group, *group.parents):
                with suppress(OSError, ValueError):  # ValueError: "max", which is no limit
                    yield int((folder / name).read_text())
                if folder == top:
                    break


class Budget:
    """Compare the memory of a process with what it may use.

    Parameters
    ----------
    budget_bytes
        0 means that there is no budget.

    Examples
    --------
    >>> Budget(1000).near(800), Budget(1000).near(799), Budget(0).near(800)
    (True, False, False)
    """

    def __init__(self, budget_bytes: int) -> None:
        self.budget_bytes = budget_bytes
        self._warned_s = float("-inf")

    def near(self, resident_bytes: int) -> bool:
        """Tell whether the budget is nearly used up."""
        return self.budget_bytes > 0 and resident_bytes >= WARN_SHARE * self.budget_bytes

    def warning(self, resident_bytes: int, *, pending: int, now_s: float) -> str | None:
        """Return a line for the log when one is due, which is every few minutes at most."""
        if not self.near(resident_bytes) or now_s - self._warned_s < _WARN_PAUSE_S:
            return None
        self._warned_s = now_s
        return f"{self._state(resident_bytes, pending)}; the worker ends at its budget: {_ADVICE}"

    def verdict(self, resident_bytes: int, *, pending: int) -> str | None:
        """Say that the budget is used up, or None."""
        if not self.budget_bytes or resident_bytes < self.budget_bytes:
            return None
        return f"{self._state(resident_bytes, pending)}: {_ADVICE}"

    def _state(self, resident_bytes: int, pending: int) -> str:
        used, budget = format_bytes(resident_bytes), format_bytes(self.budget_bytes)
        return f"memory: {used} in use of a budget of {budget}, {pending:,} pending predictions"
