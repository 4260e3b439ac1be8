"""From tallies to metrics: every metric that driftline publishes of a window is computed here."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import TypeVar

import msgspec
import numpy as np

from streams import families
from streams.classes import binary_name
from streams.probabilities import too_many
from streams.task import Judged
from tests import plain_bins as bins
from tests import plain_intervals as intervals
from tests.plain_chances import with_sure
from tests.plain_tallies import PARTS, Feature, Inputs, Mean, Outcomes

T = TypeVar("T")

Confusion = dict[tuple[str, str], int]
"""``{(predicted class, true class): count}``."""

METRICS = {
    *("predictions", "labels", "coverage", "missing_rate", "mean", "label_delay_p50_ms"),
    *("latency_p50_ms", "latency_p95_ms", "latency_p99_ms", "accuracy", "precision", "recall"),
    *("f1", "roc_auc", "log_loss", "brier", "mae", "rmse", "bias"),
}
"""What is computed here, without parts; families have more."""

MAX_CLASSES = 100
"""Per-class metrics are published for windows with at most this many classes."""

_COUNTED: dict[str, Callable[[Inputs, Outcomes], int]] = {
    "predictions": lambda inputs, _: inputs.count,
    "labels": lambda _, outcomes: outcomes.count,
    "errors": lambda _, outcomes: max(outcomes.absolute.count, outcomes.error.count),
}
"""What metrics say that their `count` is at most."""


class Value(msgspec.Struct, frozen=True):
    """One metric of one window.

    Attributes
    ----------
    low, high
        95 % confidence interval, `None` where there is none.
    count
        Observations that the value rests on: those below the line of a ratio, or in a mean.
    """

    metric: str
    value: float
    low: float | None
    high: float | None
    count: int


def compute(inputs: Inputs, outcomes: Outcomes, judged: Judged) -> list[Value]:
    """Return every metric that is defined for a window.

    Which metrics there are depends on its content, and on what kind of model it is judged to be.
    """
    return [
        *_traffic(inputs, outcomes),
        *_features(inputs),
        *(_quality(outcomes, judged) if outcomes.count > 0 else ()),
    ]


def parts_of(metric: str) -> frozenset[str]:
    """Return those of `tallies.PARTS` that `compute` needs for a metric; it takes no fewer.

    Examples
    --------
    >>> sorted(parts_of("recall:dog")), sorted(parts_of("roc_auc")), sorted(parts_of("mean:age"))
    ([], ['scores'], [])
    """
    family = families.CATALOGUE.family_of(metric)
    return frozenset() if family is None else PARTS & family.columns.keys()


def as_published(metric: str, exact: float) -> float:
    """Return what a metric is published as where it is exactly that: quantiles are middles of bins.

    Examples
    --------
    >>> as_published("latency_p95_ms", 100.0), as_published("accuracy", 0.9)
    (100.25, 0.9)
    """
    about = families.CATALOGUE.metric(metric)
    if about is None or not about.binned:
        return exact
    return bins.bin_value(int(bins.value_bins(np.array([exact], float))[0]))


def improper_scores(tally: Outcomes, judged: Judged) -> tuple[int, int] | None:
    """Return how many scores are no probabilities, and how many are, where the first are too many.

    Of what `compute` would judge them by: the score of a binary model, else those of classes.
    """
    outside, inside = tally.outside, tally.brier.count
    if judged.kind == "probability":
        inside = with_sure(tally, judged).brier.count
    if judged.kind == "multiclass":
        outside, inside = tally.class_outside, tally.class_log_loss.count
    if judged.kind in ("regression", "text") or not too_many(outside, inside=inside):
        return None
    return outside, inside


def most_observations(metric: str, panes: Iterable[tuple[Inputs, Outcomes]]) -> float:
    """Return how many observations a metric of these panes together rests on, at most.

    To add them up costs far less than to compute the metric. The answer is infinite for what rests
    on some of the labels only and has no count of its own: scores, probabilities, delays.
    """
    about = families.CATALOGUE.metric(metric)
    count = None if about is None else _COUNTED.get(about.at_most)
    return math.inf if count is None else sum(count(*pane) for pane in panes)


def value_of(values: Mapping[str, T], metric: str) -> T | None:
    """Return what belongs to a metric, of which a rule may write the class as any of its values.

    Examples
    --------
    >>> value_of({"recall:1": 0.5, "recall:cat": 0.7}, "recall:1.0")
    0.5
    >>> value_of({"recall:1": 0.5, "recall:cat": 0.7}, "recall:Yes")
    0.5
    """
    names = families.CATALOGUE.spellings(metric)
    return next((values[name] for name in names if name in values), None)


def _traffic(inputs: Inputs, outcomes: Outcomes) -> Iterator[Value]:
    predictions, labels = inputs.count, outcomes.count
    yield Value("predictions", float(predictions), None, None, predictions)
    yield Value("labels", float(labels), None, None, labels)
    if predictions:
        low, high = intervals.wilson(min(labels, predictions), predictions)
        yield Value("coverage", labels / predictions, low, high, predictions)
    latencies = [(f"latency_p{q}_ms", q / 100) for q in (50, 95, 99)]
    yield from _quantiles(latencies, inputs.latencies)
    yield from _quantiles([("label_delay_p50_ms", 0.5)], outcomes.delays)


def _quantiles(metrics: Sequence[tuple[str, float]], histogram: bins.Histogram) -> Iterator[Value]:
    if not histogram:
        return
    count = sum(histogram.values())
    shares = [[q, *intervals.quantile_ranks(q, count)] for _, q in metrics]
    values = iter(bins.quantiles(histogram, list(chain.from_iterable(shares))))
    for metric, _ in metrics:
        yield Value(metric, next(values), next(values), next(values), count)


def _features(inputs: Inputs) -> Iterator[Value]:
    for name in sorted(inputs.features):
        feature: Feature = inputs.features[name]
        missing = inputs.count - feature.present
        low, high = intervals.wilson(missing, inputs.count)
        yield Value(f"missing_rate:{name}", missing / inputs.count, low, high, inputs.count)
        if feature.mean.count:
            yield _mean(f"mean:{name}", feature.mean)


def _mean(metric: str, mean: Mean, count: int | None = None) -> Value:
    value = mean.value()
    low, high = intervals.normal(value, mean.mean_of_squares(), mean.count)
    return Value(metric, value, low, high, mean.count if count is None else count)


def _quality(tally: Outcomes, judged: Judged) -> Iterator[Value]:
    if judged.kind == "regression":
        yield from _regression(tally)
        return
    if judged.kind == "text":
        return
    if judged.kind == "probability":
        yield from _scores(with_sure(tally, judged), judged)
        return
    pairs = _pairs(tally.confusion, words=judged.words)
    correct = sum(n for (predicted, true), n in pairs.items() if predicted == true)
    low, high = intervals.wilson(correct, tally.count)
    yield Value("accuracy", correct / tally.count, low, high, tally.count)
    if judged.kind == "binary":
        yield from _binary(pairs, judged)
        yield from _scores(tally, judged)
    else:
        yield from _multiclass(tally, pairs)


def _pairs(confusion: Confusion, *, words: bool) -> Confusion:
    """Return the confusion with one name for what is one class, see `streams.classes`."""
    if words or all(binary_name(name) == name for pair in confusion for name in pair):
        return confusion
    pairs: Confusion = {}
    for (predicted, true), count in confusion.items():
        pair = binary_name(predicted), binary_name(true)
        pairs[pair] = pairs.get(pair, 0) + count
    return pairs


def _regression(tally: Outcomes) -> Iterator[Value]:
    count = tally.absolute.count
    if count:
        yield _mean("mae", tally.absolute)
        yield Value("rmse", tally.error.mean_of_squares() ** 0.5, None, None, tally.error.count)
        yield _mean("bias", tally.error)


def _binary(pairs: Confusion, judged: Judged) -> Iterator[Value]:
    one = judged.positive
    hit = pairs.get((one, one), 0)
    said = sum(n for (predicted, _), n in pairs.items() if predicted == one)
    real = sum(n for (_, true), n in pairs.items() if true == one)
    yield from _precision_recall_f1(hit, said, real, suffix="")


def _scores(tally: Outcomes, judged: Judged) -> Iterator[Value]:
    one = judged.positive
    positive = _merged([s for label, s in tally.scores.items() if binary_name(label) == one])
    negative = _merged([s for label, s in tally.scores.items() if binary_name(label) != one])
    found = bins.roc_auc_and_ties(positive, negative)
    if found is not None:
        area, tied = found
        ones, zeros = sum(positive.values()), sum(negative.values())
        yield Value("roc_auc", area, *intervals.roc_auc(area, ones, zeros, tied=tied), ones + zeros)
    if tally.brier.count and not too_many(tally.outside, inside=tally.brier.count):
        yield _mean("log_loss", tally.log_loss)
        yield _mean("brier", tally.brier)


def _merged(histograms: Sequence[bins.Histogram]) -> bins.Histogram:
    if len(histograms) == 1:
        return histograms[0]
    merged: bins.Histogram = {}
    for histogram in histograms:
        bins.merge(merged, histogram)
    return merged


def _multiclass(tally: Outcomes, pairs: Confusion) -> Iterator[Value]:
    classes = sorted({name for pair in pairs for name in pair})
    hit = dict.fromkeys(classes, 0)
    said, real = dict(hit), dict(hit)
    for (predicted, true), n in pairs.items():
        said[predicted] += n
        real[true] += n
        if predicted == true:
            hit[true] += n
    # What is undefined for a class counts as 0 in the mean: scikit-learn's zero_division=0.
    sums = {"precision": 0.0, "recall": 0.0, "f1": 0.0}
    for name in classes:
        for value in _precision_recall_f1(hit[name], said[name], real[name], suffix=f":{name}"):
            sums[value.metric.partition(":")[0]] += value.value
            if len(classes) <= MAX_CLASSES:
                yield value
    for metric, total in sums.items():
        yield Value(metric, total / len(classes), None, None, tally.count)
    inside = tally.class_log_loss.count
    if inside and not too_many(tally.class_outside, inside=inside):
        yield _mean("log_loss", tally.class_log_loss)


def _precision_recall_f1(hit: int, said: int, real: int, *, suffix: str) -> Iterator[Value]:
    """Yield those of the three that are defined, each with the outcomes that it rests on.

    A model that never says *fraud* has no precision. To call that 0 would be to say that it is
    always wrong when it does, and would fire every rule on precision in quiet hours.
    """
    either = said + real - hit
    if said:
        yield Value(f"precision{suffix}", hit / said, *intervals.wilson(hit, said), said)
    if real:
        yield Value(f"recall{suffix}", hit / real, *intervals.wilson(hit, real), real)
    if either:
        f1 = 2 * hit / (said + real)
        yield Value(f"f1{suffix}", f1, *intervals.f1(hit, either - hit), either)
