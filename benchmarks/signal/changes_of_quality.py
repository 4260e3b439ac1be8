"""Changes of how good a model is: errors, distances, probabilities, one class, one segment."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from benchmarks.signal import models, traffic
from benchmarks.signal.change import LOSS, PROBABILITIES, Change
from benchmarks.signal.stream import DAY_MS, HOUR_MS, Floats, Ints, Rng, Stream, made

Course = Callable[[Ints, int], Floats]
"""Error rates at times, with a change at a time."""

SEGMENT = "site=b"


def _step(time_ms: Ints, change_ms: int, *, before: float, after: float) -> Floats:
    return np.where(time_ms >= change_ms, after, before)


def _ramp(time_ms: Ints, change_ms: int, *, before: float, after: float) -> Floats:
    """Rise over a week."""
    share = np.clip((time_ms - change_ms) / (7 * DAY_MS), 0, 1)
    return before + (after - before) * share


def _alternating(time_ms: Ints, change_ms: int, *, before: float, after: float) -> Floats:
    """Take turns day by day."""
    wrong = (time_ms >= change_ms) & ((time_ms - change_ms) // DAY_MS % 2 == 0)
    return np.where(wrong, after, before)


def _incident(time_ms: Ints, change_ms: int, *, before: float, after: float) -> Floats:
    """Be over after 6 hours."""
    wrong = (time_ms >= change_ms) & (time_ms < change_ms + 6 * HOUR_MS)
    return np.where(wrong, after, before)


def _errors(rng: Rng, rate: float, begun_ms: int, change_ms: int, *, course: Course) -> Stream:
    time_ms = traffic.poisson(rng, rate, begun_ms)
    return models.classifier(rng, begun_ms, time_ms, error=course(time_ms, change_ms))


def _fraud(
    rng: Rng, rate: float, begun_ms: int, change_ms: int, *, recall: float, after: float
) -> Stream:
    """1 % positives, of which so many are found; 0.3 % of the others are called positive."""
    time_ms = traffic.poisson(rng, rate, begun_ms)
    label = (rng.random(len(time_ms)) < 0.01).astype(float)
    found = _step(time_ms, change_ms, before=recall, after=after)
    said = rng.random(len(time_ms)) < np.where(label == 1, found, 0.003)
    number = said.astype(float)
    score = (number + rng.beta(2, 2, len(time_ms))) / 2
    stream = {"begun_ms": begun_ms, "time_ms": time_ms, "number": number, "label": label}
    return made(rng, **stream, score=score)


def _segment(rng: Rng, rate: float, begun_ms: int, change_ms: int, *, after: float) -> Stream:
    """One segment of 5 % of the rows gets worse, the other stays."""
    time_ms = traffic.poisson(rng, rate, begun_ms)
    segment = (rng.random(len(time_ms)) < 0.05).astype(np.int64)
    error = np.where((segment == 1) & (time_ms >= change_ms), after, 0.05)
    stream = models.classifier(rng, begun_ms, time_ms, error=error)
    return replace(stream, segment=segment, segments=("site=a", SEGMENT))


def _one_class(rng: Rng, rate: float, begun_ms: int, change_ms: int) -> Stream:
    """Miss a class of 10 % of the labels at 60 %, the others still at 10 %."""
    time_ms = traffic.poisson(rng, rate, begun_ms)
    label = models.draw_classes(rng, len(time_ms))
    error = np.where((label == 3) & (time_ms >= change_ms), 0.6, 0.1)
    return models.of_labels(rng, begun_ms, time_ms, label=label, error=error)


def _distances(
    rng: Rng,
    rate: float,
    begun_ms: int,
    change_ms: int,
    *,
    kind: str = "gauss",
    unit: float = 1.0,
    spread: float = 1.0,
    bias: float = 0.0,
) -> Stream:
    time_ms = traffic.poisson(rng, rate, begun_ms)
    return models.regression(
        rng,
        begun_ms,
        time_ms,
        kind=kind,
        unit=unit,
        spread=_step(time_ms, change_ms, before=1.0, after=spread),
        bias=_step(time_ms, change_ms, before=0.0, after=bias),
    )


def _calibration(
    rng: Rng, rate: float, begun_ms: int, change_ms: int, *, shape: tuple[float, float]
) -> Stream:
    """Scores are pushed to 0 and 1: their logits are four times as large, the classes the same."""
    time_ms = traffic.poisson(rng, rate, begun_ms)
    chance = rng.beta(*shape, len(time_ms))
    sure = chance**4 / (chance**4 + (1 - chance) ** 4)
    score = np.where(time_ms >= change_ms, sure, chance)
    return _of_chances(rng, begun_ms, time_ms, chance=chance, score=score)


def _ranking(rng: Rng, rate: float, begun_ms: int, change_ms: int) -> Stream:
    """Scores below the threshold are given to any of the others below it."""
    time_ms = traffic.poisson(rng, rate, begun_ms)
    chance = rng.beta(1, 8, len(time_ms))
    low = np.flatnonzero((time_ms >= change_ms) & (chance < 0.5))
    score = chance.copy()
    score[low] = chance[rng.permutation(low)]
    return _of_chances(rng, begun_ms, time_ms, chance=chance, score=score)


def _of_chances(rng: Rng, begun_ms: int, time_ms: Ints, *, chance: Floats, score: Floats) -> Stream:
    """Draw labels from the true probabilities; the class is what the score says."""
    label = (rng.random(len(time_ms)) < chance).astype(float)
    number = (score > 0.5).astype(float)
    stream = {"begun_ms": begun_ms, "time_ms": time_ms, "number": number, "label": label}
    return made(rng, **stream, score=score)


def _release(rng: Rng, rate: float, begun_ms: int, change_ms: int, *, after: float) -> Stream:
    """Version 2 takes over, bad from its first row."""
    stream = _errors(
        rng, rate, begun_ms, change_ms, course=partial(_step, before=0.05, after=after)
    )
    return replace(stream, version=np.where(stream.time_ms >= change_ms, 2, 1))


def _of_errors(name: str, title: str, course: Course, **about: object) -> Change:
    return Change(name, title, LOSS, partial(_errors, course=course), **about)


def _from_to(before: float, after: float) -> Change:
    return _of_errors(
        f"error-{before:g}-{after:g}",
        f"error {before:g} → {after:g} %",
        partial(_step, before=before / 100, after=after / 100),
        direction="better" if after < before else "",
        after=after / 100,
    )


def _larger(kind: str, spread: float, unit: float = 1.0) -> Change:
    title = {"gauss": "Gauss", "t3": "t3"}[kind]
    return Change(
        f"{kind}-sd-{spread:g}-x{unit:g}",
        f"{title} error, sd ×{spread:g}, unit ×{unit:g}",
        LOSS,
        partial(_distances, kind=kind, spread=spread, unit=unit),
        after=np.sqrt(2 / np.pi) * spread * unit if kind == "gauss" else None,
        drawn_as=f"{kind}-sd-{spread:g}",
    )


_5_10 = {"before": 0.05, "after": 0.10}

OF_QUALITY = (
    *(_from_to(*pair) for pair in ((5, 10), (10, 15), (1, 3), (0.1, 0.5), (5, 20), (20, 30))),
    _from_to(10, 5),
    _of_errors("error-ramp", "error 5 → 10 % over a week", partial(_ramp, **_5_10)),
    _of_errors("error-days", "error 5 and 10 % on alternate days", partial(_alternating, **_5_10)),
    _of_errors(
        "incident",
        "incident of 6 h, error 5 → 30 %",
        partial(_incident, before=0.05, after=0.30),
        incident=True,
    ),
    *(
        Change(
            f"fraud-{after:g}",
            f"fraud, 1 % positives: recall 0.8 → {after:g}",
            (*LOSS, "log_loss*"),
            partial(_fraud, recall=0.8, after=after),
        )
        for after in (0.2, 0.0)
    ),
    *(
        Change(
            f"segment-{after:g}",
            f"a segment of 5 % of the rows: error 5 → {after:g} %",
            LOSS,
            partial(_segment, after=after / 100),
        )
        for after in (50, 20)
    ),
    Change("one-class", "one class of five: error 10 → 60 %", LOSS, _one_class),
    _larger("gauss", 1.25),
    *(_larger("gauss", 1.5, unit) for unit in (0.001, 1.0, 1_000.0)),
    _larger("t3", 1.5),
    Change("gauss-biased", "Gauss error, bias +0.5 sd", LOSS, partial(_distances, bias=0.5)),
    *(
        Change(
            f"calibration-{shape[1]}",
            f"calibration lost, scores Beta{shape}",
            PROBABILITIES,
            partial(_calibration, shape=shape),
        )
        for shape in ((2, 2), (2, 5))
    ),
    Change("ranking", "ranking lost below the threshold", PROBABILITIES, _ranking),
    *(
        Change(
            f"release-{after:g}",
            f"version 2 from its first row: error 5 → {after:g} %",
            LOSS,
            partial(_release, after=after / 100),
            after=after / 100,
        )
        for after in (25, 10)
    ),
)
