"""Evidently's numbers; run in an environment of its own, with the folder of a data set.

It sends nothing: DO_NOT_TRACK is set before it is imported.
"""

import json
import math
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ["DO_NOT_TRACK"] = "1"

import pandas as pd
from evidently import (
    BinaryClassification,
    DataDefinition,
    Dataset,
    MulticlassClassification,
    Regression,
    Report,
)
from evidently import metrics as known

DISTANCES = {"psi": "psi", "js": "jensenshannon", "ks": "ks", "wasserstein": "wasserstein"}
QUALITY = {
    "accuracy": known.Accuracy,
    "precision": known.Precision,
    "recall": known.Recall,
    "f1": known.F1Score,
    "specificity": known.TNR,
    "roc_auc": known.RocAuc,
    "log_loss": known.LogLoss,
    "mae": known.MAE,
    "rmse": known.RMSE,
    "r2": known.R2Score,
}
KINDS = {
    "binary": ("accuracy", "precision", "recall", "f1", "specificity", "roc_auc", "log_loss"),
    "classes": ("accuracy", "precision", "recall", "f1", "log_loss"),
    "regression": ("mae", "rmse", "r2"),
}


def definition(about: dict[str, Any], *, labels: bool) -> DataDefinition:
    """Return which column is what.

    A binary model has either its answers or its scores: with both, Evidently takes the scores.
    """
    kinds: dict[str, Any] = {}
    if about["task"] == "regression":
        kinds["regression"] = [Regression(target="label", prediction="prediction")]
    elif about["task"] == "binary":
        probabilities = None if labels else "score"
        answers = "prediction" if labels else None
        kinds["classification"] = [
            BinaryClassification(
                target="label",
                prediction_labels=answers,
                prediction_probas=probabilities,
                pos_label=1,
            )
        ]
    else:
        kinds["classification"] = [
            MulticlassClassification(
                target="label",
                prediction_labels="prediction",
                prediction_probas=None if labels else about["classes"],
            )
        ]
    return DataDefinition(
        numerical_columns=about["numbers"], categorical_columns=about["texts"], **kinds
    )


def asked(about: dict[str, Any]) -> Iterator[tuple[str, Any, bool]]:
    """Yield names of metrics, what Evidently is asked for, and whether it needs no scores."""
    for name in KINDS[about["task"]]:
        yield name, QUALITY[name](), name not in ("roc_auc", "log_loss")
    for feature in about["numbers"]:
        yield f"mean:{feature}", known.MeanValue(column=feature), True
        yield f"std:{feature}", known.StdValue(column=feature), True
        for part in (5, 50, 95):
            quantile = known.QuantileValue(column=feature, quantile=part / 100)
            yield f"feature_p{part:02}:{feature}", quantile, True
        for name, method in DISTANCES.items():
            yield f"{name}:{feature}", known.ValueDrift(column=feature, method=method), True
    for feature in about["texts"]:
        for name in ("psi", "js"):
            drift = known.ValueDrift(column=feature, method=DISTANCES[name])
            yield f"{name}:{feature}", drift, True
    for feature in (*about["numbers"], *about["texts"]):
        yield f"missing_rate:{feature}", known.MissingValueCount(column=feature), True


def measured(folder: Path) -> dict[str, float]:
    """Return every number; Jensen-Shannon distances in bits."""
    about = json.loads((folder / "about.json").read_text())
    halves = [pd.read_csv(folder / f"{half}.csv") for half in ("window", "reference")]
    for half in halves:
        half.rename(columns=lambda name: name.removeprefix("score:"), inplace=True)
    data = {
        labels: [
            Dataset.from_pandas(half, data_definition=definition(about, labels=labels))
            for half in halves
        ]
        for labels in (True, False)
    }
    found: dict[str, float] = {}
    for name, metric, labels in asked(about):
        result = Report([metric]).run(*data[labels]).dict()["metrics"][0]["value"]
        if isinstance(result, dict):
            result = result["share"] if "share" in result else result["mean"]
        found[name] = float(result)
        if name.startswith("js:"):  # of natural logarithms
            found[name] /= math.sqrt(math.log(2))
    return found


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    (folder / "evidently.json").write_text(json.dumps(measured(folder), indent=1))
