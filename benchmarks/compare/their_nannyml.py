"""NannyML's numbers; run in an environment of its own, with the folder of a data set.

Usage logging is off: NML_DISABLE_USAGE_LOGGING is set before it is imported.
"""

import json
import os
import sys
import warnings
from pathlib import Path
from typing import Any

os.environ["NML_DISABLE_USAGE_LOGGING"] = "1"
import nannyml
import pandas as pd

warnings.simplefilter("ignore")  # a chunk of a few hundred rows is small, it says

QUALITY = {
    "binary": {
        "accuracy": "accuracy",
        "precision": "precision",
        "recall": "recall",
        "f1": "f1",
        "specificity": "specificity",
        "roc_auc": "roc_auc",
        "pr_auc": "average_precision",
    },
    "classes": {
        "accuracy": "accuracy",
        "precision": "precision",
        "recall": "recall",
        "f1": "f1",
        "specificity": "specificity",
    },
    "regression": {"mae": "mae", "rmse": "rmse"},
}
PROBLEMS = {
    "binary": "classification_binary",
    "classes": "classification_multiclass",
    "regression": "regression",
}
NUMBERS = {"js": "jensen_shannon", "ks": "kolmogorov_smirnov", "wasserstein": "wasserstein"}


def chunk(calculator: Any, halves: tuple[pd.DataFrame, pd.DataFrame]) -> dict[tuple[str, ...], Any]:
    """Return what a calculator finds in the second half, as one chunk."""
    reference, window = halves
    found = calculator.fit(reference).calculate(window).filter(period="analysis").to_df()
    return {
        tuple(map(str, names)): value
        for names, value in found.iloc[0].items()
        if names[-1] == "value"
    }


def quality(about: dict[str, Any], halves: tuple[pd.DataFrame, pd.DataFrame]) -> dict[str, float]:
    """Return realised performance."""
    names = QUALITY[about["task"]]
    scores: Any = {"binary": "score", "regression": None}.get(
        about["task"], {name: f"score:{name}" for name in about["classes"]}
    )
    calculator = nannyml.PerformanceCalculator(
        metrics=list(names.values()),
        y_true="label",
        y_pred="prediction",
        y_pred_proba=scores,
        problem_type=PROBLEMS[about["task"]],
        chunk_number=1,
    )
    found = {key[0]: value for key, value in chunk(calculator, halves).items()}
    return {name: float(found[theirs]) for name, theirs in names.items()}


def features(about: dict[str, Any], halves: tuple[pd.DataFrame, pd.DataFrame]) -> dict[str, float]:
    """Return distances and statistics of features; Wasserstein in deviations of the reference."""
    numbers, texts = about["numbers"], about["texts"]
    drift = nannyml.UnivariateDriftCalculator(
        column_names=[*numbers, *texts],
        treat_as_categorical=texts,
        continuous_methods=list(NUMBERS.values()),
        categorical_methods=["jensen_shannon"],
        chunk_number=1,
    )
    theirs = {theirs: name for name, theirs in NUMBERS.items()}
    found = {
        f"{theirs[method]}:{feature}": float(value)
        for (feature, method, _), value in chunk(drift, halves).items()
    }
    for feature in numbers:
        found[f"wasserstein:{feature}"] /= halves[0][feature].std(ddof=0)
    statistics = {
        "mean": (nannyml.SummaryStatsAvgCalculator, numbers),
        "std": (nannyml.SummaryStatsStdCalculator, numbers),
        "feature_p50": (nannyml.SummaryStatsMedianCalculator, numbers),
        "missing_rate": (nannyml.MissingValuesCalculator, [*numbers, *texts]),
    }
    for name, (calculator, columns) in statistics.items():
        values = chunk(calculator(column_names=columns, chunk_number=1), halves)
        found |= {f"{name}:{key[0]}": float(value) for key, value in values.items()}
    return found


def measured(folder: Path) -> dict[str, float]:
    """Return every number."""
    about = json.loads((folder / "about.json").read_text())
    reference, window = (pd.read_csv(folder / f"{half}.csv") for half in ("reference", "window"))
    halves = reference, window
    return quality(about, halves) | features(about, halves)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    (folder / "nannyml.json").write_text(json.dumps(measured(folder), indent=1))
