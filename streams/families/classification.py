"""How often a classifier is right, for all classes and for each."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from streams.families import intervals
from streams.families.family import (
    CLASS_BITS,
    CLASS_MASK,
    CLASSIFICATION,
    OTHER_APART,
    Cells,
    Estimate,
    Family,
    Floats,
    Ints,
    Mask,
    Metric,
    Observed,
    Part,
    Sparse,
    labelled,
)
from streams.families.histograms import group_sums, together

MAX_CLASSES = 100
"""Per-class metrics are published for windows with at most this many classes."""

_NAME_BITS = 32


class Classification(Family):
    """Accuracy, and precision, recall and F1 of the positive class, or of every class."""

    name = "classification"
    columns = {"confusion": Sparse()}  # predicted class, true class
    metrics = (
        Metric(
            name="accuracy",
            help="share of right answers",
            better="higher",
            interval="Wilson",
            highest=1.0,
            tasks=CLASSIFICATION,
            at_most="labels",
            headline=True,
            source="Wilson (1927)",
        ),
        Metric(
            name="precision",
            help="right among those said to be positive",
            better="higher",
            interval="Wilson",
            highest=1.0,
            part=Part.CLASS,
            tasks=CLASSIFICATION,
            at_most="labels",
            source="Wilson (1927)",
        ),
        Metric(
            name="recall",
            help="found among the positive",
            better="higher",
            interval="Wilson",
            highest=1.0,
            part=Part.CLASS,
            tasks=CLASSIFICATION,
            at_most="labels",
            source="Wilson (1927)",
        ),
        Metric(
            name="f1",
            help="harmonic mean of precision and recall",
            better="higher",
            interval="Wilson on Jaccard",
            highest=1.0,
            part=Part.CLASS,
            tasks=CLASSIFICATION,
            at_most="labels",
            headline=True,
            source="Wilson (1927)",
        ),
    )

    def observe(self, rows: Any) -> Mapping[str, Observed]:
        pair = rows.predicted << CLASS_BITS | rows.true
        return {"confusion": np.where(rows.columns.classed, pair, -1)}

    def compute(self, cells: Cells) -> Iterator[Estimate]:
        two, several = labelled(cells, "binary"), labelled(cells, "multiclass")
        if not (two | several).any():
            return
        pairs = pairs_of(cells, two | several)
        correct = group_sums(pairs.group, np.where(pairs.right, pairs.counts, 0), cells.groups)
        with np.errstate(all="ignore"):
            share = np.where(two | several, correct / cells.labels, np.nan)
        yield Estimate("accuracy", share, *intervals.wilson(correct, cells.labels), cells.labels)
        if two.any():
            yield from _of_positive(cells, pairs, two)
        if several.any():
            yield from _of_classes(cells, pairs.only(several[pairs.group]), several)


class Pairs(NamedTuple):
    """A confusion of many groups: how many there are of a predicted and a true class, by name.

    Groups rise. Two names of one class have become one, so that a pair may come twice. `right`
    tells whether both are the same class: of those that count as other, not all are.
    """

    group: Ints
    predicted: Ints
    true: Ints
    counts: Ints
    right: Mask

    def only(self, kept: Mask | Ints) -> "Pairs":
        """Return some of them."""
        return Pairs(
            *(self.group[kept], self.predicted[kept], self.true[kept]),
            counts=self.counts[kept],
            right=self.right[kept],
        )


def pairs_of(cells: Cells, own: Mask) -> Pairs:
    """Return the confusion of groups: where there is no third class, words are 1 and 0."""
    group, pair, count = cells.entries("confusion")
    kept = own[group]
    group, pair, count = group[kept], pair[kept], count[kept]
    words = cells.words[group]
    codes = pair >> CLASS_BITS, pair & CLASS_MASK
    predicted, true = (
        np.where(words, names, cells.two[names])
        for names in (cells.classes(group, code) for code in codes)
    )
    other = (codes[0] >= OTHER_APART) | (codes[1] >= OTHER_APART)
    right = np.where(other, codes[0] == codes[1], predicted == true)
    return Pairs(group, predicted, true, count, right)


def _of_positive(cells: Cells, pairs: Pairs, own: Mask) -> Iterator[Estimate]:
    one = cells.positive[pairs.group]
    said, real = pairs.predicted == one, pairs.true == one
    hits, saids, reals = (
        group_sums(pairs.group, np.where(mask & own[pairs.group], pairs.counts, 0), cells.groups)
        for mask in (said & real, said, real)
    )
    for found in _three(hits, saids, reals):
        yield Estimate(*found)


def _of_classes(cells: Cells, pairs: Pairs, own: Mask) -> Iterator[Estimate]:
    """Yield what every class has, and the means over classes."""
    known = by_class(pairs, cells.names)
    group, name = known.group, known.name
    classes = np.bincount(group, minlength=cells.groups)
    few = classes[group] <= MAX_CLASSES
    for one in _three(known.hits, known.said, known.real):
        shown = few & ~np.isnan(one.value)
        values, bounds = one.value[shown], (one.low[shown], one.high[shown])
        yield Estimate(one.metric, values, *bounds, one.rests_on[shown], group[shown], name[shown])
        # What is undefined for a class counts as 0 in the mean: scikit-learn's zero_division=0.
        # `bincount` adds up one by one: a sum of floats depends on the order, which is by name.
        total = np.bincount(group, np.nan_to_num(one.value), minlength=cells.groups)
        with np.errstate(all="ignore"):
            mean = np.where(own, total / classes, np.nan)
        yield Estimate(one.metric, mean, None, None, cells.labels)


class ByClass(NamedTuple):
    """How often every class of a group was right, predicted and true, by group, then name."""

    group: Ints
    name: Ints
    hits: Ints
    said: Ints
    real: Ints


def by_class(pairs: Pairs, names: Sequence[str]) -> ByClass:
    """Add a confusion up by class."""
    codes, places = in_order(names, pairs.predicted, pairs.true)
    base, none = pairs.group << _NAME_BITS, np.zeros_like(pairs.counts)
    keys, hits, said, real = together(
        np.concatenate([base | side for side in places]),
        np.concatenate([none, np.where(pairs.right, pairs.counts, 0)]),
        np.concatenate([pairs.counts, none]),
        np.concatenate([none, pairs.counts]),
    )
    name = codes[keys & ((1 << _NAME_BITS) - 1)]
    return ByClass(keys >> _NAME_BITS, name, hits, said, real)


def by_name(pairs: Pairs, names: Sequence[str]) -> Pairs:
    """Return a confusion in the order of names, and no pair twice.

    A sum of floats depends on the order, and codes of classes on what came first.
    """
    if not len(pairs.group):
        return pairs
    predicted, true = in_order(names, pairs.predicted, pairs.true)[1]
    order = np.lexsort((pairs.right, true, predicted, pairs.group))
    keys = np.stack([pairs.group, predicted, true, pairs.right])[:, order]
    starts = np.flatnonzero(np.append(True, (np.diff(keys) != 0).any(axis=0)))
    found = pairs.only(order[starts])
    return found._replace(counts=np.add.reduceat(pairs.counts[order], starts))


def in_order(names: Sequence[str], *sides: Ints) -> tuple[Ints, list[Ints]]:
    """Return the codes of classes in the order of names, and where those of each side are there."""
    codes = np.unique(np.concatenate(sides))
    order = sorted(range(len(codes)), key=[names[code] for code in codes.tolist()].__getitem__)
    rank = np.empty(len(codes), np.int64)
    rank[order] = np.arange(len(codes))
    places = [rank[np.searchsorted(codes, side)] for side in sides]
    return codes[np.array(order, np.int64)], places


class _Bounded(NamedTuple):
    """A metric with an interval everywhere."""

    metric: str
    value: Floats
    low: Floats
    high: Floats
    rests_on: Ints


def _three(hits: Ints, said: Ints, real: Ints) -> Iterator[_Bounded]:
    """Yield precision, recall and F1 where they are defined, each with what it rests on.

    A model that never says *fraud* has no precision. To call that 0 would be to say that it is
    always wrong when it does, and would fire every rule on precision in quiet hours.
    """
    either = said + real - hits
    wilson = intervals.wilson
    yield _Bounded("precision", _ratio(hits, said), *wilson(hits, said), said)
    yield _Bounded("recall", _ratio(hits, real), *wilson(hits, real), real)
    f1 = np.where(either != 0, _ratio(2 * hits, said + real), np.nan)
    yield _Bounded("f1", f1, *intervals.f1(hits, either - hits), either)


def _ratio(part: Ints, whole: Ints) -> Floats:
    with np.errstate(all="ignore"):
        return np.where(whole != 0, part / whole, np.nan)
