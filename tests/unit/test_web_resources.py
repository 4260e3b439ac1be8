"""The screen of resources: every host in a line, one of them over time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests import webs
from tests.sinking import MINUTE_MS, START_MS, metric
from tests.webs import api, ask, rows

HOSTS = ("host:a", "host:b", webs.NASTY[0])
WINDOWS = 5


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    log = webs.a_log("fraud")
    for number in range(WINDOWS):
        at = START_MS + number * MINUTE_MS
        for place, host in enumerate((*HOSTS, "fraud")):
            own: dict[str, Any] = {
                "model": host,
                "version": "",
                "window_start_ms": at,
                "window_end_ms": at + MINUTE_MS,
            }
            log.add(
                metric(metric="cpu_utilization", value=0.1 * (place + 1), **own),
                metric(metric="cpu_utilization_max", value=0.9, **own),
                at_ms=at + MINUTE_MS,
            )
            if host == "host:b":
                hot = metric(metric="gpu_temperature_celsius", value=60.0 + number, **own)
                log.add(hot, at_ms=at + MINUTE_MS)
    with webs.page(webs.write(log, tmp_path_factory.mktemp("history"))) as running:
        yield running.port


def test_hosts_and_models_with_readings_have_a_line(port: int) -> None:
    answer = api(port, "resources")

    found = {row["host"]: row for row in rows(answer, "hosts")}
    assert list(found) == sorted((*HOSTS, "fraud"))
    assert found["host:b"]["cpu_utilization"] == pytest.approx(0.2)
    assert found["host:b"]["gpu_temperature_celsius"] == 64.0
    assert found["host:a"]["gpu_temperature_celsius"] is None
    assert answer["facts"]["host"] == "fraud"


@pytest.mark.parametrize("host", [*HOSTS, "fraud"])
def test_a_host_is_drawn_with_quantiles_beside_their_mean(port: int, host: str) -> None:
    answer = api(port, "resources", model=host)

    assert answer["facts"]["host"] == host
    assert answer["facts"]["groups"][0] == ["cpu_utilization", "cpu_utilization_max"]
    series = [row for row in rows(answer, "series") if row["metric"] == "cpu_utilization_max"]
    assert [row["value"] for row in series] == [0.9] * WINDOWS


def test_a_model_without_readings_leads_to_the_first_host(port: int) -> None:
    assert api(port, "resources", model="none")["facts"]["host"] == "fraud"


def test_hosts_are_searched_and_paged(port: int) -> None:
    assert [r["host"] for r in rows(api(port, "resources", search="HOST:"), "hosts")] == [
        "host:a",
        "host:b",
    ]
    assert [r["host"] for r in rows(api(port, "resources", size=1, page=1), "hosts")] == ["host:a"]


def test_an_earlier_time_shows_what_was_known_then(port: int) -> None:
    answer = api(port, "resources", model="host:b", at=START_MS + 2 * MINUTE_MS)

    series = [r for r in rows(answer, "series") if r["metric"] == "gpu_temperature_celsius"]
    assert [row["value"] for row in series] == [60.0, 61.0]


def test_windows_of_a_length_that_there_is_not_are_said(port: int) -> None:
    assert ask(port, "/api/resources?length_ms=7").json == {
        "missing": "there are no windows of this length"
    }


def test_without_readings_there_is_nothing_to_draw(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    url = webs.write(webs.a_log("fraud"), tmp_path_factory.mktemp("history"))

    with webs.page(url) as running:
        answer = api(running.port, "resources")

    assert (answer["facts"]["hosts"], answer["facts"]["host"]) == (0, None)
