"""Mergeable accumulators: what is counted in a window, before any metric is computed.

Everything here commutes: rows may come in any order, in any batches, and be taken back, and
the tally is the same. `Inputs` counts predictions, `Outcomes` counts labels that took effect.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streams import bins, exact_sum
from streams.events import ABSENT, class_name
from streams.outcomes import OutcomeRows, PredictionRows

Mask = NDArray[np.bool_] | slice
TINY = 1e-15


class Mean:
    """Running mean that forgets nothing and depends on no order."""

    __slots__ = ("count", "squares", "total")

    def __init__(self, count: int = 0, total: int = 0, squares: int = 0) -> None:
        self.count, self.total, self.squares = count, total, squares

    def add(self, values: NDArray[np.float64], weights: NDArray[np.int64] | None = None) -> None:
        """Add finite values with weights +1 or -1 (`None`: all +1)."""
        if weights is None:
            self.count += len(values)
            self.total += exact_sum.exact_sum(values)
        else:
            self.count += int(weights.sum())
            self.total += exact_sum.exact_sum(values * weights)
        squares = values * values
        self.squares += exact_sum.exact_sum(squares if weights is None else squares * weights)

    def merge(self, other: "Mean") -> None:
        """Add another mean in place."""
        self.count += other.count
        self.total += other.total
        self.squares += other.squares

    def value(self) -> float:
        """Return the mean, rounded once."""
        return exact_sum.mean(self.total, self.count)

    def mean_of_squares(self) -> float:
        """Return the mean of the squares, rounded once."""
        return exact_sum.mean(self.squares, self.count)

    def pack(self) -> tuple[Any, ...]:
        """Return a form that msgpack can write."""
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

    def add(self, rows: PredictionRows, names: Sequence[str], mask: Mask) -> None:
        """Count the masked rows."""
        self.count += len(rows.time_ms[mask])
        latencies = rows.latency_ms[mask]
        latencies = latencies[~np.isnan(latencies)]
        if len(latencies):
            bins.add(self.latencies, bins.value_bins(latencies), None)
        if names:
            self._add_features(rows.features[mask], names)

    def _add_features(self, matrix: NDArray[np.float64], names: Sequence[str]) -> None:
        finite = np.isfinite(matrix)
        absent = matrix == ABSENT
        present = (~np.isnan(matrix) & ~absent).sum(axis=0).tolist()
        whole = np.atleast_1d(finite.all(axis=0)).tolist()
        nowhere = np.atleast_1d(absent.all(axis=0)).tolist()
        for column, name in enumerate(names):
            if nowhere[column]:
                continue  # named by other rows of the batch only, and batches must not matter
            feature = self.features.get(name)
            if feature is None:
                feature = self.features[name] = Feature()
            feature.present += present[column]
            values = matrix[:, column]
            feature.mean.add(values if whole[column] else values[finite[:, column]])

    def merge(self, other: "Inputs") -> None:
        """Add another tally in place."""
        self.count += other.count
        bins.merge(self.latencies, other.latencies.items())
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
    real
        Outcomes that only make sense as a regression: a fraction somewhere, and no score.
    error, absolute
        Signed and absolute error where both sides are numbers and there is no score.
    scores
        ``{true class: histogram of scores}``.
    brier, log_loss
        Means over outcomes with a probability of the positive class.
    class_log_loss
        Mean of -log of the probability of the true class, where `scores` were given.
    """

    __slots__ = (
        "absolute",
        "brier",
        "class_log_loss",
        "confusion",
        "count",
        "delays",
        "error",
        "log_loss",
        "real",
        "scores",
    )

    def __init__(self) -> None:
        self.count = 0
        self.real = 0
        self.confusion: dict[tuple[str, str], int] = {}
        self.error, self.absolute = Mean(), Mean()
        self.scores: dict[str, bins.Histogram] = {}
        self.brier, self.log_loss, self.class_log_loss = Mean(), Mean(), Mean()
        self.delays: bins.Histogram = {}

    def merge(self, other: "Outcomes") -> None:
        """Add another tally in place."""
        self.count += other.count
        self.real += other.real
        for pair, count in other.confusion.items():
            _count(self.confusion, pair, count)
        for name in _MEANS:
            getattr(self, name).merge(getattr(other, name))
        for label, histogram in other.scores.items():
            bins.merge(self.scores.setdefault(label, {}), histogram.items())
        bins.merge(self.delays, other.delays.items())

    def add(self, columns: "OutcomeColumns", mask: Mask) -> None:
        """Count the masked rows, with their weights."""
        c = columns
        weight = c.rows.weight[mask]
        plain = None if weight.all() and (weight > 0).all() else weight
        self.count += int(weight.sum())
        self.real += int((weight * c.real[mask]).sum())
        self._add_confusion(c, mask, weight)
        delayed = c.rows.delay[mask] == 1
        if delayed.any():
            delay = (c.rows.label_ms[mask] - c.rows.time_ms[mask])[delayed].astype(np.float64)
            kept = None if plain is None else weight[delayed]
            bins.add(self.delays, bins.value_bins(delay), kept)
        self._add_means(c, mask, plain)
        self._add_scores(c, mask, plain)

    def _add_confusion(self, c: "OutcomeColumns", mask: Mask, weight: NDArray[np.int64]) -> None:
        size = len(c.classes)
        classed = ~c.by_error[mask]
        pairs = (c.predicted[mask] * size + c.true[mask])[classed]
        cells, inverse = np.unique(pairs, return_inverse=True)
        counts = np.bincount(inverse, weights=weight[classed]).tolist()
        for cell, count in zip(cells.tolist(), counts, strict=True):
            predicted, true = divmod(cell, size)
            _count(self.confusion, (c.classes[predicted], c.classes[true]), int(count))

    def _add_means(self, c: "OutcomeColumns", mask: Mask, weight: NDArray[np.int64] | None) -> None:
        for name, values in c.means:
            chosen = values[mask]
            known = ~np.isnan(chosen)
            if not known.any():
                continue
            if known.all():
                getattr(self, name).add(chosen, weight)
            else:
                getattr(self, name).add(chosen[known], None if weight is None else weight[known])

    def _add_scores(
        self, c: "OutcomeColumns", mask: Mask, weight: NDArray[np.int64] | None
    ) -> None:
        score = c.score[mask]
        known = ~np.isnan(score) & ~c.by_error[mask]
        if not known.any():
            return
        true, numbers = c.true[mask][known], bins.score_bins(score[known])
        kept = None if weight is None else weight[known]
        for label in np.unique(true).tolist():
            here = true == label
            histogram = self.scores.setdefault(c.classes[label], {})
            bins.add(histogram, numbers[here], None if kept is None else kept[here])

    def pack(self) -> list[Any]:
        """Return a form that msgpack can write."""
        confusion = [(p, t, n) for (p, t), n in self.confusion.items()]
        means = [getattr(self, name).pack() for name in _MEANS]
        return [self.count, self.real, confusion, means, self.scores, self.delays]

    @classmethod
    def unpack(cls, packed: Sequence[Any]) -> "Outcomes":
        """Read what `pack` returned."""
        tally = cls()
        tally.count, tally.real, confusion, means, tally.scores, tally.delays = packed
        tally.confusion = {(p, t): n for p, t, n in confusion}
        for name, mean in zip(_MEANS, means, strict=True):
            setattr(tally, name, Mean.unpack(mean))
        return tally


class OutcomeColumns:
    """Outcome rows with what every tally needs of them, computed once for the whole batch.

    Parameters
    ----------
    strings
        Dictionary of the batch, see `streams.outcomes`.
    kind
        `auto`, `binary`, `multiclass` or `regression`, see `streams.quality.Task`.
    positives
        Names of the positive class.

    Attributes
    ----------
    real
        Rows that only make sense as a regression: a fraction somewhere, and no score.
    by_error
        Rows whose classes mean nothing: each number is one of its own, and a confusion of them
        would grow with the traffic.
    """

    def __init__(
        self,
        rows: OutcomeRows,
        strings: Sequence[str],
        *,
        positives: frozenset[str],
        kind: str = "auto",
    ) -> None:
        self.rows = rows
        self.classes: list[str] = []
        n = len(rows.time_ms)
        both = self._class_codes(
            np.concatenate([rows.number, rows.label_number]),
            np.concatenate([rows.code, rows.label_code]),
            strings,
        )
        self.predicted, self.true = both[:n], both[n:]
        positive = np.array([_among(name, positives) for name in self.classes], bool)[self.true]
        chance = np.where(positive, rows.label_score, 1.0 - rows.label_score)
        self.score = np.where(np.isnan(rows.score), chance, rows.score)
        error = rows.number - rows.label_number  # NaN where either is text
        fraction = (rows.number % 1 != 0) | (rows.label_number % 1 != 0)
        self.real = fraction & ~np.isnan(error) & np.isnan(self.score)
        everywhere = np.full(n, kind == "regression")
        self.by_error = self.real if kind == "auto" else everywhere
        self.loss = np.where(self.predicted != self.true, 1.0, 0.0)
        self.error = error
        self.means = self._means(positive)

    def _class_codes(
        self, number: NDArray[np.float64], code: NDArray[np.int32], strings: Sequence[str]
    ) -> NDArray[np.int64]:
        """Return class numbers within this batch; the same name gets the same number."""
        index: dict[str, int] = {}
        coded = code.astype(np.int64)
        numeric = code < 0
        values, inverse = np.unique(number[numeric], return_inverse=True)
        names = [class_name(value) for value in values.tolist()]
        numbers = np.array([index.setdefault(n, len(index)) for n in names], np.int64)
        if len(strings):
            words = np.array([index.setdefault(n, len(index)) for n in strings], np.int64)
            coded = np.where(numeric, 0, words[np.maximum(coded, 0)])
        if names:
            coded[numeric] = numbers[inverse]
        self.classes = list(index)
        return coded

    def _means(self, positive: NDArray[np.bool_]) -> list[tuple[str, NDArray[np.float64]]]:
        means = []
        known = ~np.isnan(self.score)
        error = np.where(known & ~self.by_error, np.nan, self.error)
        if not np.isnan(error).all():
            means += [("error", error), ("absolute", np.abs(error))]
        if known.any():
            inside = (self.score >= 0) & (self.score <= 1)
            share = np.where(inside, self.score, np.nan)
            likely = np.where(positive, share, 1.0 - share)
            means += [
                ("brier", (share - positive.astype(np.float64)) ** 2),
                ("log_loss", -np.log(np.clip(likely, TINY, 1.0))),
            ]
        told = self.rows.label_score
        if not np.isnan(told).all():
            means.append(("class_log_loss", -np.log(np.clip(told, TINY, 1.0))))
        return means


_MEANS = ("error", "absolute", "brier", "log_loss", "class_log_loss")


def _among(name: str, positives: frozenset[str]) -> bool:
    return name in positives or name.lower() in positives


def _count(table: dict[tuple[str, str], int], key: tuple[str, str], count: int) -> None:
    total = table.get(key, 0) + count
    if total:
        table[key] = total
    else:
        table.pop(key, None)
