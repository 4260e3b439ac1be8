"""The screen of the pipeline: how old the history is, what it lacks, and what workers tell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from agents.history.writing import note_gap
from agents.status import ModelCost, Status, Work
from agents.web.board import EMPTY
from agents.web.known import Known
from agents.web.screens.pipeline import Pipeline
from agents.web.screens.screen import Answer, Asked, View
from agents.web.told import Letters, Told
from tests import webs
from tests.histories import ask
from tests.sinking import START_MS, TOPICS
from tests.webs import api, rows


def status(worker_id: str, **changes: Any) -> Status:
    known: dict[str, Any] = {
        "worker_id": worker_id,
        "version": "1",
        "unready": None,
        "uptime_s": 60.0,
        "cpu_s": 11.0,
        "start_cpu_s": 1.0,
        "records": 1_000_000,
        "models": 2,
        "pending_predictions": 7,
        "partitions": {"join": [0, 1]},
        "work": [Work("join", 2.0), Work("monitor", 6.0)],
        "monitor_costs": [],
        "model_costs": [ModelCost("<b>", "3", 1.0, 10, 20, 30)],
    }
    return Status(**(known | changes))


def shown(told: Told | None, tmp_path: Path, **asked: Any) -> Answer:
    url = webs.write(webs.a_log("fraud"), tmp_path)
    return ask(  # type: ignore[no-any-return]
        url,
        lambda connection: Pipeline().answer(
            View(Known(connection), EMPTY, START_MS, told), Asked(**asked)
        ),
    )


def test_the_history_tells_how_old_it_is_and_what_it_lacks(tmp_path: Path) -> None:
    log = webs.a_log("fraud")
    url = webs.write(log, tmp_path)
    ask(
        url,
        lambda connection: note_gap(
            connection, (TOPICS.metrics, 1), after_ms=1, until_ms=2, what="<b>gone</b>"
        ),
    )

    with webs.page(url) as running:
        answer = api(running.port, "pipeline")

    by_topic = {row["topic"]: row for row in rows(answer, "history")}
    assert by_topic[TOPICS.metrics]["records"] == 30
    assert by_topic[TOPICS.alerts]["newest_ms"] == log.entries[-1].timestamp_ms
    assert [(row["partition"], row["what"]) for row in rows(answer, "gaps")] == [(1, "<b>gone</b>")]
    assert "workers" not in answer["panels"]


def test_what_workers_tell_is_added_up(tmp_path: Path) -> None:
    one = status("a", lag={"p": 5}, clock_ms={"join": 30}, fates={"joined": 3, "pending": 0})
    two = status("b", lag={"p": 2, "l": 1}, clock_ms={"join": 20}, fates={"joined": 1})

    panels = shown(Told((one, two)), tmp_path).panels

    assert panels["lag"].rows == [("p", 7), ("l", 1)]
    assert panels["clock"].rows == [("join", 20, "b")]
    assert panels["fates"].rows == [("joined", 4, 1.0)]
    assert panels["costs"].rows == [("monitor", 12.0, 0.75), ("join", 4.0, 0.25)]
    assert [row[:3] for row in panels["models"].rows] == [("<b>", "3", 1.0)] * 2
    first = dict(zip(panels["workers"].columns, panels["workers"].rows[0], strict=True))
    assert (first["ready"], first["lag"], first["cpu_us_per_record"]) == ("ready", 5, 10.0)


def test_the_reasons_with_most_dead_letters_come_first(tmp_path: Path) -> None:
    few = Letters("p", "invalid_json", 1, 1, "p/0:1", "wrong", "{")
    many = Letters("l", "late_label", 9, 1, "l/0:1", "late", "{}")

    panels = shown(Told((), (few, many)), tmp_path).panels

    assert [row[1:3] for row in panels["letters"].rows] == [("late_label", 9), ("invalid_json", 1)]


def test_workers_of_an_earlier_time_are_not_known(tmp_path: Path) -> None:
    told = Told((status("a"),))

    assert "workers" in shown(told, tmp_path).panels
    assert "workers" not in shown(told, tmp_path, at=START_MS).panels
