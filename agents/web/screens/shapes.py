"""What scores are like beside what they are compared with, and whether they are right.

Of the newest hour that is told: bins have the edges of the reference, so that both are beside each
other; see `streams.distributions`.
"""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import text

from agents.web.known import Known, Who
from agents.web.screens.screen import LATEST_MS, Panel

SERIES = ("score", "prediction")
"""The first of these is drawn that is of numbers."""


def shapes(known: Known, who: Who) -> tuple[dict[str, Panel], dict[str, Any]]:
    """Return panels of scores and of their reliability, and which hours they are of."""
    panels: dict[str, Panel] = {}
    facts: dict[str, Any] = {}
    for series in SERIES:
        window = _newest(known, who, series, "window")
        if window is not None and window["edges"]:
            reference = _newest(known, who, series, "reference", window["start_ms"])
            panels["scores"] = _bins(window, reference)
            facts["scores"] = {"series": series, "start_ms": window["start_ms"]}
            break
    reliability = _newest(known, who, "reliability", "window")
    if reliability is not None:
        panels["reliability"] = _reliability(reliability)
        facts["reliability"] = {"start_ms": reliability["start_ms"]}
    return panels, facts


def _bins(window: dict[str, Any], reference: dict[str, Any] | None) -> Panel:
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


def _reliability(found: dict[str, Any]) -> Panel:
    rows = [
        (probability, positives / count, positives, count)
        for probability, positives, count in zip(
            found["probabilities"], found["positives"], found["counts"], strict=True
        )
        if count and probability is not None
    ]
    return Panel(("mean_probability", "positive_share", "positives", "count"), rows)


def _newest(
    known: Known, who: Who, series: str, role: str, before_ms: int = LATEST_MS
) -> dict[str, Any] | None:
    bound = {"series": series, "role": role, "before": before_ms}
    until_ms = LATEST_MS if known.until_ms is None else known.until_ms
    row = known.connection.execute(
        text(_QUESTION), {**who._asdict(), **bound, "until": until_ms}
    ).first()
    if row is None:
        return None
    lists = {name: json.loads(row._mapping[name]) for name in _LISTS}
    return {**row._mapping, **lists}


_LISTS = ("edges", "counts", "positives", "probabilities")
_QUESTION = """
SELECT start_ms, below, above, edges, counts, positives, probabilities FROM distributions
WHERE model = :model AND version = :version AND segment = :segment AND series = :series
  AND feature = '' AND role = :role AND start_ms <= :before AND visible_at_ms <= :until
ORDER BY start_ms DESC LIMIT 1
"""
