"""The verifier of the fault suite finds what a history lacks, has twice, or has in wrong order."""

import json
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import Connection

from tests.faults import history_verify
from tests.faults.history_verify import Revision
from tests.histories import a_log, ask
from tests.sinking import TOPICS, Log, run


def published(log: Log, topic: str = TOPICS.metrics) -> list[Revision]:
    return [
        Revision(
            one.partition,
            one.offset,
            one.timestamp_ms,
            one.key or b"",
            None if one.value is None else json.loads(one.value),
        )
        for one in log.entries
        if one.topic == topic
    ]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Log, str]:
    from agents.sinks.sql import Sql, SqlOptions  # noqa: PLC0415

    folder = tmp_path_factory.mktemp("history")
    log, url = a_log(), str(folder / "history.db")
    run(Sql(SqlOptions(target=url, keep="3650d")), log, folder)
    return log, url


def test_a_history_that_is_right_is_accepted(written: tuple[Log, str]) -> None:
    log, url = written
    metrics, alerts = published(log), published(log, TOPICS.alerts)

    def question(connection: Connection) -> list[str]:
        return [
            *history_verify.every_revision_once(
                history_verify.revisions_of(connection, "metric_revisions"), metrics
            ),
            *history_verify.every_revision_once(
                history_verify.revisions_of(connection, "alert_revisions"), alerts
            ),
            *history_verify.last_values_are(history_verify.last_values(connection), metrics),
            *history_verify.gaps(connection),
        ]

    assert ask(url, question) == []
    assert ask(url, history_verify.next_offsets) == {
        (TOPICS.metrics, 0): len(metrics),
        (TOPICS.alerts, 0): len(alerts),
    }


@pytest.mark.parametrize("harm", ["lost", "twice", "swapped", "changed"])
def test_a_revision_that_is_not_as_published_is_found(harm: str) -> None:
    right = published(a_log())
    rows: list[Any] = list(right)
    match harm:
        case "lost":
            del rows[1]
        case "twice":
            rows.insert(1, rows[1])
        case "swapped":
            rows[1:3] = rows[2:0:-1]
        case "changed":
            rows[1] = rows[1]._replace(record={**rows[1].record, "count": 7})

    assert history_verify.every_revision_once(rows, right)


def test_last_values_that_are_not_last_are_found() -> None:
    right = published(a_log())
    last = {one.key: one.record for one in right}
    good = [record for record in last.values() if record is not None]
    deleted = next(one.record for one in right if one.record and last[one.key] is None)

    assert history_verify.last_values_are(good, right) == []
    assert history_verify.last_values_are(good[1:], right)
    assert history_verify.last_values_are([*good, deleted], right)
    assert history_verify.last_values_are([good[0], {**good[1], "revision": 0}], right)


def test_what_is_printed_of_another_time_is_found() -> None:
    right = published(a_log())
    times_ms = [one.time_ms for one in right]

    def printed(until_ms: int) -> list[str]:
        known = history_verify.known_at(right, until_ms).values()
        return [json.dumps({"visible_at_ms": at_ms, **record}) for at_ms, record in known]

    for before_ms, at_ms in pairwise(times_ms):
        known = history_verify.known_at(right, at_ms)
        assert history_verify.asof_is(printed(at_ms), known=known) == []
        assert history_verify.asof_is(printed(before_ms), known=known)
