"""What is watched in the golden streams: rules of every kind on every metric, and every detector.

Written as `monitors.yaml` is, which stays what it is however the core is built.
"""

import itertools
from typing import Any

Spec = dict[str, Any]

#: Limits that are passed at times and kept at others, in the traffic of `traffic.mixed`.
_LIMITS = {
    "predictions": 30.0,
    "labels": 25.0,
    "coverage": 0.8,
    "latency_p50_ms": 21.0,
    "latency_p95_ms": 60.0,
    "latency_p99_ms": 80.0,
    "label_delay_p50_ms": 420_000.0,
    "missing_rate:amount": 0.07,
    "missing_rate:country": 0.05,
    "mean:amount": 60.0,
    "mean:returning": 0.5,
    "accuracy": 0.8,
    "precision": 0.8,
    "recall": 0.8,
    "f1": 0.8,
    "precision:cat": 0.5,
    "recall:dog": 0.6,
    "f1:owl": 0.6,
    "roc_auc": 0.85,
    "log_loss": 0.5,
    "brier": 0.16,
    "mae": 3.0,
    "rmse": 5.0,
    "bias": 1.5,
}
_WINDOWS = ("8m", "16m", "30m", "6m")
_SEGMENTS = ("", "region=eu", "", "channel=web")

PAGE_HINKLEY = {"reference": 20, "block": 5, "threshold": 2, "delta": 0.01}
_DETECTORS: tuple[Spec, ...] = (
    {"detector": "adwin"},
    {"detector": "adwin", "parameters": {"delta": 0.2}},
    {"detector": "page_hinkley", "parameters": {"threshold": 1}},
    {"detector": "page_hinkley", "parameters": PAGE_HINKLEY},
)
_INPUTS = ("loss", "score", "features", "feature:amount")


def thresholds() -> list[Spec]:
    """Return four rules on each metric: both sides, absolute and relative, by value and interval.

    Windows, segments and minimums go round among them, so that each occurs with each side.
    """
    rules = []
    sides = ("below", "above", "falls_by", "rises_by")
    for (number, (metric, limit)), (turn, side) in itertools.product(
        enumerate(_LIMITS.items()), enumerate(sides)
    ):
        place = number + turn
        rule: Spec = {
            "name": f"{metric} {side}",
            "metric": metric,
            side: limit if turn < 2 else 0.03,
            "minimum": (5, 8, 1)[place % 3],
            "segment": _SEGMENTS[(place // 2) % 4],
            "by": ("value", "interval")[(place // 3) % 2],
            "severity": ("critical", "warning", "info")[place % 3],
        }
        window = _WINDOWS[(place + number // 4) % 4]
        rules.append(rule | ({"window": window} if window else {}))
    return rules


def drifts() -> list[Spec]:
    """Return every detector, as it is and sensitive, on every input."""
    return [
        {"name": f"{one} {number}", "input": one, **detector}
        for one in _INPUTS
        for number, detector in enumerate(_DETECTORS)
    ]


#: The default monitors when the streams were recorded: river's detectors on values as they are.
RULES: tuple[Spec, ...] = (
    {"name": "accuracy-drop", "metric": "accuracy", "falls_by": 0.10},
    {"name": "mae-rise", "metric": "mae", "rises_by": 0.25},
)
RAW: tuple[Spec, ...] = (
    {"name": "loss-drift", "input": "loss"},
    {"name": "loss-drift-page-hinkley", "input": "loss", "detector": "page_hinkley"},
    {"name": "score-drift", "input": "score", "severity": "info"},
    {"name": "feature-drift", "input": "features", "severity": "info"},
)

USUAL: Spec = {"defaults": False, "thresholds": [*RULES], "drift": [*RAW]}

ALL: Spec = {
    "reference": 80,
    "resolve_after": "15m",
    "evaluate_every": "2m",
    "defaults": False,
    "windows": ["1h"],
    "thresholds": [*thresholds(), *RULES],
    "drift": [*drifts(), *RAW],
}

DETECTORS: Spec = {
    "defaults": False,
    "windows": ["1h"],
    "resolve_after": "10m",
    "thresholds": [*RULES],
    "drift": [*drifts(), *RAW],
}

#: Few rules on everything, so that they fire in any traffic.
SENSITIVE: Spec = {
    "reference": 10,
    "resolve_after": "15m",
    "defaults": False,
    "windows": ["30m", {"size": "1h", "hop": "30m"}],
    "thresholds": [
        {
            "name": "floor",
            "metric": "accuracy",
            "below": 0.85,
            "minimum": 3,
            "window": "7m",
            "by": "value",
        },
        {
            "name": "drop",
            "metric": "accuracy",
            "falls_by": 0.01,
            "minimum": 3,
            "by": "value",
            "window": "30m",
        },
        {
            "name": "eu",
            "metric": "recall",
            "segment": "region=eu",
            "below": 0.9,
            "minimum": 2,
            "by": "value",
            "window": "30m",
        },
        {
            "name": "mae",
            "metric": "mae",
            "rises_by": 0.1,
            "minimum": 3,
            "window": "1m",
            "by": "value",
        },
        {
            "name": "slow",
            "metric": "latency_p50_ms",
            "above": 20.0,
            "minimum": 2,
            "window": "90s",
            "by": "value",
        },
        {
            "name": "gaps",
            "metric": "missing_rate:amount",
            "above": 0.01,
            "minimum": 2,
            "by": "value",
            "window": "30m",
        },
        {
            "name": "cover",
            "metric": "coverage",
            "below": 0.9,
            "minimum": 2,
            "by": "value",
            "window": "30m",
        },
        {"name": "quiet", "metric": "predictions", "falls_by": 0.5, "window": "10m", "by": "value"},
        {"name": "unlabelled", "metric": "labels", "below": 2, "window": "10m", "by": "value"},
        {
            "name": "likely",
            "metric": "log_loss",
            "rises_by": 0.05,
            "minimum": 2,
            "by": "value",
            "window": "30m",
        },
    ],
    "drift": [
        {"name": "loss", "input": "loss", "parameters": {"delta": 0.4}},
        *(
            {
                "name": f"{one}-ph",
                "input": one,
                "detector": "page_hinkley",
                "parameters": {"reference": 5, "block": 1, "threshold": 1, "delta": 0.01},
            }
            for one in ("loss", "features", "score")
        ),
    ],
}


def with_window(rules: list[Spec], window: str) -> list[Spec]:
    """Return rules with another window, where they have that of most streams."""
    return [one | ({"window": window} if one["window"] == "30m" else {}) for one in rules]


#: The defaults of that time alone, and windows of an hour.
PLAIN: Spec = USUAL | {"windows": ["1h"]}
