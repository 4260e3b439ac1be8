"""Make event histories: traffic as model servers send it, and what goes wrong on the way.

Histories are lists of `Arrival`; an event is the dict that becomes one JSON line.
Everything here is a function of its seed. What is right is worked out in `oracle`; only the few
cases of the join table carry their answer with them, written down by hand.
"""

import gzip
import json
import math
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

Event = dict[str, Any]

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
#: 2024-06-01 00:00:00 UTC, aligned to every window in use.
START_MS = 1_717_200_000_000

#: What can happen to one prediction, and how often. The rest gets one label, on time.
MISHAPS = {
    "missing": 0.05,
    "early": 0.02,
    "twice_predicted": 0.01,
    "twice_labelled": 0.01,
    "corrected": 0.02,
    "retracted": 0.005,
    "late": 0.003,
    "contradicted": 0.002,
}


class Arrival(NamedTuple):
    """One event and when it reaches the topic."""

    at_ms: float
    event: Event


def prediction(prediction_id: str, /, **fields: Any) -> Event:
    """Make a prediction event; `fields` replace the defaults.

    >>> prediction("a", prediction=0)["prediction"]
    0
    """
    defaults = {"model": "m", "timestamp_ms": START_MS, "prediction": 1}
    return {"prediction_id": prediction_id, **defaults, **fields}


def label(prediction_id: str, /, **fields: Any) -> Event:
    """Make a label event, one second after the default prediction.

    >>> sorted(label("a"))
    ['label', 'prediction_id', 'timestamp_ms']
    """
    return {"prediction_id": prediction_id, "timestamp_ms": START_MS + 1_000, "label": 1, **fields}


def retraction(prediction_id: str, /, **fields: Any) -> Event:
    """Make an event that takes the label back."""
    event = {"prediction_id": prediction_id, "timestamp_ms": START_MS + 2_000, "retract": True}
    return {**event, **fields}


def as_lines(events: Iterable[Event]) -> list[bytes]:
    """Encode each event as one JSON line, without its line feed."""
    return [json.dumps(event).encode() for event in events]


def write_lines(path: Path, lines: Iterable[bytes]) -> Path:
    """Write lines to `path`, compressed if its name ends in .gz; return the path."""
    content = b"".join(line + b"\n" for line in lines)
    path.write_bytes(gzip.compress(content, 1) if path.suffix == ".gz" else content)
    return path


def history(seed: int, *, count: int, span_ms: int = 2 * HOUR_MS) -> list[Arrival]:
    """Make binary predictions of two models in two versions each, with every mishap.

    The error of `fraud` v2 rises at half time, so that there is drift to find. Label times are
    within one hour of the prediction except for the mishap `late`. Orphan labels are 1 % on top.
    """
    rng = np.random.default_rng(seed)
    times = np.sort(rng.integers(START_MS, START_MS + span_ms, size=count)).tolist()
    names = [*MISHAPS, "none"]
    chances = [*MISHAPS.values(), 1 - sum(MISHAPS.values())]
    mishaps = rng.choice(names, size=count, p=chances)
    arrivals: list[Arrival] = []
    for index, (time_ms, mishap) in enumerate(zip(times, mishaps, strict=True)):
        event = _scored(rng, prediction_id=f"p{index:06}", time_ms=time_ms)
        drifted = event["model"] == "fraud" and event["version"] == "v2" and index > count // 2
        truth = int(event["prediction"] in (1, "1")) ^ int(rng.random() < (0.4 if drifted else 0.1))
        arrivals += _with_labels(rng, event, truth=truth, mishap=str(mishap))
    return arrivals + _orphans(rng, count=count // 100, span_ms=span_ms)


def _scored(rng: np.random.Generator, *, prediction_id: str, time_ms: int) -> Event:
    score = round(float(rng.uniform(0.001, 0.999)), 6)
    event = prediction(
        prediction_id,
        model=("fraud", "churn")[int(rng.integers(2))],
        version=("v1", "v2")[int(rng.integers(2))],
        timestamp_ms=time_ms,
        prediction=_encoded(rng, int(score > 0.5)),
        score=score,
        features=features(rng),
        latency_ms=round(float(rng.lognormal(3.0, 0.7)), 3),
    )
    if rng.random() < 0.9:
        event["segments"] = {"region": ("eu", "us", "apac")[int(rng.integers(3))]}
    return event


def _encoded(rng: np.random.Generator, value: int) -> int | float | bool | str:
    """Write a class in one of the four ways that mean the same."""
    return (value, value, float(value), bool(value), str(value))[int(rng.integers(5))]


def features(rng: np.random.Generator) -> dict[str, Any]:
    """Draw eight features; 3 % of the values are null, 2 % of the names absent."""
    values = {
        "amount": float(rng.lognormal(8.0, 2.0)),
        "age": int(rng.integers(18, 90)),
        "balance": float(rng.normal(0.0, 1e5)),
        "ratio": float(rng.random()),
        "visits": int(rng.poisson(3.0)),
        "returning": bool(rng.random() < 0.5),
        "country": ("de", "fr", "us")[int(rng.integers(3))],
        "device": ("phone", "desk")[int(rng.integers(2))],
    }
    luck = dict(zip(values, rng.random(len(values)).tolist(), strict=True))
    return {n: None if luck[n] < 0.03 else v for n, v in values.items() if luck[n] < 0.98}


def _with_labels(
    rng: np.random.Generator, event: Event, *, truth: int, mishap: str
) -> list[Arrival]:
    """Return the prediction and all that is said about it later."""
    made_ms, name = event["timestamp_ms"], event["prediction_id"]
    delay_ms = int(np.clip(rng.lognormal(12.5, 0.8), 1_000, HOUR_MS // 2))
    said = label(name, timestamp_ms=made_ms + delay_ms, label=_encoded(rng, truth))
    if rng.random() < 0.5:
        said["model"] = event["model"]
    said_ms = said["timestamp_ms"]
    predicted, labelled = Arrival(made_ms, event), Arrival(said_ms, said)
    again_ms = said_ms + int(rng.integers(1, HOUR_MS // 2))
    told = [predicted, labelled]
    match mishap:
        case "missing":
            told = [predicted]
        case "early":
            told = [labelled._replace(at_ms=made_ms - 0.5), predicted]
        case "twice_predicted":
            told.append(Arrival(made_ms + 5_000, event))
        case "twice_labelled":
            told.append(Arrival(again_ms, said))
        case "corrected":
            other = said | {"timestamp_ms": again_ms, "label": _encoded(rng, 1 - truth)}
            told.append(Arrival(again_ms, other))
        case "retracted":
            told.append(Arrival(again_ms, retraction(name, timestamp_ms=again_ms)))
        case "late":
            late_ms = made_ms + HOUR_MS + int(rng.integers(1, HOUR_MS))
            told = [predicted, Arrival(late_ms, said | {"timestamp_ms": late_ms})]
        case "contradicted":
            other = event | {"prediction": "1" if event["score"] < 0.5 else "0"}
            told.append(Arrival(made_ms + 5_000, other))
    return told


def _orphans(rng: np.random.Generator, *, count: int, span_ms: int) -> list[Arrival]:
    times = rng.integers(START_MS, START_MS + span_ms, size=count).tolist()
    return [Arrival(t, label(f"nobody{i}", timestamp_ms=t)) for i, t in enumerate(times)]


def shuffled(arrivals: Sequence[Arrival], *, seed: int) -> list[Event]:
    """Return the events in an arbitrary order of arrival."""
    order = np.random.default_rng(seed).permutation(len(arrivals)).tolist()
    return [arrivals[i].event for i in order]


def delayed(arrivals: Sequence[Arrival], *, seed: int, bound_ms: int) -> list[Event]:
    """Return the events as they arrive when each is held up by less than `bound_ms`."""
    waits = np.random.default_rng(seed).uniform(0, bound_ms, size=len(arrivals)).tolist()
    order = sorted(range(len(arrivals)), key=lambda i: arrivals[i].at_ms + waits[i])
    return [arrivals[i].event for i in order]


def in_order(arrivals: Sequence[Arrival]) -> list[Event]:
    """Return the events as they arrive when nothing holds them up."""
    return [arrival.event for arrival in sorted(arrivals, key=lambda a: a.at_ms)]


def multiclass(seed: int, *, count: int, classes: Sequence[str | int]) -> list[Arrival]:
    """Make predictions over `classes` without scores; 20 % are wrong, 5 % have no label."""
    rng = np.random.default_rng(seed)
    arrivals: list[Arrival] = []
    for index in range(count):
        guess, other = (classes[int(i)] for i in rng.integers(len(classes), size=2))
        time_ms = START_MS + index * 1_000
        event = prediction(f"c{index}", timestamp_ms=time_ms, prediction=guess)
        arrivals.append(Arrival(time_ms, event))
        if rng.random() < 0.95:
            truth = other if rng.random() < 0.2 else guess
            said = label(f"c{index}", timestamp_ms=time_ms + 90_000, label=truth)
            arrivals.append(Arrival(time_ms + 90_000, said))
    return arrivals


def regression(seed: int, *, count: int) -> list[Arrival]:
    """Make numeric predictions with a small bias; 5 % have no label."""
    rng = np.random.default_rng(seed)
    arrivals: list[Arrival] = []
    for index in range(count):
        time_ms, guess = START_MS + index * 1_000, float(rng.normal(100.0, 20.0))
        event = prediction(f"r{index}", timestamp_ms=time_ms, prediction=guess, version="2")
        arrivals.append(Arrival(time_ms, event))
        if rng.random() < 0.95:
            said_ms = time_ms + 120_000
            truth = guess - 0.5 + float(rng.normal(0.0, 3.0))
            said = label(f"r{index}", timestamp_ms=said_ms, label=truth)
            arrivals.append(Arrival(said_ms, said))
    return arrivals


def drifting(
    model: str, *, seed: int, before: float, after: float, count: int = 4_000
) -> list[Arrival]:
    """Make a frozen model's stream whose error rate jumps from `before` to `after` at half time.

    Label times are distinct and their order differs from that of the predictions.
    """
    rng = np.random.default_rng(seed)
    delays = (rng.permutation(count) % 97).tolist()
    arrivals: list[Arrival] = []
    for index, delay in enumerate(delays):
        wrong = int(rng.random() < (before if index < count // 2 else after))
        guess, time_ms = int(rng.random() < 0.5), START_MS + index * 1_000
        said_ms = time_ms + (60 + delay) * 1_000 + index % 1_000
        name = f"{model}-{index}"
        event = prediction(name, model=model, timestamp_ms=time_ms, prediction=guess)
        said = label(name, timestamp_ms=said_ms, label=guess ^ wrong)
        arrivals += [Arrival(time_ms, event), Arrival(said_ms, said)]
    return arrivals


def corrections(arrivals: Sequence[Arrival], *, every: int, after_ms: int) -> list[Arrival]:
    """Return a correction, `after_ms` later, to one label in `every`; labels are 0 or 1."""
    labels = [arrival for arrival in arrivals if "label" in arrival.event]
    return [
        Arrival(at_ms + after_ms, event | {"timestamp_ms": at_ms + after_ms, "label": other})
        for at_ms, event in labels[::every]
        for other in [1 - event["label"]]
    ]


def joined_rows(seed: int, *, task: str, count: int = 3_000) -> list[Event]:
    """Make predictions that carry their label, ordered by time, one a second; errors double.

    `task` is binary (with scores), multiclass or regression.
    """
    rng = np.random.default_rng(seed)
    rows: list[Event] = []
    for index in range(count):
        wrong = bool(rng.random() < (0.1 if index < count // 2 else 0.4))
        score = round(float(rng.uniform(0.001, 0.999)), 6)
        row = prediction(f"j{index}", model="table", timestamp_ms=START_MS + index * 1_000)
        match task:
            case "binary":
                guess = int(score > 0.5)
                row |= {"prediction": guess, "label": guess ^ int(wrong), "score": score}
            case "multiclass":
                names = ("cat", "dog", "owl")
                which = int(rng.integers(3))
                row |= {"prediction": names[which], "label": names[(which + wrong) % 3]}
            case "regression":
                guess = float(rng.normal(50.0, 5.0))
                row |= {"prediction": guess, "label": guess + float(rng.normal(1.0 + wrong, 2.0))}
        rows.append(row)
    return rows


def _raw(**fields: Any) -> bytes:
    return json.dumps(prediction("poison", **fields)).encode()


def _without(event: Event, name: str) -> bytes:
    return json.dumps({k: v for k, v in event.items() if k != name}).encode()


def _around(value: bytes, field: str) -> bytes:
    """Return a good prediction with `field` set to raw bytes."""
    return _raw()[:-1] + b', "' + field.encode() + b'": ' + value + b"}"


DEEP = b"[" * 100_000 + b"]" * 100_000

#: Lines that no decoder may accept and none may be stopped by, by what is wrong with them.
POISON: dict[str, bytes] = {
    "invalid_utf8": b'{"prediction_id": "\xff\xfe", "model": "m", "timestamp_ms": 1, "label": 1}',
    "invalid_utf8_in_an_unknown_field": _around(b'"\xc3\x28"', "note"),
    "lone_surrogate": _raw().replace(b"poison", b"\\ud800"),
    "nul_bytes": b"\x00\x00\x00\x00",
    "gzip_bytes": gzip.compress(b"{}", mtime=0).replace(b"\n", b" "),
    "truncated": _raw()[:-7],
    "trailing_comma": _raw()[:-1] + b",}",
    "two_values": _raw() + b" {}",
    "single_quotes": b"{'prediction_id': 'poison'}",
    "plain_text": b"prediction_id=poison",
    "number": b"42",
    "null": b"null",
    "list": b"[]",
    "string": b'"poison"',
    "empty_object": b"{}",
    "nan_prediction": _raw().replace(b'"prediction": 1', b'"prediction": NaN'),
    "nan_label": json.dumps(label("poison", label=float("nan"))).encode(),
    "ten_megabytes": _raw(features={"blob": "x" * 10_000_000}),
    "ten_megabytes_of_garbage": b"\xf0" * 10_000_000,
    "deep_list": DEEP,
    "deep_features": _around(b'{"x": ' + DEEP + b"}", "features"),
    "deep_unknown_field": _around(DEEP, "note"),
    "id_is_a_number": _raw(prediction_id=7),
    "id_is_null": _raw(prediction_id=None),
    "id_is_empty": _raw(prediction_id=""),
    "id_is_missing": _without(prediction("poison"), "prediction_id"),
    "label_without_id": _without(label("poison"), "prediction_id"),
    "model_is_missing": _without(prediction("poison"), "model"),
    "model_is_a_number": _raw(model=3),
    "time_is_text": _raw(timestamp_ms="yesterday"),
    "time_is_a_fraction": _raw(timestamp_ms=START_MS + 0.5),
    "time_is_a_bool": _raw(timestamp_ms=True),
    "time_overflows": _raw(timestamp_ms=10**30),
    "time_is_in_seconds": _raw(timestamp_ms=START_MS // 1_000),
    "label_time_is_in_seconds": as_lines([label("poison", timestamp_ms=START_MS // 1_000)])[0],
    "time_is_a_date": _raw(timestamp_ms=20_240_601),
    "time_is_in_microseconds": _raw(timestamp_ms=START_MS * 1_000),
    "label_is_in_nanoseconds": as_lines([label("poison", timestamp_ms=START_MS * 1_000_000)])[0],
    "time_is_negative": _raw(timestamp_ms=-1),
    "label_time_is_negative": as_lines([label("poison", timestamp_ms=-1)])[0],
    "label_without_time": _without(label("poison"), "timestamp_ms"),
    "prediction_is_an_object": _raw(prediction={"class": 1}),
    "prediction_is_a_list": _raw(prediction=[1]),
    "label_is_an_object": as_lines([label("poison", label={"class": 1})])[0],
    "neither_prediction_nor_label": _without(prediction("poison"), "prediction"),
    "retract_is_text": as_lines([retraction("poison", retract="yes")])[0],
}

#: Values that are left out of a prediction, which counts without them, by what is wrong with them.
BLEMISHES: dict[str, Event] = {
    "nan_score": {"score": math.nan},
    "infinite_score": {"score": -math.inf},
    "score_is_text": {"score": "85%"},
    "score_is_a_flag": {"score": True},
    "nan_feature": {"features": {"amount": math.nan, "age": 30}},
    "features_are_a_list": {"features": [1, 2]},
    "feature_is_an_object": {"features": {"amount": {"y": 1}, "age": 31}},
    "feature_is_a_list": {"features": {"amount": [1, 2], "age": 32}},
    "segments_are_text": {"segments": "eu"},
    "segment_is_a_number": {"segments": {"region": 1}},
    "segment_is_long": {"segments": {"region": "x" * 257}},
    "latency_is_text": {"latency_ms": "fast"},
    "latency_is_negative": {"latency_ms": -0.2},
}


def blemished(arrivals: Sequence[Arrival]) -> list[Arrival]:
    """Return the same, with each of the blemishes in some of the predictions."""
    bad = list(BLEMISHES.values())
    found = []
    for arrival in arrivals:
        number = zlib.crc32(arrival.event["prediction_id"].encode())  # repeated, it is the same
        harmed = "prediction" in arrival.event and number % 3 == 0
        more = bad[number % len(bad)] if harmed else {}
        found.append(arrival._replace(event=arrival.event | more))
    return found


class Case(NamedTuple):
    """What arrives about one prediction, in order, and what is to become of it."""

    events: list[Event]
    fates: dict[str, int]
    #: None: there is no outcome.
    accuracy: float | None


def renamed(events: Iterable[Event], name: str) -> list[Event]:
    """Return the events under another prediction id and, where they name one, another model."""
    return [
        event | {"prediction_id": name} | ({"model": name} if "model" in event else {})
        for event in events
    ]


def _said(second: int, value: int | float | bool | str = 1) -> Event:
    return label("a", timestamp_ms=START_MS + second * 1_000, label=value)


def _taken_back(second: int) -> Event:
    return retraction("a", timestamp_ms=START_MS + second * 1_000)


_MADE = prediction("a")
_TIMELY = label("a", timestamp_ms=START_MS + HOUR_MS)
_LATE = label("a", timestamp_ms=START_MS + HOUR_MS + 1)

#: Every row of the join's semantics, with a horizon of one hour. The prediction says 1.
JOIN_CASES: dict[str, Case] = {
    "label_after_prediction": Case([_MADE, _said(1)], {"joined": 2}, 1.0),
    "wrong_label": Case([_MADE, _said(1, 0)], {"joined": 2}, 0.0),
    "early_label": Case([_said(1), _MADE], {"joined": 2}, 1.0),
    "no_label": Case([_MADE], {"unlabelled": 1}, None),
    "same_prediction_again": Case(
        [_MADE, _MADE, _said(1), _MADE], {"joined": 2, "duplicate_prediction": 2}, 1.0
    ),
    "other_prediction_for_the_id": Case(
        [_MADE, _MADE | {"prediction": 0}, _said(1)],
        {"joined": 2, "conflicting_prediction": 1},
        1.0,
    ),
    "other_time_for_the_id": Case(
        [_MADE, _MADE | {"timestamp_ms": START_MS + HOUR_MS}, _said(1)],
        {"joined": 2, "conflicting_prediction": 1},
        1.0,
    ),
    "same_label_again": Case([_MADE, _said(1), _said(1)], {"joined": 2, "duplicate_label": 1}, 1.0),
    "same_label_before_and_after": Case(
        [_said(1), _MADE, _said(1)], {"joined": 2, "duplicate_label": 1}, 1.0
    ),
    "same_class_in_other_words": Case(
        [_MADE | {"prediction": True}, _said(1, "1"), _said(1, 1.0), _said(1, True)],
        {"joined": 2, "duplicate_label": 2},
        1.0,
    ),
    "correction": Case([_MADE, _said(1, 0), _said(2, 1)], {"joined": 2, "correction": 1}, 1.0),
    "correction_arrives_first": Case(
        [_MADE, _said(2, 0), _said(1, 1)], {"joined": 2, "correction": 1}, 0.0
    ),
    "correction_at_the_same_time": Case(
        [_MADE, _said(1, 0), _said(1, 1)], {"joined": 2, "correction": 1}, 1.0
    ),
    "correction_before_the_prediction": Case(
        [_said(1, 0), _said(2, 1), _MADE], {"joined": 2, "correction": 1}, 1.0
    ),
    "corrected_twice": Case(
        [_MADE, _said(1, 0), _said(3, 1), _said(2, 0)], {"joined": 2, "correction": 2}, 1.0
    ),
    "retracted": Case(
        [_MADE, _said(1), _taken_back(2)], {"joined": 1, "retraction": 1, "unlabelled": 1}, None
    ),
    "retraction_arrives_first": Case(
        [_MADE, _taken_back(2), _said(1)], {"joined": 1, "retraction": 1, "unlabelled": 1}, None
    ),
    "retracted_before_the_prediction": Case(
        [_said(1), _taken_back(2), _MADE], {"joined": 1, "retraction": 1, "unlabelled": 1}, None
    ),
    "retraction_is_older_than_the_label": Case(
        [_MADE, _said(2), _taken_back(1)], {"joined": 2, "retraction": 1}, 1.0
    ),
    "retracted_and_replaced": Case(
        [_MADE, _said(1, 0), _taken_back(2), _said(3, 1)],
        {"joined": 2, "retraction": 1, "correction": 1},
        1.0,
    ),
    "label_at_the_horizon": Case([_MADE, _TIMELY], {"joined": 2}, 1.0),
    "label_after_the_horizon": Case([_MADE, _LATE], {"late_label": 1, "unlabelled": 1}, None),
    "early_arrival_of_a_late_label": Case([_LATE, _MADE], {"late_label": 1, "unlabelled": 1}, None),
    "late_label_then_one_in_time": Case(
        [_MADE, _LATE, _said(1)], {"joined": 2, "late_label": 1}, 1
    ),
    "late_correction": Case(
        [_MADE, _said(1), _LATE | {"label": 0}], {"joined": 2, "late_label": 1}, 1.0
    ),
    "late_retraction": Case(
        [_MADE, _said(1), _taken_back(3_601)], {"joined": 2, "late_label": 1}, 1.0
    ),
    "label_without_prediction": Case([_said(1)], {"orphan_label": 1}, None),
    "retraction_without_prediction": Case([_said(1), _taken_back(2)], {"orphan_label": 2}, None),
    "joined_already": Case([_MADE | {"label": 1}], {"joined": 1}, 1.0),
}
