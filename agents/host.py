"""What `driftline watch-host` reads of a machine and of processes, by the fields of a reading.

What cannot be read is absent, never zero. What is counted, such as bytes, is divided by the time
since the reading before: a first reading lacks that.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psutil

from agents.cgroups import CgroupCounts, read_cgroup
from agents.resources import used_bytes

logger = logging.getLogger(__name__)

_GONE = (psutil.Error, OSError, AttributeError, ValueError, ZeroDivisionError)
"""What sensors raise that are not there, or no more; psutil lacks some on other systems."""


class Rates:
    """How fast counts grow; nothing is told of one that was not there before, or has begun anew.

    Examples
    --------
    >>> rates = Rates()
    >>> rates.of({"sent": 100}, at_s=1.0), rates.of({"sent": 700}, at_s=3.0)
    ({}, {'sent': 300.0})
    >>> rates.of({"sent": 5}, at_s=4.0)
    {}
    """

    def __init__(self) -> None:
        self._before: Mapping[str, float] = {}
        self._at_s = 0.0

    def of(self, counts: Mapping[str, float | None], *, at_s: float) -> dict[str, float]:
        """Return how much each has grown in a second since the last call."""
        known = {name: count for name, count in counts.items() if count is not None}
        before, passed_s = self._before, at_s - self._at_s
        self._before, self._at_s = known, at_s
        if passed_s <= 0:
            return {}
        grown = {name: now - before[name] for name, now in known.items() if name in before}
        return {name: count / passed_s for name, count in grown.items() if count >= 0}


class Host:
    """Reads a machine.

    Parameters
    ----------
    disk
        A path on the file system whose fill level is told.
    """

    def __init__(self, *, disk: Path) -> None:
        self._disk, self._rates = disk, Rates()
        self.read(at_s=time.monotonic())  # so that the next reading has something to go by

    def read(self, *, at_s: float) -> dict[str, Any]:
        """Return what can be read, by field; `at_s` is the monotonic clock."""
        readers: dict[str, Callable[[], float]] = {
            "cpu_utilization": lambda: psutil.cpu_percent() / 100,
            "load_average_1m": lambda: psutil.getloadavg()[0],
            "memory_utilization": lambda: used_bytes() / psutil.virtual_memory().total,
            "swap_utilization": lambda: psutil.swap_memory().percent / 100,
            "disk_utilization": lambda: psutil.disk_usage(str(self._disk)).percent / 100,
        }
        disks: Callable[[], Any] = psutil.disk_io_counters  # None where there are none
        counters: dict[str, Callable[[], float]] = {
            "disk_read_bytes_per_second": lambda: disks().read_bytes,
            "disk_write_bytes_per_second": lambda: disks().write_bytes,
            "network_receive_bytes_per_second": lambda: psutil.net_io_counters().bytes_recv,
            "network_send_bytes_per_second": lambda: psutil.net_io_counters().bytes_sent,
        }
        return _read(readers) | self._rates.of(_read(counters), at_s=at_s)


class Watched:
    """Reads a process, and the control group that it is in.

    Raises
    ------
    psutil.NoSuchProcess
        If there is none of that number.
    """

    def __init__(self, pid: int, *, root: Path = Path("/")) -> None:
        self.pid = pid
        self._process, self._root, self._rates = psutil.Process(pid), root, Rates()
        self.read(at_s=time.monotonic())

    @property
    def is_there(self) -> bool:
        """Whether it runs; another process that got its number does not count."""
        try:
            return self._process.is_running() and self._process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False

    def read(self, *, at_s: float) -> dict[str, Any]:
        """Return what can be read, by field; nothing of a process that is gone."""
        if not self.is_there:
            return {}
        process = self._process
        found = _read(
            {
                "process_memory_bytes": lambda: process.memory_info().rss,
                "process_threads": process.num_threads,
                "process_open_fds": process.num_fds,
            }
        )
        counts = _read({"process_cpu_cores": lambda: sum(process.cpu_times()[:2])})
        group = read_cgroup(self.pid, root=self._root)
        rates = self._rates.of({**counts, **_counts(group)}, at_s=at_s)
        shares = _of_group(group, rates)
        return {**found, **rates, **shares}


def _counts(group: CgroupCounts) -> dict[str, float | None]:
    return {
        "cgroup_cpu_cores": group.cpu_s,
        "periods": group.periods,
        "throttled": group.throttled_periods,
    }


def _of_group(group: CgroupCounts, rates: dict[str, float]) -> dict[str, float]:
    """Return what there is of a group; takes what is no field out of `rates`."""
    found: dict[str, float] = {}
    if group.memory_bytes is not None and group.memory_limit_bytes:
        found["cgroup_memory_utilization"] = min(group.memory_bytes / group.memory_limit_bytes, 1.0)
    periods, throttled = rates.pop("periods", 0.0), rates.pop("throttled", 0.0)
    if periods > 0:
        found["cgroup_cpu_throttled"] = min(throttled / periods, 1.0)
    return found


def _read(readers: Mapping[str, Callable[[], float]]) -> dict[str, float]:
    found = {}
    for name, read in readers.items():
        try:
            found[name] = float(read())
        except _GONE as error:
            logger.debug("%s not read: %s", name, error)
    return found
