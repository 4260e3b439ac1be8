"""Where the values of a feature lie, and how many different ones there are: of bins."""

import math
from collections.abc import Iterator

import numpy as np

from streams.families.distribution import Distribution
from streams.families.family import (
    FEATURE,
    ON_PREDICTIONS,
    PREDICTIONS,
    Cells,
    Estimate,
    Family,
    Floats,
    Ints,
    Metric,
    Part,
)
from streams.families.histograms import (
    group_sums,
    pair_values,
    quantile_estimates,
    quantiles,
)
from streams.families.intervals import wilson

_SHARES = {"feature_p05": 0.05, "feature_p50": 0.5, "feature_p95": 0.95}
_ENDS = {"min": 0.0, "max": 1.0}


def _metric(name: str, text: str, **more: object) -> Metric:
    found: dict[str, object] = {
        "part": Part.FEATURE,
        "rests_on": ON_PREDICTIONS,
        "at_most": "predictions",
        "default": False,
        **more,
    }
    return Metric(name=name, help=text, **found)  # type: ignore[arg-type]


class FeatureValues(Family):
    """Quantiles and ends of numbers, the most frequent value, and the number of different ones."""

    name = "feature_values"
    reads, scope = PREDICTIONS, FEATURE
    uses = (Distribution,)
    metrics = (
        *(
            _metric(
                name,
                f"{share:.0%} quantile of a numeric feature, within 0.8 %",
                interval="ranks",
                lowest=-math.inf,
                source="Conover (1999), §3.2",
            )
            for name, share in _SHARES.items()
        ),
        *(
            _metric(name, f"{text} value of a numeric feature, within 0.8 %", lowest=-math.inf)
            for name, text in (("min", "least"), ("max", "largest"))
        ),
        _metric(
            "top_share",
            "share of the most frequent value of a feature, numbers and texts; numbers that differ"
            " by less than 1.6 % may count as one",
            interval="Wilson",
            highest=1.0,
            source="Wilson (1927)",
        ),
        _metric(
            "distinct",
            "how many different values a feature has, numbers and texts; numbers that differ by"
            " less than 1.6 % may count as one",
            grows=True,
        ),
    )

    def compute(self, cells: Cells) -> Iterator[Estimate]:
        numbers = _present(cells.entries("bins"))
        if len(numbers[0]):
            yield from _places(cells, numbers)
        if cells.wants("top_share", "distinct"):
            yield from _variety(cells.groups, numbers, _present(cells.entries("texts")))


_Entries = tuple[Ints, Ints, Ints]


def _present(entries: _Entries) -> _Entries:
    """Leave out what was taken back."""
    there = entries[2] > 0
    group, number, count = (column[there] for column in entries)
    return group, number, count


def _places(cells: Cells, numbers: _Entries) -> Iterator[Estimate]:
    """Yield quantiles and ends."""
    wanted = [(name, share) for name, share in _SHARES.items() if cells.wants(name)]
    if wanted:
        yield from quantile_estimates(wanted, numbers, cells.groups, values=pair_values)
    if cells.wants(*_ENDS):
        size = group_sums(numbers[0], numbers[2], cells.groups)
        shares: Floats = np.tile(np.array(list(_ENDS.values())), (cells.groups, 1))
        found = quantiles(numbers, shares, size, values=pair_values)
        for name, value in zip(_ENDS, found.T, strict=True):
            yield Estimate(name, value, None, None, size)


def _variety(groups: int, *sides: _Entries) -> Iterator[Estimate]:
    """Yield the share of the most frequent value, and how many different ones there are."""
    top, distinct, size = np.zeros((3, groups), np.int64)
    for group, _, count in sides:
        np.maximum.at(top, group, count)
        distinct += np.bincount(group, minlength=groups)
        size += group_sums(group, count, groups)
    with np.errstate(all="ignore"):
        share = np.where(size > 0, top / size, np.nan)
    yield Estimate("top_share", share, *wilson(top, size), size)
    yield Estimate("distinct", np.where(size > 0, distinct, np.nan), None, None, size)
