"""What scores and features are like beside what they are compared with, and which scores are right.

Of the newest hour that is told: bins have the edges of the reference, so that both are beside each
other; see `streams.distributions`.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from sqlalchemy import text

from agents.web.known import Known, Who
from agents.web.screens.screen import LATEST_MS, Panel

SERIES = ("score", "prediction")
"""The first of these is drawn that is of numbers."""

OTHER = "(other)"
"""Categories that are not told by name."""

HOURS = 24
"""So many of the newest hours make a confusion."""

Panels = dict[str, Panel]
Told = dict[str, Any]
"""A row of the table of distributions, with lists."""


def shapes(known: Known, who: Who) -> tuple[Panels, dict[str, Any]]:
    """Return panels of scores and of their reliability, and which hours they are of."""
    panels: Panels = {}
    facts: dict[str, Any] = {}
    for series in SERIES:
        window = _newest(known, who, series, "window")
        if window is not None and window["edges"]:
            reference = _newest(known, who, series, "reference", before_ms=window["start_ms"])
            panels["scores"] = _bins(window, reference)
            facts["scores"] = {"series": series, "start_ms": window["start_ms"]}
            break
    reliability = _newest(known, who, "reliability", "window")
    if reliability is not None:
        panels["reliability"] = _reliability(reliability)
        facts["reliability"] = {"start_ms": reliability["start_ms"]}
    return panels, facts


def of_feature(known: Known, who: Who, feature: str) -> tuple[Panels, dict[str, Any]]:
    """Return panels of the numbers and the categories of a feature, and what they are of."""
    window = _newest(known, who, "feature", "window", feature=feature)
    if window is None:
        return {}, {}
    reference = _newest(
        known, who, "feature", "reference", feature=feature, before_ms=window["start_ms"]
    )
    panels: Panels = {}
    if window["edges"]:
        panels["numbers"] = _bins(window, reference)
    if window["categories"] or window["other"]:
        panels["categories"] = _categories(window, reference)
    facts = {"start_ms": window["start_ms"], "missing": _missing(window)}
    return panels, facts | {"reference_missing": reference and _missing(reference)}


def of_classes(known: Known, who: Who) -> dict[str, Panel]:
    """Return a panel of which classes were taken for which, if hours with labels tell it."""
    hours = _rows(known, who, "confusion", "window", most=HOURS)
    pairs: Counter[tuple[str, str]] = Counter()
    for one in hours:
        classes = zip(one["predicted_classes"], one["true_classes"], strict=True)
        pairs.update(dict(zip(classes, one["counts"], strict=True)))
    if not pairs:
        return {}
    other = sum(one["other"] for one in hours)
    notes = [f"of the newest {len(hours)} hours in which labels can change no more"]
    notes += [f"{other} answers are of pairs that are not told"] if other else []
    rows = [(*pair, count) for pair, count in sorted(pairs.items())]
    return {"confusion": Panel(("predicted", "true", "count"), rows, tuple(notes))}


# ------------------------------------------------------------------ panels
def _bins(window: Told, reference: Told | None) -> Panel:
    """Return how many values are in each bin; those beyond all edges have a bin of their own."""
    edges = window["edges"]
    same = reference is not None and reference["edges"] == edges
    before = reference if same else None
    rows = [(None, edges[0], window["below"], before and before["below"])]
    for place, count in enumerate(window["counts"]):
        was = before and before["counts"][place]
        rows.append((edges[place], edges[place + 1], count, was))
    rows.append((edges[-1], None, window["above"], before and before["above"]))
    beyond = (rows[0], rows[-1])
    kept = [row for row in rows if row not in beyond or row[2] or row[3]]
    notes = () if same else ("there is no reference yet",)
    return Panel(("from", "below", "count", "reference_count"), kept, notes)


def _categories(window: Told, reference: Told | None) -> Panel:
    """Return how often each category came, the most frequent of the reference first.

    One that is told of one side alone may be among the other categories of the other side.
    """
    sides = [window] if reference is None else [window, reference]
    counts = [dict(zip(one["categories"], one["category_counts"], strict=True)) for one in sides]
    now, before = counts[0], counts[-1]
    names = sorted(now.keys() | before.keys(), key=lambda name: (-before.get(name, 0), name))

    def of(side: int, name: str) -> int | None:
        if side >= len(sides):
            return None
        return counts[side].get(name, None if sides[side]["other"] else 0)

    rows: list[tuple[Any, ...]] = [(name, of(0, name), of(1, name)) for name in names]
    others = [one["other"] for one in sides]
    if any(others):
        rows.append((OTHER, others[0], None if reference is None else others[1]))
    notes = () if reference is not None else ("there is no reference yet",)
    return Panel(("category", "count", "reference_count"), rows, notes)


def _missing(told: Told) -> float | None:
    """Return the share of predictions without a value."""
    if told["missing"] is None or not told["missing"] + told["count"]:
        return None
    return float(told["missing"] / (told["missing"] + told["count"]))


def _reliability(found: Told) -> Panel:
    rows = [
        (probability, positives / count, positives, count)
        for probability, positives, count in zip(
            found["probabilities"], found["positives"], found["counts"], strict=True
        )
        if count and probability is not None
    ]
    return Panel(("mean_probability", "positive_share", "positives", "count"), rows)


# ------------------------------------------------------------------ reading
def _newest(
    known: Known,
    who: Who,
    series: str,
    role: str,
    *,
    feature: str = "",
    before_ms: int = LATEST_MS,
) -> Told | None:
    rows = _rows(known, who, series, role, feature=feature, before_ms=before_ms)
    return next(iter(rows), None)


def _rows(
    known: Known,
    who: Who,
    series: str,
    role: str,
    *,
    feature: str = "",
    before_ms: int = LATEST_MS,
    most: int = 1,
) -> list[Told]:
    """Return what is told of a series, the newest first."""
    bound = {"series": series, "role": role, "feature": feature, "before": before_ms, "most": most}
    until_ms = LATEST_MS if known.until_ms is None else known.until_ms
    rows = known.connection.execute(
        text(_QUESTION), {**who._asdict(), **bound, "until": until_ms}
    ).all()
    return [
        {**row._mapping, **{name: json.loads(row._mapping[name]) for name in _LISTS}}
        for row in rows
    ]


_LISTS = (
    *("edges", "counts", "categories", "category_counts", "predicted_classes", "true_classes"),
    *("positives", "probabilities"),
)
_QUESTION = f"""
SELECT start_ms, count, missing, below, above, other, {", ".join(_LISTS)} FROM distributions
WHERE model = :model AND version = :version AND segment = :segment AND series = :series
  AND feature = :feature AND role = :role AND start_ms <= :before AND visible_at_ms <= :until
ORDER BY start_ms DESC LIMIT :most
"""  # noqa: S608 - our names
