"""Changes of what comes: features, classes predicted, traffic, latency, labels."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from benchmarks.signal import columns, models, traffic
from benchmarks.signal.change import (
    DELAY,
    FEATURE,
    LABELS,
    LATENCY,
    SHARES,
    TRAFFIC,
    Change,
)
from benchmarks.signal.stream import NEVER, Floats, Ints, Rng, Stream, with_features
from streams.categories import category

Draw = Callable[[Rng, Ints], Floats]
"""A feature before any change."""

After = Callable[[Rng, Floats], Floats]
"""What becomes of its values."""


# --- features


def _feature(
    rng: Rng, rate: float, begun_ms: int, change_ms: int, *, draw: Draw, after: After
) -> Stream:
    """Feature `x` changes; nine others do not."""
    time_ms = traffic.poisson(rng, rate, begun_ms)
    stream = models.classifier(rng, begun_ms, time_ms, error=0.05)
    x = draw(rng, time_ms)
    late = time_ms >= change_ms
    x[late] = after(rng, x[late])
    return with_features(stream, {"x": x, **columns.nine(rng, len(time_ms))})


def _normal(rng: Rng, time_ms: Ints) -> Floats:
    return rng.normal(50, 10, len(time_ms))


def _flag(rng: Rng, time_ms: Ints, *, share: float) -> Floats:
    return (rng.random(len(time_ms)) < share).astype(float)


def _one_in_100_missing(rng: Rng, time_ms: Ints) -> Floats:
    return missing(rng, _normal(rng, time_ms), share=0.01)


def _remembering(rng: Rng, time_ms: Ints) -> Floats:
    return columns.remembering(rng, len(time_ms), 0.99)


def _daily(rng: Rng, time_ms: Ints) -> Floats:
    return columns.cycle(rng, time_ms, 1.0)


def _codes(rng: Rng, time_ms: Ints) -> Floats:
    return rng.choice([1.0, 2.0, 3.0], len(time_ms), p=[0.5, 0.3, 0.2])


def _texts(rng: Rng, time_ms: Ints) -> Floats:
    words = np.array([category(word) for word in ("red", "green", "blue")])
    return words[rng.choice(3, len(time_ms), p=[0.5, 0.3, 0.2])]


def missing(rng: Rng, values: Floats, *, share: float) -> Floats:
    """Return the values, so many of them missing."""
    return np.where(rng.random(len(values)) < share, np.nan, values)


def _scaled(_: Rng, values: Floats, *, by: float) -> Floats:
    return values * by


def _shifted(_: Rng, values: Floats, *, by: float) -> Floats:
    return values + by


def _constant(_: Rng, values: Floats, *, value: float) -> Floats:
    return np.full(len(values), value)


def _spread(_: Rng, values: Floats, *, by: float) -> Floats:
    return 50 + (values - 50) * by


def _without_largest(_: Rng, values: Floats) -> Floats:
    """Lose the largest 20 % of N(50, 10)."""
    return np.where(values > 58.416, np.nan, values)


def _instead(rng: Rng, values: Floats, *, value: float, share: float) -> Floats:
    return np.where(rng.random(len(values)) < share, value, values)


def _as_texts(_: Rng, values: Floats) -> Floats:
    return np.array([category(f"{value:.3f}") for value in values])


def _again(rng: Rng, values: Floats, *, share: float) -> Floats:
    return (rng.random(len(values)) < share).astype(float)


def _of_feature(
    name: str, title: str, draw: Draw, after: After, *, level: float | None = None
) -> Change:
    return Change(
        f"feature-{name}",
        f"feature {title}",
        FEATURE,
        partial(_feature, draw=draw, after=after),
        after=level,
    )


_OF_FEATURES = (
    _of_feature("x1000", "×1000", _normal, partial(_scaled, by=1_000), level=50_000),
    _of_feature("x0.001", "×0.001", _normal, partial(_scaled, by=0.001), level=0.05),
    _of_feature("zero", "all 0", _normal, partial(_constant, value=0.0), level=0.0),
    _of_feature("+0.5", "+0.5 sd", _normal, partial(_shifted, by=5), level=55.0),
    _of_feature("+0.2", "+0.2 sd", _normal, partial(_shifted, by=2), level=52.0),
    _of_feature("+0.1", "+0.1 sd", _normal, partial(_shifted, by=1)),
    _of_feature("frozen", "frozen at its median", _normal, partial(_constant, value=50.0)),
    _of_feature("sd", "sd ×2", _normal, partial(_spread, by=2)),
    _of_feature(
        "missing", "missing 1 → 20 %", _one_in_100_missing, partial(missing, share=0.192), level=0.2
    ),
    _of_feature("null", "all null", _normal, partial(_constant, value=np.nan)),
    _of_feature("largest", "the largest 20 % missing", _normal, _without_largest),
    _of_feature(
        "code", "a new code (number), 10 %", _codes, partial(_instead, value=4.0, share=0.1)
    ),
    _of_feature(
        "category",
        "a new category (text), 10 %",
        _texts,
        partial(_instead, value=category("black"), share=0.1),
    ),
    _of_feature("text", "numbers become text", _normal, _as_texts),
    _of_feature(
        "flag", "a flag, 0.1 → 1 %", partial(_flag, share=0.001), partial(_again, share=0.01)
    ),
    _of_feature(
        "flag-off", "a flag, 2 → 0 %", partial(_flag, share=0.02), partial(_again, share=0)
    ),
    _of_feature("-999", "5 % become −999", _normal, partial(_instead, value=-999.0, share=0.05)),
    _of_feature("ar", "AR(0.99), +1 sd", _remembering, partial(_shifted, by=1)),
    _of_feature("cycle", "under a daily cycle of 1 sd, +0.5 sd", _daily, partial(_shifted, by=0.5)),
)


# --- the rest


def _positives(rng: Rng, rate: float, begun_ms: int, change_ms: int, *, scored: bool) -> Stream:
    time_ms = traffic.poisson(rng, rate, begun_ms)
    positives = np.where(time_ms >= change_ms, 0.15, 0.05)
    return models.classifier(rng, begun_ms, time_ms, error=0.05, positives=positives, scored=scored)


def _traffic(rng: Rng, rate: float, begun_ms: int, change_ms: int, *, by: float) -> Stream:
    def intensity(time_ms: Ints) -> Floats:
        return np.where(time_ms >= change_ms, by, 1.0)

    return models.classifier(
        rng, begun_ms, traffic.poisson(rng, rate, begun_ms, intensity), error=0.05
    )


def _slower(rng: Rng, rate: float, begun_ms: int, change_ms: int) -> Stream:
    stream, late = _usual(rng, rate, begun_ms, change_ms)
    return replace(stream, latency_ms=np.where(late, 2 * stream.latency_ms, stream.latency_ms))


def _labels_later(rng: Rng, rate: float, begun_ms: int, change_ms: int) -> Stream:
    time_ms = traffic.poisson(rng, rate, begun_ms)
    minutes = np.where(time_ms >= change_ms, 40.0, 10.0)
    return models.classifier(rng, begun_ms, time_ms, error=0.05, delay_minutes=minutes)


def _fewer_labels(
    rng: Rng, rate: float, begun_ms: int, change_ms: int, *, before: float, after: float
) -> Stream:
    stream, late = _usual(rng, rate, begun_ms, change_ms)
    comes = rng.random(len(late)) < np.where(late, after, before)
    return replace(stream, label_ms=np.where(comes, stream.label_ms, NEVER))


def _usual(
    rng: Rng, rate: float, begun_ms: int, change_ms: int
) -> tuple[Stream, NDArray[np.bool_]]:
    """Return a classifier that errs at 5 %, and which rows come after the change."""
    time_ms = traffic.poisson(rng, rate, begun_ms)
    return models.classifier(rng, begun_ms, time_ms, error=0.05), time_ms >= change_ms


_OF_THE_REST = (
    *(
        Change(
            f"positives-{'scores' if scored else 'classes'}",
            f"positives 5 → 15 %, {'with' if scored else 'without'} scores",
            SHARES,
            partial(_positives, scored=scored),
        )
        for scored in (True, False)
    ),
    *(
        Change(f"traffic-{by:g}", f"traffic ×{by:g}", TRAFFIC, partial(_traffic, by=by))
        for by in (0.0, 0.5, 2.0)
    ),
    Change("latency", "latency ×2", LATENCY, _slower),
    Change("delay", "label delay 10 → 40 min", DELAY, _labels_later),
    Change("labels-stop", "labels stop", LABELS, partial(_fewer_labels, before=1.0, after=0.0)),
    Change(
        "coverage",
        "95 → 50 % of the predictions get a label",
        LABELS,
        partial(_fewer_labels, before=0.95, after=0.5),
    ),
)

OF_DATA = (*_OF_FEATURES, *_OF_THE_REST)
