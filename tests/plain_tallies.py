"""Mergeable accumulators: what is counted in a window, before any metric is computed.

Everything here commutes: rows may come in any order, in any batches, and be taken back, and
the tally is the same. `Inputs` counts predictions, `Outcomes` counts labels that took effect.
`add_predictions` and `add_outcomes` count rows into any number of tallies at once.
"""

from collections.abc import Container, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streams import exact_sum
from streams.categories import are_null
from streams.events import ABSENT
from streams.features import Block
from streams.grouping import distinct
from streams.outcomes import Floats, Ints, PredictionRows
from streams.tables import OutcomeColumns
from tests import plain_bins as bins

Weights = NDArray[np.int8] | None

_MEANS = ("error", "absolute", "brier", "log_loss", "class_log_loss")

PARTS = frozenset({"delays", "scores", *_MEANS})
"""What of `Outcomes` need not be merged; the confusion and the counts always are."""

# Of so few rows of a histogram, most have a bin of their own: to count them first saves nothing.
_FEW_ALIKE = 2_000


class Mean:
    """Running mean that forgets nothing and depends on no order."""

    __slots__ = ("count", "squares", "total")

    def __init__(self, count: int = 0, total: int = 0, squares: int = 0) -> None:
        self.count, self.total, self.squares = count, total, squares

    def add(self, count: int, total: int, squares: int) -> None:
        """Add a number of values, their exact sum and that of their squares."""
        self.count += count
        self.total += total
        self.squares += squares

    def merge(self, other: "Mean") -> None:
        """Add another mean in place."""
        self.add(other.count, other.total, other.squares)

    def value(self) -> float:
        """Return the mean, rounded once."""
        return exact_sum.mean(self.total, self.count)

    def mean_of_squares(self) -> float:
        """Return the mean of the squares, rounded once."""
        return exact_sum.mean(self.squares, self.count)

    def pack(self) -> tuple[Any, ...]:
        """Return a form that msgpack can write."""
        if not (self.total or self.squares):
            return self.count, b"", b""
        return self.count, exact_sum.pack(self.total), exact_sum.pack(self.squares)

    @classmethod
    def unpack(cls, packed: Sequence[Any]) -> "Mean":
        """Read what `pack` returned."""
        return cls(packed[0], exact_sum.unpack(packed[1]), exact_sum.unpack(packed[2]))


class Feature:
    """One feature: how often it was there, and the mean where it was a number."""

    __slots__ = ("mean", "present")

    def __init__(self, present: int = 0, mean: Mean | None = None) -> None:
        self.present = present
        self.mean = mean or Mean()


class Inputs:
    """Tally of predictions: traffic, latency and features."""

    __slots__ = ("count", "features", "latencies")

    def __init__(self) -> None:
        self.count = 0
        self.latencies: bins.Histogram = {}
        self.features: dict[str, Feature] = {}

    def merge(self, other: "Inputs") -> None:
        """Add another tally in place."""
        self.count += other.count
        bins.merge(self.latencies, other.latencies)
        for name, feature in other.features.items():
            mine = self.features.setdefault(name, Feature())
            mine.present += feature.present
            mine.mean.merge(feature.mean)

    def pack(self) -> list[Any]:
        """Return a form that msgpack can write."""
        features = [(n, f.present, f.mean.pack()) for n, f in self.features.items()]
        return [self.count, self.latencies, features]

    @classmethod
    def unpack(cls, packed: Sequence[Any]) -> "Inputs":
        """Read what `pack` returned."""
        tally = cls()
        tally.count, tally.latencies, features = packed
        tally.features = {n: Feature(p, Mean.unpack(m)) for n, p, m in features}
        return tally


class Outcomes:
    """Tally of labelled outcomes: confusion, errors, scores and label delay.

    Attributes
    ----------
    confusion
        ``{(predicted class, true class): count}``.
    sure
        The same of those without a score whose prediction is exactly the number 0 or 1: if it is
        a probability, it is one, too.
    error, absolute
        Signed and absolute error where both sides are numbers and there is no score.
    scores
        ``{true class: histogram of scores}``.
    outside, class_outside
        Scores, and scores of the true class, that are no probabilities: they are in no mean.
    brier, log_loss
        Means over outcomes with a probability of the positive class.
    class_log_loss
        Mean of -log of the probability of the true class, where `scores` were given.
    """

    __slots__ = (
        "absolute",
        "brier",
        "class_log_loss",
        "class_outside",
        "confusion",
        "count",
        "delays",
        "error",
        "log_loss",
        "outside",
        "scores",
        "sure",
    )

    def __init__(self) -> None:
        self.count = 0
        self.outside = self.class_outside = 0
        self.confusion: dict[tuple[str, str], int] = {}
        self.sure: dict[tuple[str, str], int] = {}
        self.error, self.absolute = Mean(), Mean()
        self.scores: dict[str, bins.Histogram] = {}
        self.brier, self.log_loss, self.class_log_loss = Mean(), Mean(), Mean()
        self.delays: bins.Histogram = {}

    def merge(self, other: "Outcomes", parts: Container[str] = PARTS) -> None:
        """Add another tally in place.

        Parameters
        ----------
        parts
            Those of `PARTS` that somebody will ask for: histograms are dear to merge.
        """
        self.count += other.count
        self.outside += other.outside
        self.class_outside += other.class_outside
        for pair, count in other.confusion.items():
            _count(self.confusion, pair, count)
        for pair, count in other.sure.items():
            _count(self.sure, pair, count)
        for name in _MEANS:
            if name in parts:
                getattr(self, name).merge(getattr(other, name))
        if "scores" in parts:
            for label, histogram in other.scores.items():
                bins.merge(self.scores.setdefault(label, {}), histogram)
        if "delays" in parts:
            bins.merge(self.delays, other.delays)

    def pack(self) -> list[Any]:
        """Return a form that msgpack can write."""
        pairs = [[(p, t, n) for (p, t), n in c.items()] for c in (self.confusion, self.sure)]
        means = [getattr(self, name).pack() for name in _MEANS]
        counts = [self.count, self.outside, self.class_outside]
        return [counts, *pairs, means, self.scores, self.delays]

    @classmethod
    def unpack(cls, packed: Sequence[Any]) -> "Outcomes":
        """Read what `pack` returned."""
        tally = cls()
        counts, confusion, sure, means, tally.scores, tally.delays = packed
        tally.count, tally.outside, tally.class_outside = counts
        tally.confusion = {(p, t): n for p, t, n in confusion}
        tally.sure = {(p, t): n for p, t, n in sure}
        for name, mean in zip(_MEANS, means, strict=True):
            setattr(tally, name, Mean.unpack(mean))
        return tally


# --- counting rows


def add_predictions(
    tallies: Sequence[Inputs],
    rows: PredictionRows,
    features: Sequence[Block],
    *,
    chosen: Ints,
    group: Ints,
) -> None:
    """Count predictions.

    Parameters
    ----------
    chosen
        Which rows are counted.
    group
        For each of them, the index of its tally.
    """
    for tally, count in zip(tallies, _counts(group, None, len(tallies)), strict=True):
        tally.count += count
    latency_ms = rows.latency_ms[chosen]
    known = ~np.isnan(latency_ms)
    if known.any():
        histograms = [tally.latencies for tally in tallies]
        _add_bins(histograms, group[known], bins.value_bins(latency_ms[known]), None)
    if features:
        group_of = np.full(len(rows.time_ms), -1)
        group_of[chosen] = group
        for block in features:
            _add_features(tallies, block, group_of[block.rows])


def _add_features(tallies: Sequence[Inputs], block: Block, group: Ints) -> None:
    values, width = block.values, len(block.names)
    inside = group >= 0
    if not inside.all():
        values, group = values[inside], group[inside]
    if not len(group):
        return
    cell = group[:, None] * width + np.arange(width)
    size = len(tallies) * width
    absent = values == ABSENT
    named = _counts(cell[~absent], None, size)
    present = _counts(cell[~absent & ~are_null(values)], None, size)
    finite = np.isfinite(values)
    sums = _sums(values[finite], cell[finite], None, size)
    for place in np.flatnonzero(np.array(named)).tolist():
        number, column = divmod(place, width)
        known, name = tallies[number].features, block.names[column]
        feature = known.get(name)
        if feature is None:
            feature = known[name] = Feature()
        feature.present += present[place]
        feature.mean.add(*sums[place])


def add_outcomes(
    tallies: Sequence[Outcomes], columns: OutcomeColumns, *, chosen: Ints, group: Ints
) -> None:
    """Count outcomes, with their weights; see `add_predictions`."""
    c = columns
    weight: Weights = c.rows.weight[chosen]
    if (weight == 1).all():  # type: ignore[union-attr]
        weight = None
    size = len(tallies)
    for tally, count in zip(tallies, _counts(group, weight, size), strict=True):
        tally.count += count
    for outside, name in ((c.outside, "outside"), (c.class_outside, "class_outside")):
        if outside is not None:
            here = outside[chosen]
            found = _counts(group[here], _of(weight, here), size)
            for tally, count in zip(tallies, found, strict=True):
                setattr(tally, name, getattr(tally, name) + count)
    classed = c.classed[chosen]
    confusions = [tally.confusion for tally in tallies]
    _add_pairs(confusions, c, chosen[classed], group[classed], _of(weight, classed))
    sure = classed & c.sure[chosen]
    if sure.any():
        pairs = [tally.sure for tally in tallies]
        _add_pairs(pairs, c, chosen[sure], group[sure], _of(weight, sure))
    _add_delays(tallies, c, chosen, group, weight)
    for name, values in c.means:
        add_mean([getattr(tally, name) for tally in tallies], values[chosen], group, weight)
    scored = (classed | c.chance[chosen]) & ~np.isnan(c.score[chosen])
    if scored.any():
        _add_scores(tallies, c, chosen[scored], group[scored], _of(weight, scored))


def _add_pairs(
    tables: Sequence[dict[tuple[str, str], int]],
    c: OutcomeColumns,
    chosen: Ints,
    group: Ints,
    weight: Weights,
) -> None:
    size = len(c.classes)
    cells, places = distinct((group * size + c.predicted[chosen]) * size + c.true[chosen])
    counts = _counts(places, weight, len(cells))
    for cell, count in zip(cells.tolist(), counts, strict=True):
        rest, true = divmod(cell, size)
        number, predicted = divmod(rest, size)
        _count(tables[number], (c.classes[predicted], c.classes[true]), count)


def _add_delays(
    tallies: Sequence[Outcomes], c: OutcomeColumns, chosen: Ints, group: Ints, weight: Weights
) -> None:
    delayed = c.rows.delay[chosen] == 1
    if delayed.any():
        rows = chosen[delayed]
        delay = (c.rows.label_ms[rows] - c.rows.time_ms[rows]).astype(np.float64)
        histograms = [tally.delays for tally in tallies]
        _add_bins(histograms, group[delayed], bins.value_bins(delay), _of(weight, delayed))


def add_mean(means: Sequence[Mean], values: Floats, group: Ints, weight: Weights) -> None:
    """Count values that are not NaN, with their weights; `group` is the index of each's mean."""
    known = ~np.isnan(values)
    if not known.all():
        values, group, weight = values[known], group[known], _of(weight, known)
    if len(values):
        for mean, sums in zip(means, _sums(values, group, weight, len(means)), strict=True):
            mean.add(*sums)


def _add_scores(
    tallies: Sequence[Outcomes], c: OutcomeColumns, chosen: Ints, group: Ints, weight: Weights
) -> None:
    labels, places = distinct(group * len(c.classes) + c.true[chosen])
    histograms = []
    for label in labels.tolist():
        number, true = divmod(label, len(c.classes))
        histograms.append(tallies[number].scores.setdefault(c.classes[true], {}))
    numbers = bins.score_bins(c.score[chosen])
    for part in bins.score_ranges(numbers):
        _add_bins(histograms, places[part], numbers[part], _of(weight, part))


def _add_bins(
    histograms: Sequence[bins.Histogram], group: Ints, numbers: Ints, weight: Weights
) -> None:
    lowest = int(numbers.min())
    span = int(numbers.max()) - lowest + 1
    few = span * len(histograms) > len(numbers) and len(numbers) <= _FEW_ALIKE * len(histograms)
    if weight is None and few:
        order = np.argsort(group, kind="stable")
        ends = np.searchsorted(group[order], np.arange(1, len(histograms))).tolist()
        every = numbers[order].tolist()
        for histogram, start, end in zip(histograms, [0, *ends], [*ends, len(every)], strict=True):
            bins.add(histogram, every[start:end])
        return
    keys, places = distinct(group * span + (numbers - lowest))
    counts = _counts(places, weight, len(keys))
    owners, found = keys // span, keys % span + lowest
    ends = np.searchsorted(owners, np.arange(len(histograms) + 1)).tolist()
    every = list(zip(found.tolist(), counts, strict=True))
    for histogram, start, end in zip(histograms, ends, ends[1:], strict=False):
        bins.add_counts(histogram, every[start:end])


def _of(weight: Weights, chosen: Any) -> Weights:
    return None if weight is None else weight[chosen]


def _counts(group: Ints, weight: Weights, size: int) -> list[int]:
    """Return how many rows each group has, by their weights."""
    counts = np.bincount(group, weights=weight, minlength=size)
    return counts.astype(np.int64).tolist()  # type: ignore[no-any-return]


def _sums(values: Floats, group: Ints, weight: Weights, size: int) -> list[tuple[int, int, int]]:
    """Return for each group the count, the exact sum and that of the squares."""
    squares = values * values
    if weight is not None:
        values, squares = values * weight, squares * weight
    return list(
        zip(
            _counts(group, weight, size),
            exact_sum.exact_sums(values, group, size),
            exact_sum.exact_sums(squares, group, size),
            strict=True,
        )
    )


def _count(table: dict[tuple[str, str], int], key: tuple[str, str], count: int) -> None:
    total = table.get(key, 0) + count
    if total:
        table[key] = total
    else:
        table.pop(key, None)
