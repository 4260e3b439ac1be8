"""The page on SQLite and on PostgreSQL: the same, and the same as `driftline asof`."""

from __future__ import annotations

import csv
import io
import time
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from agents.history import reading
from agents.web import known
from agents.web.known import MOST_POINTS, Known, Span, Who
from tests import webs
from tests.histories import ask as ask_history
from tests.postgres import Postgres
from tests.sinking import MINUTE_MS, START_MS, Log, alert, metric
from tests.webs import api, rows


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return str(tmp_path / "history.db")
    postgres: Postgres = request.getfixturevalue("postgres")
    return postgres.make_database(f"test_{uuid.uuid4().hex[:8]}")


def test_every_screen_is_answered_whatever_the_names(url: str, tmp_path: Path) -> None:
    names = ("fraud", *webs.NASTY)
    webs.write(webs.a_log(*names), tmp_path, url)

    with webs.page(url) as running:
        found = rows(api(running.port, "fleet"), "models")
        series = [rows(api(running.port, "model", model=name), "quality") for name in names]
        past = rows(api(running.port, "fleet", at=START_MS + 5 * MINUTE_MS), "models")

    assert {row["model"] for row in found} == {row["model"] for row in past} == set(names)
    assert {round(row["value"], 9) for row in found} == {0.81}
    assert {round(row["value"], 9) for row in past} == {0.86}
    assert all(len(one) == webs.WINDOWS for one in series)


def test_a_long_series_is_thinned_and_says_so(url: str, tmp_path: Path) -> None:
    log = Log()
    count = 2 * MOST_POINTS + 5
    for number in range(count):
        at = START_MS + number * MINUTE_MS
        value = 5.0 if number == 700 else float(number % 2)
        places = {"window_start_ms": at, "window_end_ms": at + MINUTE_MS, "final": number != 0}
        log.add(metric(value=value, low=None, high=None, **places), at_ms=START_MS)
        log.add(metric(metric="coverage", value=value, **places), at_ms=START_MS)

    with webs.page(webs.write(log, tmp_path, url)) as running:
        answer = api(running.port, "model", model="fraud")
        assert api(running.port, "model", model="fraud") == answer  # what is kept is the same
        revised = metric(metric="coverage", value=7.0, window_start_ms=START_MS + 10 * MINUTE_MS,
                         window_end_ms=START_MS + 11 * MINUTE_MS)  # fmt: skip
        log.add(revised, at_ms=START_MS)
        webs.write(log, tmp_path, url)
        running.following.step()
        again = rows(api(running.port, "model", model="fraud"), "coverage")

    found = rows(answer, "quality")
    assert "each point is the mean of 3" in answer["panels"]["quality"]["notes"][0]
    assert len(found) == (count + 2) // 3 <= MOST_POINTS
    assert sum(row["windows"] for row in found) == count
    assert max(row["high"] for row in found) == 5.0
    assert [row["final"] for row in found[:2]] == [False, True]
    beside = rows(answer, "coverage")
    assert answer["panels"]["coverage"]["notes"] == [
        "one window of every 5; a shorter range has each"
    ]
    assert [row["window_start_ms"] for row in beside] == [
        START_MS + number * MINUTE_MS for number in range(0, count, 5)
    ]
    assert [row["value"] for row in beside[:3]] == [0.0, 1.0, 0.0]
    assert [row["value"] for row in again[:4]] == [0.0, 1.0, 7.0, 1.0]


def test_what_is_too_long_for_one_answer_is_a_sample_until_all_of_it_is_read(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known, "MOST_READ", 500)
    log, count = Log(), 2 * MOST_POINTS + 5
    then = START_MS + count * MINUTE_MS
    for number in range(count):
        at = START_MS + number * MINUTE_MS
        own = {"window_start_ms": at, "window_end_ms": at + MINUTE_MS, "low": None, "high": None}
        log.add(metric(value=5.0 if number == 700 else 1.0, **own), at_ms=then)
    log.add(metric(value=9.0, **own), at_ms=then + MINUTE_MS)
    asked, earlier = {"model": "fraud", "since": then}, {"model": "fraud", "at": then}

    def whole(port: int, asked: dict[str, Any]) -> Any:
        deadline_s = time.monotonic() + 30
        while "sampled" in (answer := api(port, "model", **asked))["facts"]:
            assert time.monotonic() < deadline_s
            time.sleep(0.05)
        return answer

    with webs.page(webs.write(log, tmp_path, url)) as running:
        first = api(running.port, "model", **asked)
        answer, past = whole(running.port, asked), whole(running.port, earlier)
    with webs.page(url) as fresh:
        exact = webs.ask(fresh.port, f"/csv/model/quality?{urlencode(asked)}")  # is never a sample

    assert first["facts"]["sampled"] == 3
    assert first["panels"]["changed"]["rows"] == []  # they may be of other windows
    sample, found = rows(first, "quality"), rows(answer, "quality")
    assert [row["window_start_ms"] for row in sample] == [row["window_start_ms"] for row in found]
    assert {row["windows"] for row in sample} == {3}
    assert max(row["high"] for row in found[:-1]) == 5.0
    assert found[-1]["high"] == 9.0
    assert rows(past, "quality")[-1]["high"] == 1.0
    assert [row["high_after"] for row in rows(answer, "changed")] == [9.0]
    told = list(csv.DictReader(io.StringIO(exact.body.decode())))
    assert [float(row["high"]) for row in told] == [row["high"] for row in found]


def test_an_earlier_time_shows_what_asof_shows(url: str, tmp_path: Path) -> None:
    log = webs.a_log("fraud")
    first = metric(1, metric="accuracy", value=0.123, low=None, high=None, final=True)
    log.add(first, at_ms=START_MS + 20 * MINUTE_MS)
    log.delete(metric(1, metric="coverage"), at_ms=START_MS + 21 * MINUTE_MS)
    log.add(alert("resolved", 1, alert_id="a0"), at_ms=START_MS + 22 * MINUTE_MS)
    webs.write(log, tmp_path, url)
    who, span = Who("fraud", "3"), Span(START_MS, START_MS + 9 * MINUTE_MS, MINUTE_MS)
    names = ("predictions", "accuracy", "coverage")

    for minute in (1, 3, 6, 19, 20, 21, 22):
        until = START_MS + minute * MINUTE_MS
        asof = ask_history(url, lambda c, until=until: reading.metrics_at(c, until))
        states = ask_history(url, lambda c, until=until: reading.alerts_at(c, until))
        points = ask_history(url, lambda c, until=until: Known(c, until).points(who, span, names))
        alerts = ask_history(url, lambda c, until=until: Known(c, until).alerts("fraud"))

        expected = {(key[3], key[5]): known.record for key, known in asof.items()}
        assert {(p.start_ms, p.metric) for p in points} == expected.keys()
        for point in points:
            record = expected[point.start_ms, point.metric]
            assert all(getattr(point, name) == record[name] for name in ("value", "final"))
        assert {a["alert_id"]: a["state"] for a in alerts} == {
            key[0]: known.record["state"] for key, known in states.items()
        }

    with webs.page(url) as running:
        then = START_MS + 3 * MINUTE_MS
        live, past = (rows(api(running.port, "fleet", **at), "models") for at in ({}, {"at": then}))
        series = rows(api(running.port, "model", model="fraud", at=then), "quality")
    assert (live[0]["health"], past[0]["health"]) == ("silent", "ok")
    assert past[0]["value"] == pytest.approx(0.88)
    assert len(series) == 3
