"""The numbers of scikit-learn and scipy, of values themselves and of values in driftline's bins.

What neither has is put together from what they have, and written out here.
"""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats
from scipy.spatial.distance import jensenshannon
from scipy.stats.contingency import association
from sklearn import calibration, metrics

from benchmarks.compare.data import DataSet

Floats = NDArray[np.float64]

BINS = 128  # halves of a power of two: 64 bins, which is what driftline counts features in


def quality(data: DataSet) -> dict[str, float]:
    """Return what scikit-learn says of the answers of the second half."""
    kinds = {"binary": _binary, "classes": _classes, "regression": _regression}
    return kinds[data.task](data.window, data)


def _binary(table: pd.DataFrame, _: DataSet) -> dict[str, float]:
    truth, answer, score = table["label"], table["prediction"], table["score"]
    return {
        **_answers(truth, answer, average="binary"),
        "specificity": metrics.recall_score(truth, answer, pos_label=False),
        "roc_auc": metrics.roc_auc_score(truth, score),
        "pr_auc": metrics.average_precision_score(truth, score),
        "log_loss": metrics.log_loss(truth, score),
        "brier": metrics.brier_score_loss(truth, score),
        "ece": _calibration_error(truth, score),
    }


def _classes(table: pd.DataFrame, data: DataSet) -> dict[str, float]:
    truth, answer = table["label"], table["prediction"]
    scores = table[[f"score:{name}" for name in data.classes]]
    matrices = metrics.multilabel_confusion_matrix(truth, answer)
    return {
        **_answers(truth, answer, average="macro"),
        "specificity": float(np.mean(matrices[:, 0, 0] / matrices[:, 0].sum(axis=1))),
        "log_loss": metrics.log_loss(truth, scores, labels=list(data.classes)),
    }


def _answers(truth: pd.Series, answer: pd.Series, *, average: str) -> dict[str, float]:
    return {
        "accuracy": metrics.accuracy_score(truth, answer),
        "precision": metrics.precision_score(truth, answer, average=average),
        "recall": metrics.recall_score(truth, answer, average=average),
        "f1": metrics.f1_score(truth, answer, average=average),
        "balanced_accuracy": metrics.balanced_accuracy_score(truth, answer),
        "mcc": metrics.matthews_corrcoef(truth, answer),
    }


def _regression(table: pd.DataFrame, _: DataSet) -> dict[str, float]:
    truth, answer = table["label"], table["prediction"]
    return {
        "mae": metrics.mean_absolute_error(truth, answer),
        "rmse": metrics.root_mean_squared_error(truth, answer),
        "r2": metrics.r2_score(truth, answer),
    }


def _calibration_error(truth: pd.Series, score: pd.Series) -> float:
    """Weigh the distances of a calibration curve by the scores in its bins."""
    observed, expected = calibration.calibration_curve(truth, score, n_bins=15)
    counts, _ = np.histogram(score, bins=15, range=(0, 1))
    return float(np.average(np.abs(observed - expected), weights=counts[counts > 0]))


def features(data: DataSet, *, binned: bool) -> dict[str, float]:
    """Return statistics and distances of features; distances alone of values in bins."""
    found: dict[str, float] = {}
    for name in (*data.numbers, *data.texts):
        before, now = data.reference[name], data.window[name]
        if not binned:
            found[f"missing_rate:{name}"] = float(now.isna().mean())
        before, now = before.dropna(), now.dropna()
        if name in data.texts:
            values = _of_texts(before, now, equal=binned)
        elif binned:
            values = _distances(in_bins(before.to_numpy(float)), in_bins(now.to_numpy(float)))
        else:
            values = _statistics(now) | _distances(before.to_numpy(float), now.to_numpy(float))
        found |= {f"{metric}:{name}": float(value) for metric, value in values.items()}
    return found


def in_bins(values: Floats) -> Floats:
    """Return the middles of the bins that values are in: 64 between a power of two and the next.

    Values must not be negative, as none is here.

    Examples
    --------
    >>> in_bins(np.array([0.0, 1.0, 100.0])).tolist()
    [0.0, 1.0078125, 100.5]
    """
    assert np.all(values >= 0)
    part, power = np.frexp(values)
    middle = np.ldexp((np.floor(part * BINS) + 0.5) / BINS, power)
    return np.where(values == 0, 0.0, middle)


def _statistics(now: pd.Series) -> dict[str, float]:
    parts = {f"feature_p{part:02}": part / 100 for part in (5, 50, 95)}
    return {
        "mean": np.mean(now),
        "std": np.std(now, ddof=1),
        **{key: np.quantile(now, part, method="inverted_cdf") for key, part in parts.items()},
    }


def _distances(before: Floats, now: Floats) -> dict[str, float]:
    parts = _shares(*_tenths(before, now)), _shares(*_tenths(before, now), more=0.5)
    return {
        "psi": _stability(*parts[1]),
        "js": jensenshannon(*parts[0], base=2),
        "ks": stats.ks_2samp(before, now).statistic,
        "wasserstein": stats.wasserstein_distance(before, now) / np.std(before),
    }


def _of_texts(before: pd.Series, now: pd.Series, *, equal: bool) -> dict[str, float]:
    """Return distances of categories; with `equal`, both halves weigh the same in Cramér's V."""
    names = sorted({*before, *now})
    counts = [side.value_counts().reindex(names, fill_value=0) for side in (before, now)]
    weights = (len(now), len(before)) if equal else (1, 1)
    table = np.stack([side * weight for side, weight in zip(counts, weights, strict=True)])
    sides = counts[0].to_numpy(), counts[1].to_numpy()
    return {
        "psi": _stability(*_shares(*sides, more=0.5)),
        "js": jensenshannon(*_shares(*sides), base=2),
        "cramers_v": association(table, method="cramer"),
    }


def _tenths(before: Floats, now: Floats) -> tuple[Any, Any]:
    """Count values by the tenth of the first half that the middle of their rank in it is in."""
    distinct = np.union1d(before, now)
    ranks = [np.searchsorted(np.sort(before), distinct, side) for side in ("left", "right")]
    tenth = np.minimum((ranks[0] + ranks[1]) * 5 // len(before), 9)
    counts = [
        np.bincount(tenth[np.searchsorted(distinct, half)], minlength=10) for half in (before, now)
    ]
    return counts[0], counts[1]


def _shares(before: Any, now: Any, *, more: float = 0.0) -> tuple[Floats, Floats]:
    there = before + now > 0
    raised = [np.where(there, side + more, 0.0)[there] for side in (before, now)]
    return raised[0] / raised[0].sum(), raised[1] / raised[1].sum()


def _stability(before: Floats, now: Floats) -> float:
    """Return Kullback and Leibler's divergence in both directions, added up."""
    return float(stats.entropy(now, before) + stats.entropy(before, now))
