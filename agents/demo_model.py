"""The model of `driftline demo` and a day in its life.

The model is real: a logistic regression that learns online from sensor readings of a NASA space
shuttle (Statlog Shuttle, https://doi.org/10.24432/C5WS31, as river ships it: 49,097 rows, nine
integer sensors f1 to f9, 7 % anomalies). It learns from the first rows and is frozen; then it
serves rows that it has never seen. Half-way, two sensor cables are swapped, as maintenance does
now and then: nothing crashes, every value stays plausible, and the share of wrong answers rises
from 0.5 % to 17 %. As it happens with such days, more has been touched: two sensors of five run a
firmware that nobody has seen before, one sensor falls silent now and then (the model goes on with
its last reading), and the GPU, whose fan is blocked, gets hot.

Traffic is as untidy as in life: labels come late, twice, wrong at first, or never; a few arrive
before their prediction; one record is not JSON at all. The seed makes it the same every time.
"""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec
from confluent_kafka import Producer
from river import datasets, linear_model, preprocessing

from driftline import Publisher

PREFIX = "driftline"
MODEL = "shuttle-anomaly"
VERSION = "1"
TRAINING_ROWS = 10_000
SERVED_ROWS = 18_000
SWAPPED = ("f7", "f9")
SILENT = "f4"
FIRMWARE, NEW_FIRMWARE = "7.1", "7.2-rc1"
GARBAGE = b'{"prediction_id": "shuttle-\xff\xfe", "predic'

MISSING_SHARE = 0.03
EARLY_SHARE = 0.01
CORRECTED_SHARE = 0.01
RETRACTED_SHARE = 0.003
REPEATED_SHARE = 0.01
ORPHANS = 5
NEW_FIRMWARE_SHARE = 0.4
SILENT_SHARE = 0.2
READ_EVERY_MS = 10_000
COOL_CELSIUS, HOT_CELSIUS = 62.0, 91.0

_GAP_MS = (50, 150)
_LABEL_DELAY_MS = (10_000, 60_000)
_SECOND_THOUGHT_MS = (5_000, 20_000)
_PACE_S = 0.02
_STOP_S = 5.0

Features = dict[str, float]
Row = tuple[Features, bool]
Told = dict[str, float | str | None]
Scorer = Callable[[Features], float]


class ModelServerError(RuntimeError):
    """The model server could not publish what it should; the message says why."""


class SentPrediction(msgspec.Struct, frozen=True):
    """What the model server publishes when it answers; `arrival_ms` is event time."""

    arrival_ms: int
    prediction_id: str
    timestamp_ms: int
    prediction: bool
    score: float
    features: Told
    latency_ms: float


class SentLabel(msgspec.Struct, frozen=True):
    """What is published when the truth is known; a label of None withdraws the one before."""

    arrival_ms: int
    prediction_id: str
    timestamp_ms: int
    label: bool | None


class SentReading(msgspec.Struct, frozen=True):
    """What the watcher of the host publishes; `arrival_ms` is when it was read."""

    arrival_ms: int
    gpu_utilization: float
    gpu_temperature_celsius: float
    gpu_throttled: bool


class SentGarbage(msgspec.Struct, frozen=True):
    """A record on the predictions topic that is no prediction."""

    arrival_ms: int
    value: bytes


Sent = SentPrediction | SentLabel | SentReading | SentGarbage


class Scenario(msgspec.Struct, frozen=True):
    """Everything that will be published, in order of arrival.

    Attributes
    ----------
    start_ms, end_ms
        Event time of the start, and of the last arrival.
    change_ms
        Event time of the first prediction with swapped sensors.
    error_before, error_after
        Share of wrong answers on either side of the change.
    """

    events: tuple[Sent, ...]
    start_ms: int
    change_ms: int
    end_ms: int
    error_before: float
    error_after: float


def shuttle_rows() -> list[Row]:
    """Read the rows that the demo uses, in the order of the file."""
    wanted = itertools.islice(datasets.Shuttle(), TRAINING_ROWS + SERVED_ROWS)
    return [(features, bool(anomaly)) for features, anomaly in wanted]


def train(rows: Iterable[Row]) -> Scorer:
    """Learn from `rows` one by one, and freeze.

    Returns
    -------
    Scorer
        The probability of an anomaly, from 0 to 1. It learns nothing more.
    """
    model = preprocessing.StandardScaler() | linear_model.LogisticRegression()
    for features, anomaly in rows:
        model.learn_one(features, anomaly)
    return lambda features: float(model.predict_proba_one(features)[True])


def swap_sensors(features: Features) -> Features:
    """Exchange the readings of the two sensors of `SWAPPED`, in a copy."""
    one, other = SWAPPED
    return {**features, one: features[other], other: features[one]}


def plan_traffic(
    score: Scorer, rows: Sequence[Row], *, start_ms: int, seed: int = 7, swap_only: bool = False
) -> Scenario:
    """Let the model answer `rows`, one every 100 ms or so of event time, and plan all arrivals.

    Parameters
    ----------
    score
        The frozen model. An anomaly is predicted from a score of 0.5.
    rows
        What it is asked, with the truth. From the middle on, it sees swapped sensors.
    start_ms
        Event time of the start, milliseconds UTC.
    seed
        Of every random choice.
    swap_only
        Nothing but the swapped sensors goes wrong, and there are no readings of the host.
    """
    rng, more = random.Random(seed), random.Random(seed + 1)  # noqa: S311 - reproducible on purpose
    events: list[Sent] = []
    wrong = [0, 0]
    now_ms = change_ms = start_ms
    middle = len(rows) // 2
    for number, (readings, truth) in enumerate(rows):
        now_ms += rng.randint(*_GAP_MS)
        if number == middle:
            change_ms = now_ms
        features = readings if number < middle else swap_sensors(readings)
        told: Told = {**features}
        if not swap_only:
            told = _told(features, changed=number >= middle, rng=more)
        answer = _answer(score(features), told, number=number, now_ms=now_ms, rng=rng)
        wrong[number >= middle] += answer.prediction != truth
        events += _arrivals(answer, truth, rng=rng)
    events += _strays(start_ms, now_ms, rng=rng)
    if not swap_only:
        events += _readings(start_ms, now_ms, change_ms=change_ms, rng=more)
    events.sort(key=lambda event: event.arrival_ms)
    return Scenario(
        events=tuple(events),
        start_ms=start_ms,
        change_ms=change_ms,
        end_ms=events[-1].arrival_ms,
        error_before=wrong[0] / middle,
        error_after=wrong[1] / (len(rows) - middle),
    )


def _told(features: Features, *, changed: bool, rng: random.Random) -> Told:
    """Return the features as they are published."""
    told: Told = {**features, "firmware": FIRMWARE}
    if changed and rng.random() < NEW_FIRMWARE_SHARE:
        told["firmware"] = NEW_FIRMWARE
    if changed and rng.random() < SILENT_SHARE:
        told[SILENT] = None
    return told


def _readings(
    start_ms: int, end_ms: int, *, change_ms: int, rng: random.Random
) -> Iterator[SentReading]:
    """Yield readings of the GPU, which takes five minutes to get hot."""
    for at_ms in range(start_ms, end_ms, READ_EVERY_MS):
        part = min(max(at_ms - change_ms, 0) / 300_000, 1.0)
        celsius = COOL_CELSIUS + part * (HOT_CELSIUS - COOL_CELSIUS) + rng.uniform(-1.5, 1.5)
        yield SentReading(at_ms, round(rng.uniform(0.4, 0.6), 3), round(celsius, 1), celsius > 85.0)


def _answer(
    score: float, features: Told, *, number: int, now_ms: int, rng: random.Random
) -> SentPrediction:
    return SentPrediction(
        arrival_ms=now_ms,
        prediction_id=f"shuttle-{number:05}",
        timestamp_ms=now_ms,
        prediction=score >= 0.5,
        score=round(score, 6),
        features=features,
        latency_ms=round(rng.lognormvariate(1.5, 0.5), 2),
    )


def _arrivals(answer: SentPrediction, truth: bool, *, rng: random.Random) -> Iterator[Sent]:
    """Yield the prediction and what becomes known about it; one draw decides on its lot."""
    lot = rng.random()
    early = MISSING_SHARE <= lot < MISSING_SHARE + EARLY_SHARE
    if early:  # the server's first attempt to publish failed, and the truth was known at once
        answer = msgspec.structs.replace(answer, arrival_ms=answer.arrival_ms + 2_000)
    yield answer
    if rng.random() < REPEATED_SHARE:
        yield msgspec.structs.replace(answer, arrival_ms=answer.arrival_ms + rng.randint(1, 3_000))
    if lot >= MISSING_SHARE:
        delay_ms = (200, 1_500) if early else _LABEL_DELAY_MS
        known_ms = answer.timestamp_ms + rng.randint(*delay_ms)
        yield from _labels(answer, truth, lot=lot, known_ms=known_ms, rng=rng)


def _labels(
    answer: SentPrediction, truth: bool, *, lot: float, known_ms: int, rng: random.Random
) -> Iterator[SentLabel]:
    corrected = lot >= 1 - CORRECTED_SHARE
    retracted = not corrected and lot >= 1 - CORRECTED_SHARE - RETRACTED_SHARE
    label = SentLabel(known_ms, answer.prediction_id, known_ms, truth != corrected)
    yield label
    again_ms = known_ms + rng.randint(*_SECOND_THOUGHT_MS)
    if corrected or retracted:
        final = None if retracted else truth
        yield SentLabel(again_ms, answer.prediction_id, again_ms, final)
    elif rng.random() < REPEATED_SHARE:
        yield msgspec.structs.replace(label, arrival_ms=again_ms)


def _strays(start_ms: int, end_ms: int, *, rng: random.Random) -> Iterator[Sent]:
    """Yield what belongs to nothing: labels without a prediction, and a record that is not JSON."""
    yield SentGarbage((start_ms + end_ms) // 2, GARBAGE)
    for number in range(ORPHANS):
        at_ms = rng.randint(start_ms, end_ms)
        yield SentLabel(at_ms, f"stranger-{number}", at_ms, True)


class ModelServer(threading.Thread):
    """Publish the events of a scenario, evenly over `stream_s` seconds.

    Attributes
    ----------
    sent : int
        Events published so far.
    seconds : float
        How long it took; 0 until it is done.
    """

    def __init__(self, bootstrap_servers: str, scenario: Scenario, *, stream_s: float) -> None:
        super().__init__(name="demo-model-server", daemon=True)
        self.sent = 0
        self.seconds = 0.0
        self._bootstrap_servers = bootstrap_servers
        self._scenario = scenario
        self._stream_s = stream_s
        self._halt = threading.Event()
        self._error: Exception | None = None

    def run(self) -> None:
        """Publish until the last event, or `stop`; an error is kept for `check`."""
        try:
            self._publish()
        except Exception as error:  # noqa: BLE001 - raised again in the main thread by check()
            self._error = error

    def stop(self) -> None:
        """Stop publishing and wait until what is queued is sent."""
        self._halt.set()
        self.join(_STOP_S)

    def check(self) -> None:
        """Raise here what went wrong there."""
        if self._error is not None:
            raise ModelServerError(f"the model server failed: {self._error}") from self._error

    def _publish(self) -> None:
        started_s = time.monotonic()
        settings = {"bootstrap.servers": self._bootstrap_servers, "partitioner": "murmur2_random"}
        raw = Producer(settings)
        try:
            with Publisher(self._bootstrap_servers, prefix=PREFIX) as publisher:
                for event in self._scenario.events:
                    if not self._wait(started_s + self._due_s(event)):
                        return
                    _send(event, publisher=publisher, raw=raw)
                    self.sent += 1
        finally:
            raw.flush(_STOP_S)
        if publisher.dropped:
            raise ModelServerError(f"records were dropped: {dict(publisher.dropped)}")
        self.seconds = time.monotonic() - started_s

    def _due_s(self, event: Sent) -> float:
        scenario = self._scenario
        whole_ms = scenario.end_ms - scenario.start_ms
        return (event.arrival_ms - scenario.start_ms) / whole_ms * self._stream_s

    def _wait(self, until_s: float) -> bool:
        """Sleep only for what is worth it; False means to stop."""
        left_s = until_s - time.monotonic()
        return not self._halt.wait(left_s) if left_s > _PACE_S else not self._halt.is_set()


def _send(event: Sent, *, publisher: Publisher, raw: Producer) -> None:
    if isinstance(event, SentGarbage):  # the publisher would never let it pass
        raw.produce(f"{PREFIX}.predictions", event.value, key=b"garbage")
    elif isinstance(event, SentReading):  # as `driftline watch-host --model` does
        raw.produce(f"{PREFIX}.resources", _reading(event), key=MODEL.encode())
    elif isinstance(event, SentPrediction):
        publisher.prediction(
            prediction_id=event.prediction_id,
            model=MODEL,
            version=VERSION,
            timestamp_ms=event.timestamp_ms,
            prediction=event.prediction,
            score=event.score,
            features=event.features,
            latency_ms=event.latency_ms,
        )
    elif event.label is None:
        publisher.retract(event.prediction_id, timestamp_ms=event.timestamp_ms)
    else:
        publisher.label(
            prediction_id=event.prediction_id, label=event.label, timestamp_ms=event.timestamp_ms
        )


def _reading(event: SentReading) -> bytes:
    gauges = {name: getattr(event, name) for name in event.__struct_fields__[1:]}
    about = {"model": MODEL, "timestamp_ms": event.arrival_ms, "host": "gpu-7", "gpu": "0"}
    return msgspec.json.encode(about | gauges)
