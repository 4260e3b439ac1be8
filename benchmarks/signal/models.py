"""Models that err as they are told to: classifiers, regressions, and what depends on what."""

import numpy as np

from benchmarks.signal.stream import Floats, Ints, Rng, Stream, made

CLASSES = (0.40, 0.30, 0.15, 0.10, 0.05)


def classifier(
    rng: Rng,
    begun_ms: int,
    time_ms: Ints,
    *,
    error: float | Floats,
    positives: float | Floats = 0.3,
    scored: bool = True,
    delay_minutes: float | Floats = 10.0,
) -> Stream:
    """Return a classifier whose scores are Beta(2, 2) on its side of 0.5.

    What it predicts is independent of whether that is wrong: an error moves the labels alone.

    Parameters
    ----------
    error, positives
        Of every prediction, the probability that it is wrong, and that it is positive.
    """
    count = len(time_ms)
    number = (rng.random(count) < positives).astype(float)
    wrong = rng.random(count) < error
    score = (number + rng.beta(2, 2, count)) / 2
    return made(
        rng,
        begun_ms=begun_ms,
        time_ms=time_ms,
        number=number,
        label=np.where(wrong, 1 - number, number),
        score=score if scored else None,
        delay_minutes=delay_minutes,
    )


def sessions(rng: Rng, count: int) -> Ints:
    """Return the session of every row: a row starts a new one with a probability of 1/20."""
    return np.cumsum(rng.random(count) < 1 / 20)


def session_errors(rng: Rng, count: int) -> Floats:
    """Return error rates that rows of a session share, Beta(0.5, 9.5): 5 % in the mean."""
    session = sessions(rng, count)
    return rng.beta(0.5, 9.5, int(session[-1]) + 1 if count else 0)[session]


def five_classes(rng: Rng, begun_ms: int, time_ms: Ints, *, error: Floats | float = 0.1) -> Stream:
    """Return a classifier of five classes: which label is missed, decides `error` by row."""
    label = draw_classes(rng, len(time_ms))
    return of_labels(rng, begun_ms, time_ms, label=label, error=error)


def draw_classes(rng: Rng, count: int) -> Ints:
    """Return true classes, 40, 30, 15, 10 and 5 % of them."""
    return rng.choice(len(CLASSES), count, p=CLASSES)


def of_labels(
    rng: Rng, begun_ms: int, time_ms: Ints, *, label: Ints, error: Floats | float
) -> Stream:
    """Return a classifier that says any of the four other classes where it is wrong."""
    count = len(time_ms)
    wrong = rng.random(count) < error
    other = (label + rng.integers(1, len(CLASSES), count)) % len(CLASSES)
    number = np.where(wrong, other, label).astype(float)
    return made(rng, begun_ms=begun_ms, time_ms=time_ms, number=number, label=label.astype(float))


def regression(
    rng: Rng,
    begun_ms: int,
    time_ms: Ints,
    *,
    kind: str = "gauss",
    unit: float = 1.0,
    spread: float | Floats = 1.0,
    bias: float | Floats = 0.0,
) -> Stream:
    """Return a regression of a lognormal(3, 0.5) target.

    Parameters
    ----------
    kind
        Of errors: `gauss`, `t3`, `proportional` to the target (5 %), or `pareto` (1.5, any sign).
    spread, bias
        What errors are multiplied with, and what is added to them.
    unit
        Of target and prediction.
    """
    count = len(time_ms)
    target = rng.lognormal(3.0, 0.5, count)
    error = {
        "gauss": lambda: rng.normal(0, 1, count),
        "t3": lambda: rng.standard_t(3, count),
        "proportional": lambda: target * rng.normal(0, 0.05, count),
        "pareto": lambda: rng.pareto(1.5, count) * rng.choice([-1, 1], count),
    }[kind]()
    return made(
        rng,
        begun_ms=begun_ms,
        time_ms=time_ms,
        number=(target + error * spread + bias) * unit,
        label=target * unit,
    )
