"""What of a window is written again: numbers that moved, and those that are not news in a while.

A window under way changes with every row, most of its metrics by next to nothing. What was written
last is known in memory alone, for as long as a window is looked at often; without it, everything is
written.
"""

from itertools import islice
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.cells.metric_sets import OF_ROWS, Kinds
from streams.cells.publication import Numbers
from streams.cells.schedule import REFRESHES

Rows = NDArray[np.int32]
Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]

MOVED_SHARE = 0.1
"""A value has moved by so much of its interval."""

GROWN_SHARE = 0.05
"""A count has moved by so much."""

ENOUGH = 30
"""A number that rests on fewer observations is not written as soon as there is any of it."""

MOST_KNOWN = 50_000
"""Of so many windows it is known what was written last."""

_METRIC, _VALUE, _LOW, _HIGH, _COUNT, _COVERAGE, _AT_MS = range(7)


class Chosen(NamedTuple):
    """What is written of windows.

    Attributes
    ----------
    numbers
        Which numbers.
    revised
        Of which windows something is.
    whole
        Of which windows nothing is left that has changed.
    """

    numbers: Mask
    revised: Mask
    whole: Mask


def moved(now: Floats, last: Floats) -> Mask:
    """Tell which numbers have moved by what their own uncertainty makes worth telling.

    What has no interval is exact, as the number of predictions is: any change is worth it.

    Parameters
    ----------
    now, last
        Rows are the columns of `Numbers` but the window; what was written last may be NaN.

    Examples
    --------
    >>> now = np.array([[7, 7, 7], [0.30, 0.33, 0.30], [0.2] * 3, [0.4] * 3, [100, 100, 106]])
    >>> last = now.copy()
    >>> last[1], last[4] = 0.30, 100
    >>> moved(now, last).tolist()
    [False, True, True]
    """
    width = now[_HIGH] - now[_LOW]
    far = np.abs(now[_VALUE] - last[_VALUE]) > MOVED_SHARE * np.nan_to_num(width)
    found: Mask = far | (np.abs(now[_COUNT] - last[_COUNT]) > GROWN_SHARE * last[_COUNT])
    return found


class Revisions:
    """What was written last of windows of one size, by row."""

    def __init__(self) -> None:
        self._last: dict[int, Floats] = {}

    def choose(
        self,
        rows: Rows,
        numbers: Numbers,
        coverage: Floats,
        *,
        final: Mask,
        begun: Mask,
        paid: Mask,
        kinds: Kinds,
        now_ms: int,
        refresh_ms: int,
    ) -> Chosen:
        """Choose what is written of windows; of those that are final, everything.

        Parameters
        ----------
        coverage
            Of every window.
        begun
            Of which windows something was written before.
        paid
            Which windows have the rows for what is written of them, see `Spending`. Numbers of
            others, and the first of few observations, are put off; counts and hosts are not.
        kinds
            Of numbers, see `MetricSets.kinds`.
        refresh_ms
            A number that has changed, however little, is written after so long, and after
            `REFRESHES` times that where it is put off; 0: now.
        """
        window, count = numbers.window, len(rows)
        now = np.empty((7, len(window)))
        now[: _COUNT + 1] = numbers[1:]
        now[_COVERAGE], now[_AT_MS] = coverage[window], now_ms
        bounds = np.searchsorted(window, np.arange(count + 1)).tolist()
        last, known = self._recall(rows, now, bounds)
        known = (known | ~begun) & ~final
        fresh = ~known[window]
        same = (now == last) | (np.isnan(now) & np.isnan(last))
        changed = ~same[:_AT_MS].all(axis=0)
        never = np.isnan(last[_COUNT])
        unseen = np.isnan(last[_AT_MS])
        last[_METRIC], last[_AT_MS, unseen] = now[_METRIC], now_ms
        prompt = kinds != OF_ROWS
        few = never & (now[_COUNT] < ENOUGH)
        put_off = ~prompt & (few | ~paid[window])
        age_ms = now_ms - last[_AT_MS]
        rested = ~((age_ms >= 0) & (age_ms < refresh_ms * np.where(put_off, REFRESHES, 1)))
        due = rested | (~put_off & (never | moved(now, last)))
        wanted = fresh | (changed & due)
        self._remember(rows, np.where(wanted, now, last), bounds, final)
        return Chosen(
            wanted,
            revised=~known | ~begun | (np.bincount(window[wanted], minlength=count) > 0),
            whole=np.bincount(window[changed & ~wanted], minlength=count) == 0,
        )

    def _recall(self, rows: Rows, now: Floats, bounds: list[int]) -> tuple[Floats, Mask]:
        """Return what was written last, as far as it is known, and of which windows it is."""
        last, known = np.full(now.shape, np.nan), np.zeros(len(rows), np.bool_)
        for place, row in enumerate(rows.tolist()):
            own = self._last.pop(row, None)
            if own is None:
                continue
            here = slice(bounds[place], bounds[place + 1])
            known[place] = True
            if (
                own.shape[1] == here.stop - here.start
                and (own[_METRIC] == now[_METRIC, here]).all()
            ):
                last[:, here] = own
            else:
                _, old, new = np.intersect1d(own[_METRIC], now[_METRIC, here], return_indices=True)
                last[:, here.start + new] = own[:, old]
        return last, known

    def _remember(self, rows: Rows, written: Floats, bounds: list[int], final: Mask) -> None:
        for place, (row, ended) in enumerate(zip(rows.tolist(), final.tolist(), strict=True)):
            if not ended:
                self._last[row] = written[:, bounds[place] : bounds[place + 1]].copy()
        for row in list(islice(self._last, max(len(self._last) - MOST_KNOWN, 0))):
            del self._last[row]

    def forget(self, rows: Rows) -> None:
        """Forget what was written: the rows are, or will be, of other windows."""
        for row in rows.tolist():
            self._last.pop(row, None)
