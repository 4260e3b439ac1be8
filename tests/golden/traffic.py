"""Traffic of the golden streams: a model of every kind, in good times and bad ones.

Chance comes from `random.Random.random` alone, and numbers are rounded, so that the events are the
same with every version of Python, numpy and the C library.
"""

import random
from collections.abc import Callable, Iterable
from itertools import accumulate
from typing import Any

from tests.builders import (
    HOUR_MS,
    MINUTE_MS,
    START_MS,
    Arrival,
    Event,
    label,
    prediction,
    retraction,
)

Luck = random.Random
Answer = Callable[[Luck, float, bool], tuple[Event, Any]]
"""From the truth as a number and whether the model is confused: fields of it, and the label."""


def pick(luck: Luck, values: Any) -> Any:
    """Return one of the values."""
    return values[int(luck.random() * len(values))]


def about(luck: Luck, middle: float, spread: float) -> float:
    """Return a number near the middle: the sum of four, rounded."""
    return round(middle + spread * (sum(luck.random() for _ in range(4)) - 2), 4)


# --- kinds of models


def scored(luck: Luck, share: float, confused: bool) -> tuple[Event, Any]:
    truth = luck.random() < share
    seen = 1 - share if confused and luck.random() < 0.3 else share
    return {"prediction": int(seen > 0.5), "score": round(seen, 4)}, int(truth)


def _chance(luck: Luck, share: float, confused: bool) -> tuple[Event, Any]:
    fields, truth = scored(luck, share, confused)
    return {"prediction": round(fields["score"], 1)}, bool(truth)


def _words(luck: Luck, share: float, confused: bool) -> tuple[Event, Any]:
    fields, truth = scored(luck, share, confused)
    said = ("legit", "fraud")[fields["prediction"]]
    return {"prediction": said, "score": fields["score"]}, ("legit", "fraud")[truth]


def _other_words(luck: Luck, share: float, confused: bool) -> tuple[Event, Any]:
    fields, truth = scored(luck, share, confused)
    said = pick(
        luck, ((0, "no", False, "0", 0.0), (1, "Yes", True, "1.0", "TRUE"))[fields["prediction"]]
    )
    return {"prediction": said}, pick(luck, (("No", 0, "false"), ("yes", 1, True))[truth])


CLASSES = ("cat", "dog", "owl")


def _classes(luck: Luck, share: float, confused: bool) -> tuple[Event, Any]:
    truth = min(int(share * 3), 2)
    wrong = luck.random() < (0.5 if confused else 0.15)
    said = (truth + wrong) % 3
    given = [round(0.2 + 0.4 * (place == said), 2) for place in range(3)]
    scores = dict(zip(CLASSES, given, strict=True))
    if luck.random() < 0.1:
        del scores[pick(luck, CLASSES)]
    return {"prediction": CLASSES[said], "scores": scores}, CLASSES[truth]


def _numbers(luck: Luck, share: float, confused: bool) -> tuple[Event, Any]:
    truth = about(luck, 100.0 + 20 * share, 10.0)
    return {"prediction": round(truth + about(luck, 2.0 * confused, 6.0 + 6 * confused), 3)}, truth


KINDS: dict[str, Answer] = {
    "scored": scored,
    "chance": _chance,
    "words": _words,
    "other words": _other_words,
    "classes": _classes,
    "numbers": _numbers,
}


def features(luck: Luck, confused: bool) -> Event:
    """Draw features of every kind: numbers, flags, words, sentinels, nulls and gaps."""
    values = {
        "amount": 999_999_999 if luck.random() < 0.01 else about(luck, 60.0 + 40 * confused, 40.0),
        "age": 18 + int(luck.random() * 70),
        "returning": luck.random() < 0.5,
        "country": pick(luck, ("de", "fr", "us")),
        "constant": 7,
        "tiny": luck.random() * 1e-12,
        "mostly words": pick(luck, ("n/a", "?", 3)),
    }
    lost = 0.12 if confused else 0.03
    kept = {name: value for name, value in values.items() if luck.random() > 0.02}
    return {name: None if luck.random() < lost else value for name, value in kept.items()}


def mixed(
    seed: int,
    *,
    count: int,
    kinds: Iterable[str] = tuple(KINDS),
    span_ms: int = 3 * HOUR_MS,
) -> list[Arrival]:
    """Make `count` predictions of a model of each kind.

    From 40 to 70 % of them it is confused, and has other scores, features and latencies and fewer
    requests.
    """
    luck, arrivals = random.Random(seed), []
    for kind in kinds:
        steps = [3 if 0.4 <= index / count < 0.7 else 1 for index in range(count)]
        for index, passed in enumerate(accumulate(steps)):
            confused = steps[index] == 3
            share = luck.random() ** (0.25 if confused else 1.0)
            fields, truth = KINDS[kind](luck, share, confused)
            own = {"timestamp_ms": START_MS + passed * span_ms // sum(steps), **fields}
            event = _request(luck, f"{kind}-{index}", model=kind, confused=confused) | own
            arrivals.append(Arrival(event["timestamp_ms"], event))
            if luck.random() < (0.8 if confused else 0.95):
                again = KINDS[kind](luck, luck.random(), confused)[1]
                arrivals += _told(luck, event, (truth, again))
    return arrivals


def _request(luck: Luck, name: str, *, model: str, confused: bool) -> Event:
    slow_ms = 60 if luck.random() < 0.05 + 0.1 * confused else 12 * confused
    event = prediction(
        name,
        model=model,
        version=pick(luck, ("1", "1", "1", "2")),
        latency_ms=round(8 + 30 * luck.random() ** 3 + slow_ms, 2),
        features=features(luck, confused),
    )
    if luck.random() < 0.8:
        event["segments"] = {"region": pick(luck, ("eu", "us"))}
        if luck.random() < 0.5:
            event["segments"]["channel"] = "web"
    return event


def _told(luck: Luck, event: Event, truths: tuple[Any, Any]) -> list[Arrival]:
    """Return what is said about a prediction: its label, sometimes early, again, other or late."""
    name, made_ms = event["prediction_id"], event["timestamp_ms"]
    said_ms = made_ms + int(luck.random() ** 2 * 40 * MINUTE_MS)
    said = Arrival(said_ms, label(name, timestamp_ms=said_ms, label=truths[0]))
    lot, later_ms = luck.random(), said_ms + int(luck.random() * 50 * MINUTE_MS)
    other = said.event | {"timestamp_ms": later_ms, "label": truths[1]}
    back = retraction(name, timestamp_ms=later_ms)
    late_ms = made_ms + HOUR_MS + int(luck.random() * 2)
    if lot < 0.02:  # comes before its prediction
        told = [said._replace(at_ms=made_ms - 30_000)]
    elif lot < 0.04:
        told = [said, said._replace(at_ms=later_ms)]
    elif lot < 0.08:
        told = [said, Arrival(later_ms, other)]
    elif lot < 0.11:
        told = [said, Arrival(later_ms, back)]
    elif lot < 0.12:
        again = other | {"timestamp_ms": later_ms + 1}
        told = [said, Arrival(later_ms, back), Arrival(later_ms + 1, again)]
    elif lot < 0.14:  # at the horizon, or a millisecond after it
        told = [Arrival(late_ms, said.event | {"timestamp_ms": late_ms})]
    elif lot < 0.16:
        other_answer = event | {"timestamp_ms": made_ms + 1, "latency_ms": 1.0}
        told = [Arrival(made_ms + 1, other_answer), Arrival(made_ms + 2, event), said]
    else:
        told = [said]
    return told
