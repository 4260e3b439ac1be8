"""Dashboards are those of the code: whole, placed, and of everything that the catalogues name."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from agents.sinks.telemetry import SINK
from agents.telemetry_catalogue import RESOURCES, WORKER
from deploy.grafana import generate
from deploy.grafana.dashboards import all_dashboards
from streams import families
from streams.families.family import Part

DASHBOARDS = all_dashboards()
NAMES = tuple(DASHBOARDS)
_BUILT_IN = {"__from", "__to", "__rate_interval", "__all", "__data", "__url_time_range"}


def panels(dashboard: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for panel in dashboard["panels"]:
        yield panel
        yield from panel.get("panels", [])


def test_files_are_what_the_catalogues_say() -> None:
    there = {path: path.read_text(encoding="utf-8") for path in generate.FOLDER.glob("*.json")}

    assert there == generate.files(), "python -m deploy.grafana.generate writes them anew"


@pytest.mark.parametrize("name", NAMES)
def test_every_variable_that_is_used_is_one_of_the_dashboard(name: str) -> None:
    made = DASHBOARDS[name]
    there = {one["name"] for one in made["templating"]["list"]}

    used = set(re.findall(r"\$\{?(\w+)", json.dumps(made)))

    assert used - _BUILT_IN <= there
    assert there - used <= {"prometheus", "history"}


@pytest.mark.parametrize("name", NAMES)
def test_what_a_viewer_chooses_is_quoted_in_every_query(name: str) -> None:
    queries = [one["query"] for one in DASHBOARDS[name]["templating"]["list"]]
    for panel in panels(DASHBOARDS[name]):
        queries += [one.get("rawSql", "") for one in panel.get("targets", [])]

    used = set(re.findall(r"\$\{?[\w:]+\}?", " ".join(queries)))

    assert {one for one in used if not one.endswith(":sqlstring}")} <= {"$__from", "$__to"}


@pytest.mark.parametrize("name", NAMES)
def test_panels_have_numbers_of_their_own_and_do_not_overlap(name: str) -> None:
    numbers = [panel["id"] for panel in panels(DASHBOARDS[name])]

    assert len(numbers) == len(set(numbers))
    for group in (DASHBOARDS[name], *DASHBOARDS[name]["panels"]):
        taken = set()
        for one in group.get("panels", []):
            place = one["gridPos"]
            cells = set(
                itertools.product(
                    range(place["x"], place["x"] + place["w"]),
                    range(place["y"], place["y"] + place["h"]),
                )
            )
            assert place["x"] + place["w"] <= 24
            assert not cells & taken
            taken |= cells


def test_every_metric_of_the_catalogues_that_is_published_by_default_is_drawn() -> None:
    told = json.dumps(DASHBOARDS)

    for entry in (*WORKER, *RESOURCES, *SINK):
        assert re.search(rf"\b{entry.name}(_bucket)?\{{", told), entry.name
    for metric in families.CATALOGUE.metrics.values():
        if metric.default and metric.part is not Part.KEY:
            assert re.search(rf"'{metric.name}:?'", told), metric.name


def test_nothing_needs_a_plug_in() -> None:
    kinds = {panel["type"] for made in DASHBOARDS.values() for panel in panels(made)}

    assert kinds == {"row", "timeseries", "state-timeline", "table", "stat"}
