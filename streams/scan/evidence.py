"""What changed, and when: the split of a lane's sums at which the difference is clearest."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_TWO_SIDED = 1.959964


class Split(NamedTuple):
    """A split of panes.

    Attributes
    ----------
    at
        First pane after it.
    before, after
        Means of what came before, but for the pane under way then, and from then on.
    rows
        How many came from then on.
    """

    at: int
    before: float
    after: float
    rows: int


def split(counts: Floats, sums: Floats, *, least: float) -> Split | None:
    """Return where sqrt(k * (n - k) / n) * |difference of means| is largest; `None` if nowhere.

    Parameters
    ----------
    counts, sums
        Of panes in order of time.
    least
        So many rows there must be on either side.

    Examples
    --------
    >>> split(np.full(6, 10.0), np.array([1.0, 2, 1, 5, 6, 5]), least=10)
    Split(at=3, before=0.15, after=0.5333333333333333, rows=30)
    """
    total = counts.sum()
    rows, so_far = counts.cumsum()[:-1], sums.cumsum()[:-1]
    possible = (rows >= least) & (total - rows >= least)
    if not possible.any():
        return None
    rest = np.maximum(total - rows, 1.0)
    before, after = so_far / np.maximum(rows, 1.0), (sums.sum() - so_far) / rest
    mixed = so_far - sums[:-1]  # without the pane in which it changed
    clear = np.where(possible, np.sqrt(rows * rest / total) * np.abs(after - before), -1.0)
    at = int(clear.argmax())
    rest_before = rows[at] - counts[at]
    level = mixed[at] / rest_before if rest_before >= least else before[at]
    return Split(at + 1, float(level), float(after[at]), int(total - rows[at]))


def interval(mean: float, variance: float, rows: int) -> tuple[float, float]:
    """Return the 95 % interval of a mean of so many values, each of that variance.

    Examples
    --------
    >>> [round(end, 3) for end in interval(0.5, 0.25, 100)]
    [0.402, 0.598]
    """
    half = _TWO_SIDED * math.sqrt(variance / max(rows, 1))
    return mean - half, mean + half
