"""Traffic of the golden streams that is odd: numbers, names, scores and labels as few send them.

Chance comes from `random.Random.random` alone, see `tests.golden.traffic`.
"""

import random
from collections.abc import Iterable
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
from tests.golden.traffic import CLASSES, about, features, pick, scored


def told(rows: Iterable[tuple[Event, Any]], *, step_ms: int = 10_000, **own: Any) -> list[Event]:
    """Make a prediction with these fields, and its label, of every row."""
    events, name = [], own.get("model", "m")
    for number, (fields, truth) in enumerate(rows):
        at_ms = START_MS + number * step_ms
        ids = {"timestamp_ms": at_ms}
        events.append(prediction(f"{name}-{number}", **(own | ids | fields)))
        events.append(label(f"{name}-{number}", timestamp_ms=at_ms + 1_500, label=truth))
    return events


#: Numbers as few people send them; from 1e150 on, they are refused or left out.
WILD = (
    *(0, -0.0, 1, -1, 0.1, 1 / 3, 1e-300, 5e-324, -5e-324, 2.0**-1074, 1e16, 2**53 + 1, -(2**63)),
    *(2**63 - 1, 1e149, -1e149, 1e150, -1e150, 1e151, 1e300, -1e300, 1.7e308, 999_999_999, -999),
)


def wild() -> list[Event]:
    """Make models whose predictions, labels, scores, features and latencies are wild numbers."""
    luck, events = random.Random(11), []
    for model, fields in (("near", WILD[:10]), ("huge", WILD), ("large", WILD[:16])):
        rows: list[tuple[Event, Any]] = []
        for _ in range(150):
            one, other, third = (pick(luck, fields) for _ in range(3))
            row: Event = {"prediction": one, "features": {"x": third, "y": other, "z": -0.0}}
            if luck.random() < 0.4:
                row["latency_ms"] = abs(pick(luck, fields))
            if model == "near" and luck.random() < 0.2:
                row["score"] = pick(luck, fields)
            rows.append((row, other))
        events += told(rows, model=model)
    return events


def odd_scores() -> list[Event]:
    """Make models whose scores are percentages, logits, partly no probabilities, or odd sums."""
    luck, events = random.Random(12), []
    for number, odd in enumerate((0, 1, 2, 3, 200)):
        for kind, stretch in (
            ("percent", 100.0),
            ("logit", 6.0),
            ("rounded", 1 + 9e-7),
            ("beyond", 1.001),
        ):
            rows: list[tuple[Event, Any]] = []
            for row in range(200):
                share = round(luck.random(), 3)
                score = stretch * (share if stretch > 50 else 1.0) if row < odd else share
                rows.append(
                    ({"prediction": int(share > 0.5), "score": score}, int(luck.random() < share))
                )
            events += told(rows, model=kind, version=str(number), step_ms=2_000)
    for kind, given in (
        ("shares", (0.7, 0.2, 0.1)),
        ("percent each", (70.0, 20.0, 10.0)),
        ("logits", (3.0, -1.0, 0.5)),
        ("a sigmoid each", (0.9, 0.8, 0.7)),
        ("some", (0.0, 1.0)),
    ):
        scores = dict(zip(CLASSES, given, strict=False))
        events += told(
            [
                ({"prediction": pick(luck, CLASSES), "scores": scores}, pick(luck, CLASSES))
                for _ in range(60)
            ],
            model=kind,
        )
    return _renumbered(events)


def _renumbered(events: list[Event]) -> list[Event]:
    """Return pairs of events under ids of their own."""
    return [
        event | {"prediction_id": f"{number // 2}:{event['prediction_id']}"}
        for number, event in enumerate(events)
    ]


#: Predictions and labels of one model each, from which follows what kind it is.
SHOWN: tuple[list[tuple[Any, ...]], ...] = (
    [(1, 0), (0, 0)],
    [(0, 0)],
    [(-1, 1)],
    [("yes", 1), (True, "No")],
    [("fraud", "legit"), ("legit", "legit")],
    [("Spam", "ham")],
    [("churn", "stays")],
    [("default", "paid")],
    [("positive", "neutral")],
    [("fraud", "spam")],
    [("a", "b")],
    [("legit", "legit")],
    [("positive", "negative"), ("neutral", "neutral")],
    [(0, 1), (2, 2)],
    [(-1, 0), (1, 1)],
    [(n, n + 1) for n in range(21)],
    [*((n, n + 1) for n in range(20)), (20, 0)],
    [(str(n), str(n)) for n in range(40)],
    [(n, n, 0.5) for n in range(40)],
    [(1.5, 1)],
    [(0.7, 3)],
    [(0.7, 1)],
    [(0.7, 1, 0.7)],
    [(0.7, "Yes"), (1, "no")],
    [(0.7, "legit"), (0.7, "fraud")],
    [(0.5, 1.5, 0.9), (1.5, 1, 0.9), (1, 1, 0.9)],
    [(1.5, "A"), ("A", "B")],
    [("", ""), ("\u0130", "\U0001f600")],
    [("x" * 300, "x" * 300), ("x" * 300 + "y", "x")],
    [(f"answer {n}", f"answer {n % 90}") for n in range(130)],
)


def shown() -> list[Event]:
    """Make a model of every list of rows, and one that shows ever more of itself."""
    events: list[Event] = []
    for number, rows in enumerate(SHOWN):
        full = [
            ({"prediction": guess} | ({"score": score[0]} if score else {}), truth)
            for guess, truth, *score in rows
        ]
        events += told(full, model=f"m{number:02}")
        slow = [one for _ in range(3) for one in full][:60]
        events += told(slow, model="changes", version=str(number % 4), step_ms=4 * MINUTE_MS)
    return _renumbered(events)


def names() -> list[Event]:
    """Make models, versions, segments, features and classes with odd names."""
    luck, events = random.Random(13), []
    odd = (
        "",
        "a=b",
        ":",
        '"',
        "\\",
        "\u0130",
        "\U0001f600",
        "1",
        "True",
        "NaN",
        "null",
        "x y",
        "é",
    )
    for number, name in enumerate(odd):
        rows = [
            (
                {
                    "prediction": pick(luck, odd),
                    "segments": {name or "s": pick(luck, odd), "region": pick(luck, ("eu", ""))},
                    "features": {name: luck.random(), pick(luck, odd): number},
                    "scores": {one: round(luck.random(), 3) for one in odd[:4]},
                },
                pick(luck, odd),
            )
            for _ in range(40)
        ]
        events += told(rows, model=name or "none", version=pick(luck, odd))
    return _renumbered(events)


def wide() -> list[Event]:
    """Make a model of 120 features, 12 segments and 150 classes: all within what is allowed."""
    luck = random.Random(14)
    rows = [
        (
            {
                "prediction": f"c{int(luck.random() * 150)}",
                "features": {f"f{n:03}": about(luck, n, 1.0) for n in range(120)},
                "segments": {f"s{n}": pick(luck, "abc") for n in range(12)},
                "latency_ms": round(luck.random() * 10**6, 3),
            },
            f"c{int(luck.random() * 150)}",
        )
        for _ in range(60)
    ]
    return told(rows)


def labels_with_predictions() -> list[Event]:
    """Make labels that carry their own prediction, some of ids that are predicted, too."""
    luck, events = random.Random(15), []
    for number in range(400):
        at_ms = START_MS + number * 20_000
        fields, truth = scored(luck, luck.random(), number > 250)
        own = prediction(f"o{number}", timestamp_ms=at_ms, **fields)
        whole = own | {"label": truth, "features": features(luck, number > 250)}
        lot = luck.random()
        events += [own, whole] if lot < 0.1 else [whole, own] if lot < 0.2 else [whole]
        if lot > 0.9:
            events.append(label(f"o{number}", timestamp_ms=at_ms + 5, label=1 - truth))
        if 0.8 < lot < 0.85:
            events.append(retraction(f"o{number}", timestamp_ms=at_ms + 5))
        if 0.7 < lot < 0.75:
            events.append(whole | {"label": 1 - truth, "timestamp_ms": at_ms + 7})
    return events


def delays() -> list[Event]:
    """Make labels of any delay: before their prediction, at once, at the horizon and after it."""
    luck, events = random.Random(16), []
    for number in range(500):
        at_ms = START_MS + number * 15_000
        delay_ms = pick(
            luck, (-HOUR_MS, -1, 0, 1, 2, 999, 60_000, HOUR_MS - 1, HOUR_MS, HOUR_MS + 1)
        )
        latency_ms = pick(luck, (0, 0.0001, 0.5, 1, 1.5, 100, 99_999.9, 1e149, 5e-324))
        fields = {"timestamp_ms": at_ms, "latency_ms": latency_ms}
        events.append(prediction(f"d{number}", prediction=int(luck.random() * 2), **fields))
        said_ms = at_ms + delay_ms
        events.append(label(f"d{number}", timestamp_ms=said_ms, label=int(luck.random() * 2)))
    return events


def silence() -> list[Arrival]:
    """Make a model that falls silent for two hours, one whose labels do, and one that goes on."""
    arrivals: list[Arrival] = []
    for model, gap, what in (("silent", True, 2), ("unlabelled", True, 1), ("steady", False, 0)):
        for number in range(720):
            at_ms, name = START_MS + number * 30_000, f"{model}-{number}"
            quiet = gap and 240 <= number < 480
            if not (quiet and what == 2):
                event = prediction(name, model=model, timestamp_ms=at_ms, prediction=number % 2)
                arrivals.append(Arrival(at_ms, event))
            if not quiet:
                said = label(name, timestamp_ms=at_ms + 45_000, label=number % 3 % 2)
                arrivals.append(Arrival(at_ms + 45_000, said))
    return arrivals


def emptied() -> list[Event]:
    """Make windows whose labels are all taken back, or corrected from one class to another."""
    events: list[Event] = []
    for number in range(120):
        at_ms, name = START_MS + number * MINUTE_MS, f"e{number}"
        window = number // 30
        fields = {
            "prediction": ("a", "b", "c")[number % 3],
            "scores": {"a": 0.5, "b": 0.3, "c": 0.2},
        }
        events.append(prediction(name, timestamp_ms=at_ms, segments={"w": str(window)}, **fields))
        events.append(label(name, timestamp_ms=at_ms + 1_000, label=("c", "d")[number % 2]))
        if window in (0, 2):
            events.append(retraction(name, timestamp_ms=at_ms + 2_000))
        if window in (1, 2):
            events.append(label(name, timestamp_ms=at_ms + 3_000, label="a"))
    return events
