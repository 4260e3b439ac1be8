"""Right and wrong answers of a model: a confusion of two classes, or a line for each class.

Metrics have no table of it, but say what is in it: with labels `n`, positive ones `P` and positive
answers `A`, recall is `TP / P` and precision `TP / A`; each says in its `count` what it is of.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from agents.web.known import Known, Point, Span, Who
from agents.web.screens.screen import Panel

WINDOWS = 48
"""So many of the newest windows are put together."""

MOST_CLASSES = 50

_PARTS = ("recall", "precision", "accuracy")
_OF_CLASS = ("support", "precision", "recall", "f1")


def answers(known: Known, who: Who, span: Span, metrics: Sequence[str]) -> dict[str, Panel]:
    """Return a panel of what was right and wrong in the newest windows, if anything tells it."""
    first_ms = max(span.first_ms, span.last_ms - (WINDOWS - 1) * span.length_ms)
    newest = span._replace(first_ms=first_ms)
    classes = list(dict.fromkeys(name[8:] for name in metrics if name.startswith("support:")))
    if classes:
        names = [f"{name}:{one}" for one in classes[:MOST_CLASSES] for name in _OF_CLASS]
        points = known.points(who, newest, [name for name in names if name in metrics])
        return {"classes": of_classes(points, classes)}
    if "recall" in metrics and "support" in metrics:
        return {"confusion": confusion(known.points(who, newest, _PARTS))}
    return {}


def confusion(points: Iterable[Point]) -> Panel:
    """Return how many answers of two classes were right and wrong.

    A window without positive labels has no recall, one without positive answers no precision.
    """
    windows: dict[int, dict[str, Point]] = defaultdict(dict)
    for point in points:
        windows[point.start_ms][point.metric] = point
    labels = true = positive = found = 0
    for own in windows.values():
        if "accuracy" not in own:
            continue
        labels += own["accuracy"].count
        true += own["recall"].count if "recall" in own else 0
        positive += own["precision"].count if "precision" in own else 0
        found += round(own["recall"].value * own["recall"].count) if "recall" in own else 0
    rows = [
        ("positive", "positive", found),
        ("positive", "negative", positive - found),
        ("negative", "positive", true - found),
        ("negative", "negative", labels - true - positive + found),
    ]
    note = f"of {labels} labels in the newest {len(windows)} windows"
    return Panel(("predicted", "true", "count"), rows, (note,))


def of_classes(points: Iterable[Point], classes: Sequence[str]) -> Panel:
    """Return support, precision, recall and F1 of each class, the largest class first.

    Ratios are means over windows, weighted by what each rests on; support is a sum.
    """
    sums: dict[tuple[str, str], tuple[float, int]] = {}
    for point in points:
        name, _, one = point.metric.partition(":")
        total, weight = sums.get((one, name), (0.0, 0))
        sums[one, name] = (total + point.value * point.count, weight + point.count)
    rows: list[tuple[Any, ...]] = []
    for one in classes[:MOST_CLASSES]:
        support = sums.get((one, "support"), (0.0, 0))[1]
        means = (sums.get((one, name), (0.0, 0)) for name in _OF_CLASS[1:])
        rows.append(
            (one, support, *(total / weight if weight else None for total, weight in means))
        )
    rows.sort(key=lambda row: -row[1])
    cut = len(classes) - len(rows)
    notes = (f"of the newest {WINDOWS} windows", *((f"{cut} more classes",) if cut else ()))
    return Panel(("class", *_OF_CLASS), rows, notes)
