"""What monitoring costs, by kind of work, by monitor and by model.

Work is done for all models at once, so its time is measured by kind. A model's share of it goes by
what was done for it: rows that were counted, values that detectors saw, windows that were
published.

Times are CPU times of the calling thread. On the wall, a worker beside three others on two cores
took twice as long for the same work, and its parts were more than all the CPU time that it had.
What other threads do (Kafka's clients, a numerical library's pool) is not in here; whoever knows
the CPU time of the whole process finds it in what is left.
"""

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from streams.grouping import distinct


class Spent:
    """CPU seconds by kind of work.

    Examples
    --------
    >>> spent = Spent()
    >>> with spent.on("waiting"):
    ...     time.sleep(0.2)
    >>> spent.seconds["waiting"] < 0.1
    True
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    @contextmanager
    def on(self, kind: str) -> Iterator[None]:
        """Count the CPU time that the block takes on this thread.

        Each kind belongs to one thread: two that add to the same could lose what one of them adds.
        """
        started_s = time.thread_time()
        try:
            yield
        finally:
            self.seconds[kind] += time.thread_time() - started_s


class Costs(Spent):
    """What one partition of the monitor has cost since it was opened.

    Attributes
    ----------
    values, windows
        By code of the model: values fed to detectors, windows published.
    monitors
        By name of a drift monitor: seconds, and values that it saw; those of the scan, which look
        at the same sums, are one, and see rows.
    """

    COUNTING, ORDERED, PUBLISHING, WRITING = "counting", "in order", "publishing", "writing state"

    def __init__(self) -> None:
        super().__init__()
        self._rows = np.zeros(0, np.int64)
        self.values: dict[int, int] = defaultdict(int)
        self.windows: dict[int, int] = defaultdict(int)
        self.monitors: dict[str, tuple[float, int]] = {}

    def count_rows(self, models: NDArray[np.integer]) -> list[int]:
        """Count rows, of which the model of each is given; return the models."""
        codes, places = distinct(models)
        if len(codes):
            more = int(codes[-1]) + 1 - len(self._rows)
            if more > 0:
                self._rows = np.append(self._rows, np.zeros(more + more // 2, np.int64))
            self._rows[codes] += np.bincount(places)
        found: list[int] = codes.tolist()
        return found

    @property
    def rows(self) -> dict[int, int]:
        """By code of the model, rows that were counted."""
        codes = np.flatnonzero(self._rows)
        return dict(zip(codes.tolist(), self._rows[codes].tolist(), strict=True))

    def count_values(self, models: NDArray[np.integer], counts: NDArray[np.integer]) -> None:
        """Count values that detectors have seen, of models that come once each."""
        for code, count in zip(models.tolist(), counts.tolist(), strict=True):
            self.values[code] += count

    def drop(self, code: int) -> None:
        """Forget a model."""
        self._rows[code : code + 1] = 0
        for units in (self.values, self.windows):
            units.pop(code, None)

    def now_s(self) -> float:
        """Return when something starts, for `fed`, in CPU time of this thread."""
        return time.thread_time()

    def fed(self, monitor: str, *, started_s: float, values: int) -> None:
        """Count values that a monitor has just seen; `started_s` is of `now_s`."""
        seconds, before = self.monitors.get(monitor, (0.0, 0))
        self.monitors[monitor] = seconds + self.now_s() - started_s, before + values

    def of_models(self) -> dict[int, float]:
        """Return the estimated seconds of every model, by its code."""
        seconds: dict[int, float] = defaultdict(float)
        for kinds, units in (
            ((self.COUNTING,), self.rows),
            ((self.ORDERED,), self.values or self.rows),
            ((self.PUBLISHING, self.WRITING), self.windows),
        ):
            total = sum(self.seconds[kind] for kind in kinds)
            each = total / (sum(units.values()) or 1)
            for code, count in units.items():
                seconds[code] += each * count
        return seconds
