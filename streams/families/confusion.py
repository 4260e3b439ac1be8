"""What else a confusion tells: quality where classes are of very different sizes, and the sizes."""

from collections.abc import Iterator

import numpy as np

from streams.families import intervals
from streams.families.classification import (
    MAX_CLASSES,
    ByClass,
    Classification,
    Pairs,
    by_class,
    by_name,
    pairs_of,
)
from streams.families.family import (
    CLASSIFICATION,
    Cells,
    Estimate,
    Family,
    Floats,
    Ints,
    Mask,
    Metric,
    Part,
    labelled,
)
from streams.families.histograms import group_sums

_KEY_BITS = 32


class Confusion(Family):
    """Balanced accuracy, MCC and specificity, and how often every class is true."""

    name = "confusion"
    uses = (Classification,)
    metrics = (
        Metric(
            name="balanced_accuracy",
            help="mean of the recall of all classes that are true",
            better="higher",
            interval="Zou–Donner on Wilson",
            highest=1.0,
            tasks=CLASSIFICATION,
            at_most="labels",
            source="Brodersen et al. (2010); Zou & Donner (2008)",
        ),
        Metric(
            name="mcc",
            help="Matthews' correlation of predictions and labels; 0: no better than chance",
            better="higher",
            interval="delta",
            lowest=-1.0,
            highest=1.0,
            tasks=CLASSIFICATION,
            at_most="labels",
            source="Matthews (1975); Gorodkin (2004)",
        ),
        Metric(
            name="specificity",
            help="found among those that are not positive",
            better="higher",
            interval="Wilson",
            highest=1.0,
            part=Part.CLASS,
            tasks=CLASSIFICATION,
            at_most="labels",
            source="Wilson (1927)",
        ),
        Metric(
            name="support",
            help="labels that are positive",
            part=Part.CLASS,
            tasks=CLASSIFICATION,
            at_most="labels",
            has_mean=False,
            grows=True,
        ),
        Metric(
            name="label_share",
            help="share of labels that are positive",
            interval="Wilson",
            highest=1.0,
            part=Part.CLASS,
            tasks=CLASSIFICATION,
            at_most="labels",
            has_mean=False,
            source="Wilson (1927)",
        ),
    )

    def compute(self, cells: Cells) -> Iterator[Estimate]:
        two, several = labelled(cells, "binary"), labelled(cells, "multiclass")
        if not (two | several).any():
            return
        pairs = by_name(pairs_of(cells, two | several), cells.names)
        classes = by_class(pairs, cells.names)
        total = group_sums(pairs.group, pairs.counts, cells.groups)
        yield _balanced(classes, total)
        yield _correlation(pairs, total)
        if two.any():
            yield from _of_positive(cells, classes, np.where(two, total, 0))
        if several.any():
            yield from _of_classes(classes, total, several)


def _balanced(classes: ByClass, total: Ints) -> Estimate:
    """Return the mean recall of classes; its interval is put together from theirs."""
    groups, there = len(total), classes.real > 0
    group, hits, real = (column[there] for column in (classes.group, classes.hits, classes.real))
    recall = hits / real
    low, high = intervals.wilson(hits, real)
    count = np.bincount(group, minlength=groups)
    with np.errstate(all="ignore"):
        mean = np.bincount(group, recall, groups) / count
        below, above = (
            np.sqrt(np.bincount(group, (recall - bound) ** 2, groups)) / count
            for bound in (low, high)
        )
    return Estimate("balanced_accuracy", mean, mean - below, mean + above, total)


def _correlation(pairs: Pairs, total: Ints) -> Estimate:
    """Return Matthews' correlation, with the interval of a smooth function of shares.

    With shares x of pairs, p of predicted and t of true classes, it is N / sqrt(A B), where
    N = Σ x_ii - Σ p_k t_k, A = 1 - Σ p_k² and B = 1 - Σ t_k². There is none where only one class
    is predicted, or true: scikit-learn says 0, as of a model that is no better than chance.
    """
    groups, group = len(total), pairs.group
    keys = [group << _KEY_BITS | side for side in (pairs.predicted, pairs.true)]
    _, place = np.unique(np.concatenate(keys), return_inverse=True)
    predicted, true = place[: len(group)], place[len(group) :]
    with np.errstate(all="ignore"):
        x = pairs.counts / total[group]
        p, t = (np.bincount(side, x, len(place)) for side in (predicted, true))
        right = np.bincount(group, np.where(pairs.right, x, 0.0), groups)
        chance = np.bincount(group, x * t[predicted], groups)
        a, b = (
            1 - np.bincount(group, x * own[side], groups)
            for own, side in ((p, predicted), (t, true))
        )
        apart = _several(group, predicted, groups) & _several(group, true, groups)
        scale = np.where(apart, np.sqrt(a * b), np.nan)
        value = (right - chance) / scale
        slope = (pairs.right - t[predicted] - p[true]) / scale[group]
        slope += value[group] * (p[predicted] / a[group] + t[true] / b[group])
        mean, squares = (np.bincount(group, x * s, groups) for s in (slope, slope * slope))
        spread = intervals.Z * np.sqrt(np.maximum(squares - mean * mean, 0.0) / total)
    low, high = np.maximum(value - spread, -1.0), np.minimum(value + spread, 1.0)
    return Estimate("mcc", np.clip(value, -1.0, 1.0), low, high, total)


def _several(group: Ints, side: Ints, groups: int) -> Mask:
    """Tell which groups have more than one class on a side."""
    first = np.full(groups, -1)
    first[group] = side
    other = np.bincount(group, side != first[group], groups)
    found: Mask = other > 0
    return found


def _of_positive(cells: Cells, classes: ByClass, total: Ints) -> Iterator[Estimate]:
    own = classes.name == cells.positive[classes.group]
    hits, said, real = (
        group_sums(classes.group, np.where(own, column, 0), cells.groups)
        for column in (classes.hits, classes.said, classes.real)
    )
    for metric, value, bounds, count in _three(hits, said, real, total):
        shown = np.where(total > 0, value, np.nan)
        yield Estimate(metric, shown, *bounds, count)


def _of_classes(classes: ByClass, total: Ints, several: Mask) -> Iterator[Estimate]:
    """Yield what every class has, and the mean of specificity over classes."""
    group, groups = classes.group, len(total)
    number = np.bincount(group, minlength=groups)
    columns = classes.hits, classes.said, classes.real, total[group]
    for metric, value, bounds, count in _three(*columns):
        shown = several[group] & (number[group] <= MAX_CLASSES) & ~np.isnan(value)
        low, high = (None if bound is None else bound[shown] for bound in bounds)
        of = group[shown], classes.name[shown]
        yield Estimate(metric, value[shown], low, high, count[shown], *of)
        if metric == "specificity":
            with np.errstate(all="ignore"):
                mean = np.bincount(group, np.nan_to_num(value), groups) / number
            yield Estimate(metric, np.where(several, mean, np.nan), None, None, total)


_Three = Iterator[tuple[str, Floats, tuple[Floats | None, Floats | None], Ints]]


def _three(hits: Ints, said: Ints, real: Ints, total: Ints) -> _Three:
    """Yield metric, value, interval and what it rests on."""
    others = total - real
    refused = others - said + hits
    with np.errstate(all="ignore"):
        specificity = np.where(others != 0, refused / others, np.nan)
        share = np.where(total != 0, real / total, np.nan)
    yield "specificity", specificity, intervals.wilson(refused, others), others
    yield "support", real.astype(np.float64), (None, None), real
    yield "label_share", share, intervals.wilson(real, total), total
