"""The stationary catalogue: streams in which nothing changes, so that every alert is false."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from benchmarks.signal import columns, models, traffic
from benchmarks.signal.stream import (
    Ints,
    Rng,
    Stream,
    at_weekend,
    hour_angle,
    with_features,
)

RATES = (2_000, 20_000, 200_000)
"""Predictions a month."""

Times = Callable[[Rng, float, int], Ints]


@dataclass(frozen=True)
class Row:
    """A kind of stream.

    Attributes
    ----------
    title
        For the page.
    make
        Makes a stream of a rate that begins at a midnight.
    drawn_as
        Rows of one such name are drawn alike, seed by seed; "" is the row's own name.
    """

    name: str
    title: str
    make: Callable[[Rng, float, int], Stream]
    rates: tuple[int, ...] = RATES
    drawn_as: str = ""


def _flat(rng: Rng, rate: float, begun_ms: int, *, error: float) -> Stream:
    return models.classifier(rng, begun_ms, traffic.poisson(rng, rate, begun_ms), error=error)


def _bursts(rng: Rng, rate: float, begun_ms: int) -> Stream:
    return models.classifier(rng, begun_ms, traffic.bursts(rng, rate, begun_ms), error=0.05)


def _sessions(rng: Rng, rate: float, begun_ms: int) -> Stream:
    time_ms = traffic.poisson(rng, rate, begun_ms)
    error = models.session_errors(rng, len(time_ms))
    return models.classifier(rng, begun_ms, time_ms, error=error)


def _daily(rng: Rng, rate: float, begun_ms: int) -> Stream:
    time_ms = traffic.poisson(rng, rate, begun_ms, traffic.daily)
    error = 0.05 + 0.02 * np.sin(hour_angle(time_ms))
    return models.classifier(rng, begun_ms, time_ms, error=error)


def _weekend(rng: Rng, rate: float, begun_ms: int) -> Stream:
    time_ms = traffic.poisson(rng, rate, begun_ms, traffic.weekly)
    error = np.where(at_weekend(time_ms), 0.08, 0.05)
    return models.classifier(rng, begun_ms, time_ms, error=error)


def _score_daily(rng: Rng, rate: float, begun_ms: int) -> Stream:
    time_ms = traffic.poisson(rng, rate, begun_ms)
    positives = 0.3 + 0.1 * np.sin(hour_angle(time_ms))
    return models.classifier(rng, begun_ms, time_ms, error=0.05, positives=positives)


def _five(rng: Rng, rate: float, begun_ms: int) -> Stream:
    return models.five_classes(rng, begun_ms, traffic.poisson(rng, rate, begun_ms))


def _regression(rng: Rng, rate: float, begun_ms: int, *, kind: str, unit: float) -> Stream:
    time_ms = traffic.poisson(rng, rate, begun_ms)
    return models.regression(rng, begun_ms, time_ms, kind=kind, unit=unit)


def _seventeen(rng: Rng, rate: float, begun_ms: int, *, times: Times) -> Stream:
    time_ms = times(rng, rate, begun_ms)
    stream = models.classifier(rng, begun_ms, time_ms, error=0.05)
    return with_features(stream, columns.seventeen(rng, time_ms))


def _fifty(rng: Rng, rate: float, begun_ms: int, *, seasonal: bool) -> Stream:
    time_ms = traffic.poisson(rng, rate, begun_ms)
    stream = models.classifier(rng, begun_ms, time_ms, error=0.05)
    return with_features(stream, columns.fifty(rng, time_ms, seasonal=seasonal))


def _rows_of_regressions() -> list[Row]:
    titles = {
        "gauss": "error N(0, 1)",
        "t3": "error t3",
        "proportional": "error in proportion to the target",
        "pareto": "error ± Pareto(1.5)",
    }
    return [
        Row(
            f"{kind}-x{unit:g}",
            f"regression, {title}, unit ×{unit:g}",
            partial(_regression, kind=kind, unit=unit),
            drawn_as=kind,
        )
        for kind, title in titles.items()
        for unit in (0.01, 1.0, 1_000.0)
    ]


STATIONARY = (
    *(
        Row(f"error-{e:g}", f"error {e:g} %", partial(_flat, error=e / 100))
        for e in (0.1, 1, 5, 20)
    ),
    *(
        Row(
            f"error-{e}",
            f"error {e} %, 75k a month",
            partial(_flat, error=e / 100),
            rates=(75_000,),
        )
        for e in (30, 40)
    ),
    Row("bursts", "error 5 %, bursts of 200 rows", _bursts),
    Row("sessions", "error 5 %, about 20 rows share a rate", _sessions),
    Row("daily", "error 5 ± 2 % and traffic by hour of the day", _daily),
    Row("weekend", "error 5 %, 8 % and little traffic at weekends", _weekend),
    Row("score-daily", "positives 30 ± 10 % by hour of the day", _score_daily),
    Row("five-classes", "five classes, error 10 %", _five),
    *_rows_of_regressions(),
    Row("17-poisson", "17 features", partial(_seventeen, times=traffic.poisson)),
    Row("17-bursts", "17 features, bursts", partial(_seventeen, times=traffic.bursts)),
    Row(
        "17-daily",
        "17 features, traffic by hour of the day",
        partial(_seventeen, times=partial(traffic.poisson, intensity=traffic.daily)),
    ),
    Row("50-iid", "50 independent features", partial(_fifty, seasonal=False)),
    Row("50-seasonal", "50 features, 15 with a daily cycle", partial(_fifty, seasonal=True)),
)
