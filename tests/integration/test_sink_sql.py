"""The history in SQLite and in PostgreSQL: every revision once, whatever happens."""

from __future__ import annotations

import random
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import combinations_with_replacement
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection, event, text

from agents.history import database, reading, schema
from agents.sinks.contract import AwayError, Upsert
from agents.sinks.sql import Sql, SqlOptions
from driftline.places import Gap
from streams.alerts import Alert
from streams.errors import ConfigError
from tests import oracle
from tests.histories import a_log, ask, asof_by_hand, assert_history_is, rows
from tests.postgres import Postgres
from tests.sinking import MINUTE_MS, OWNED, START_MS, TOPICS, Log, alert, letters, metric, run

DAY_MS = 86_400_000
NOW_MS = START_MS + DAY_MS


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return str(tmp_path / "history.db")
    postgres: Postgres = request.getfixturevalue("postgres")
    return postgres.make_database(f"test_{uuid.uuid4().hex[:8]}")


def sql(url: str, *, keep: str = "90d", now_ms: int = NOW_MS) -> Sql:
    return Sql(SqlOptions(target=url, keep=keep), clock=lambda: now_ms)


def start(url: str, *, now_ms: int = NOW_MS) -> None:
    sink = sql(url, now_ms=now_ms)
    try:
        sink.start()
    finally:
        sink.close()


def test_every_revision_is_there_and_the_last_ones_by_key(url: str, tmp_path: Path) -> None:
    log = a_log()

    run(sql(url), log, tmp_path)

    assert_history_is(url, log)
    assert letters(tmp_path) == []
    offsets = rows(url, "SELECT topic, next_offset FROM positions ORDER BY topic")
    assert offsets == [(TOPICS.alerts, 2), (TOPICS.metrics, 8)]


@pytest.mark.parametrize("most", [1, 3, 100])
def test_as_of_any_time_is_what_an_independent_reader_finds(
    url: str, tmp_path: Path, most: int
) -> None:
    log = a_log()
    run(sql(url), log, tmp_path, most=most)

    for entry in log.entries:
        at_ms = entry.timestamp_ms
        known = ask(url, lambda connection, at_ms=at_ms: reading.metrics_at(connection, at_ms))
        by_hand = asof_by_hand(log, at_ms)
        assert {key: one.record for key, one in known.items()} == by_hand


def test_what_changed_between_two_times_is_what_differs(url: str, tmp_path: Path) -> None:
    log = a_log()
    run(sql(url), log, tmp_path)
    before, after = log.entries[2].timestamp_ms, log.entries[5].timestamp_ms

    def question(connection: Connection) -> list[reading.Change]:
        old = reading.metrics_at(connection, before)
        return list(reading.changes(old, reading.metrics_at(connection, after)))

    revised, gone = ask(url, question)

    assert revised.before.record["revision"] == 2
    assert revised.after.record["revision"] == 3
    assert revised.after.record["final"] is True
    assert (gone.before.record["metric"], gone.after) == ("mean:f", None)


@pytest.mark.parametrize("model", [None, "fraud", "nobody"])
def test_what_changed_is_what_is_known_at_both_times_compared(
    url: str, tmp_path: Path, model: str | None
) -> None:
    log, chance = Log(), random.Random(1)
    for revision in range(30):  # workers' clocks differ: what comes later may be of earlier
        name, at_ms = chance.choice(["fraud", "churn"]), START_MS + chance.randrange(5)
        one, other = metric(revision, model=name), alert(model=name, alert_id=name, at_ms=revision)
        log.add(one, other, at_ms=at_ms)
        if revision % 4 == 0:
            log.delete(one, at_ms=at_ms)
            log.put(TOPICS.alerts, name.encode(), None, at_ms)
    run(sql(url), log, tmp_path)

    def question(connection: Connection) -> Iterator[tuple[list[Any], list[Any]]]:
        for since, until in combinations_with_replacement(range(START_MS - 1, START_MS + 6), 2):
            for at, changed in (
                (reading.metrics_at, reading.metrics_changed),
                (reading.alerts_at, reading.alerts_changed),
            ):
                before, after = (at(connection, time_ms, model=model) for time_ms in (since, until))
                yield (
                    list(changed(connection, since, until, model=model)),
                    list(reading.changes(before, after)),
                )

    found = ask(url, lambda connection: list(question(connection)))

    assert [one for one, _ in found] == [by_hand for _, by_hand in found]
    assert any(one for one, _ in found) == (model != "nobody")


def test_an_alert_that_was_deleted_is_not_known_of_its_model(url: str, tmp_path: Path) -> None:
    log = Log()
    log.add(alert(), alert(alert_id="a2"))
    log.put(TOPICS.alerts, b"a1", None)  # which names no model
    run(sql(url), log, tmp_path)
    before_ms, after_ms = (log.entries[n].timestamp_ms for n in (1, 2))

    def question(connection: Connection) -> tuple[Any, Any]:
        known = reading.alerts_at(connection, after_ms, model="fraud")
        changed = reading.alerts_changed(connection, before_ms, after_ms, model="fraud")
        return list(known), [
            (one.before and one.before.record["alert_id"], one.after) for one in changed
        ]

    assert ask(url, question) == ([("a2",)], [("a1", None)])


def test_revisions_are_found_by_their_key_and_not_by_reading_them_all(tmp_path: Path) -> None:
    url = str(tmp_path / "history.db")
    run(sql(url), a_log(), tmp_path)
    plans: list[str] = []

    def question(connection: Connection) -> None:
        def explain(_: object, __: object, statement: str, parameters: Any, *___: object) -> None:
            cursor = connection.connection.driver_connection.cursor()  # type: ignore[union-attr]
            cursor.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
            plans.append("\n".join(row[3] for row in cursor))

        event.listen(connection, "before_cursor_execute", explain)
        reading.metrics_at(connection, NOW_MS)
        reading.metrics_at(connection, NOW_MS, model="fraud")
        list(reading.metrics_changed(connection, START_MS, NOW_MS))

    ask(url, question)

    everything, of_model, before, after = plans
    assert "SCAN metric_revisions USING COVERING INDEX metric_revisions_key" in everything
    assert "SEARCH metric_revisions USING COVERING INDEX metric_revisions_key (model=?" in of_model
    for plan in (before, after):
        assert "SEARCH metric_revisions USING INDEX metric_revisions_visible_at_ms" in plan
        assert "COVERING INDEX metric_revisions_key (model=? AND version=?" in plan
    assert not any("TEMP B-TREE FOR ORDER BY" in plan for plan in plans)


def test_poison_for_the_database_is_set_aside_and_the_rest_is_there(
    postgres: Postgres, tmp_path: Path
) -> None:
    url = postgres.make_database(f"test_{uuid.uuid4().hex[:8]}")
    log = Log()
    long = "".join(uuid.uuid4().hex for _ in range(400))
    log.add(metric(1), metric(2, model="a\x00b"), metric(3, count=2**70), metric(4, model=long))
    log.put(TOPICS.metrics, b"no key", None)
    log.add(metric(5))

    run(sql(url), log, tmp_path)

    reasons = {(one["reason"], one["offset"]) for one in letters(tmp_path)}
    assert reasons == {
        ("refused_by_database", 1),
        ("out_of_range", 2),
        ("refused_by_database", 3),
        ("no_key", 4),
    }
    assert rows(url, "SELECT revision FROM metric_revisions ORDER BY id") == [(1,), (5,)]


def test_a_number_too_large_for_sqlite_is_set_aside(tmp_path: Path) -> None:
    log, url = Log(), str(tmp_path / "history.db")
    log.add(metric(1), metric(2, count=2**70), metric(3))

    run(sql(url), log, tmp_path)

    assert [one["offset"] for one in letters(tmp_path)] == [1]
    assert rows(url, "SELECT revision FROM metrics") == [(3,)]


def test_a_database_that_goes_away_is_waited_for(postgres: Postgres, tmp_path: Path) -> None:
    url = postgres.make_database(f"test_{uuid.uuid4().hex[:8]}")
    log, sink = a_log(), sql(url)
    run(sink, log, tmp_path)
    log.add(metric(9))
    write, failed = sink.write, []

    def write_while_it_is_away(upserts: Sequence[Upsert]) -> None:
        if not failed:
            postgres.stop()
        try:
            write(upserts)
        except AwayError as error:
            failed.append(str(error))
            if len(failed) == 3:
                postgres.start()
            raise

    sink.write = write_while_it_is_away  # type: ignore[method-assign]
    run(sink, log, tmp_path)

    assert len(failed) >= 3
    assert "s3cret" not in "".join(failed)
    assert_history_is(url, log)


def test_wrong_credentials_are_refused_without_showing_them(postgres: Postgres) -> None:
    with pytest.raises(ConfigError, match="password authentication failed") as refused:
        start(postgres.url(password="wr0ng"))

    assert "wr0ng" not in str(refused.value)


def test_of_two_sinks_on_one_history_one_is_refused(url: str, tmp_path: Path) -> None:
    log = a_log()
    first, second = sql(url), sql(url)
    second.start()
    run(first, log, tmp_path)

    second.start = dict  # type: ignore[method-assign]

    with pytest.raises(ConfigError, match="another sink writes"):
        run(second, log, tmp_path)

    second.close()
    assert_history_is(url, log)


# ------------------------------------------------------------------ the schema
def test_the_tables_are_those_that_the_migrations_make(url: str) -> None:
    from alembic.autogenerate import compare_metadata  # noqa: PLC0415
    from alembic.runtime.migration import MigrationContext  # noqa: PLC0415

    def question(connection: Connection) -> list[Any]:
        schema.prepare(connection)
        options = {"version_table": "driftline_schema", "compare_type": True}
        context = MigrationContext.configure(connection, opts=options)
        return compare_metadata(context, schema.METADATA)  # type: ignore[no-any-return]

    assert ask(url, question) == []


def make_as_of_version(url: str, version: str, *, table: str, row: Mapping[str, object]) -> None:
    """Make a history as an older driftline did, with a row in it."""
    from alembic import command  # noqa: PLC0415

    def make(connection: Connection) -> None:
        config = schema._config()
        config.attributes["connection"] = connection
        command.upgrade(config, version)
        names, values = ", ".join(row), ", ".join(f":{name}" for name in row)
        connection.execute(text(f"INSERT INTO {table} ({names}) VALUES ({values})"), row)

    ask(url, make)


def test_a_history_of_before_alerts_said_whom_a_model_belongs_to_is_brought_up_to_date(
    url: str, tmp_path: Path
) -> None:
    place = {"deleted": False, "visible_at_ms": START_MS, "kafka_partition": 1, "kafka_offset": 0}
    written = msgspec.structs.asdict(alert()) | {"evidence": '{"count":10}'} | place
    later = ("owner", "runbook", "tags", "incident_id", "silenced")
    row = {name: one for name, one in written.items() if name not in later}
    make_as_of_version(url, "2", table="alert_revisions", row=row)
    log = Log()
    log.add(alert(alert_id="a2", **OWNED))

    run(sql(url), log, tmp_path)

    found = ask(url, lambda connection: reading.alerts_at(connection, NOW_MS))
    records = [msgspec.convert(one.record, Alert) for one in found.values()]
    assert records == [alert(), alert(alert_id="a2", **OWNED)]


def test_a_newer_schema_is_refused_with_the_fix(url: str) -> None:
    start(url)
    rows_changed = "UPDATE driftline_schema SET version_num = '99'"
    ask(url, lambda connection: connection.execute(text(rows_changed)))

    with pytest.raises(
        ConfigError, match=r"'99', which this driftline does not know.*install that"
    ):
        start(url)


def test_tables_of_another_program_are_refused(url: str) -> None:
    ask(url, lambda connection: connection.execute(text("CREATE TABLE metrics (x INTEGER)")))

    with pytest.raises(ConfigError, match="tables metrics that driftline did not make"):
        start(url)


def test_a_database_that_is_not_supported_is_refused() -> None:
    with pytest.raises(ConfigError, match="SQLite or PostgreSQL, not in 'mysql'"):
        sql("mysql://me:s3cret@db/x")
    with pytest.raises(ConfigError, match="cannot be read"):
        sql("://")


# ------------------------------------------------------------------ age and gaps
def test_revisions_are_forgotten_by_age_but_not_alerts_that_fire(url: str, tmp_path: Path) -> None:
    log = Log()
    old = {"at_ms": START_MS}
    log.add(metric(1), metric(2, model="old"), alert(), **old)
    log.add(alert(alert_id="a2"), alert("resolved", 1, alert_id="a2"), **old)
    log.add(metric(3), at_ms=START_MS + MINUTE_MS)
    now_ms = START_MS + MINUTE_MS + 30_000

    run(sql(url, keep="1m", now_ms=now_ms), log, tmp_path)

    assert rows(url, "SELECT model, revision FROM metric_revisions") == [("fraud", 3)]
    assert rows(url, "SELECT model FROM metrics") == [("fraud",)]
    assert rows(url, "SELECT alert_id FROM alert_revisions") == [("a1",)]


def test_a_gap_is_written_down_and_told_to_who_asks_about_that_time(
    url: str, tmp_path: Path
) -> None:
    log = a_log()
    log.gaps.append(Gap(TOPICS.metrics, 0, 10, 50, None, START_MS + 5_000))
    run(sql(url), log, tmp_path)

    def told(connection: Connection) -> tuple[list[str], list[str]]:
        early = reading.holes(connection, START_MS + 6_000, NOW_MS)
        return early, reading.holes(connection, START_MS, NOW_MS)

    after, during = ask(url, told)

    assert after == []
    assert during == [str(log.gaps[0])]


def test_a_sink_that_was_away_for_longer_than_revisions_stay_says_so(
    url: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run(sql(url), a_log(), tmp_path)

    start(url, now_ms=NOW_MS + 6 * DAY_MS)
    in_time = capfd.readouterr()[1]
    start(url, now_ms=NOW_MS + 8 * DAY_MS)

    assert "missing" not in in_time
    assert "revisions may be missing: driftline.metrics/0: away for 8d:" in capfd.readouterr()[1]
    assert len(rows(url, "SELECT what FROM gaps")) == 2


# ------------------------------------------------------------------ on the command line
def driftline(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "agents.cli", *words],
        cwd=folder,
        env={"PYTHONPATH": str(oracle.ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    run(sql(str(tmp_path / "driftline-history.db")), a_log(), tmp_path)
    return tmp_path


def test_asof_prints_what_was_known(folder: Path) -> None:
    at = datetime.fromtimestamp(START_MS / 1_000 + 4, UTC)

    done = driftline(folder, "asof", at.isoformat())
    only = driftline(folder, "asof", at.isoformat(), "--model", "fraud", "--json")

    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert first.split("  ", 1)[1].split() == [
        "fraud/3", "accuracy", "0.52", "(n=20", "rev=2)",
    ]  # fmt: skip
    assert second == (
        "2026-01-01 00:00:00  firing    critical fraud/3 accuracy-drop: accuracy is 0.4, below 0.8"
    )
    assert done.stderr == "1 metrics and 1 alerts at 2026-01-01 00:00:04 UTC\n"
    records = [msgspec.json.decode(line) for line in only.stdout.splitlines()]
    assert [one["visible_at_ms"] for one in records] == [START_MS + 2_000, START_MS + 3_000]


def test_diff_prints_what_changed(folder: Path) -> None:
    done = driftline(folder, "diff", "2026-01-01T00:00:02", "2026-01-01T00:00:06")

    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "0.52 (n=20 rev=2) -> 0.53 (n=30 rev=3 final)" in lines[0]
    assert lines[1].endswith("-> deleted")
    assert r"o'brien \"/<b>\x1b[31m/3" in lines[1].replace('"', r"\"")
    assert "accuracy-drop: new -> resolved" in lines[2]


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("asof", "soon"), "'soon' is no time; write one of today"),
        (("asof", "2999-01-01"), "is still to come"),
        (("diff", "2026-01-02", "2026-01-01"), "'2026-01-02' is after '2026-01-01'"),
        (("asof", "2026-01-01", "--history", "none.db"), "there is no history 'none.db'"),
        (("asof", "2026-01-01", "--history", "dead.jsonl"), "file is not a database"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_one_line(
    folder: Path, words: tuple[str, ...], why: str
) -> None:
    (folder / "dead.jsonl").write_text("x" * 1_000)

    done = driftline(folder, *words)

    assert done.returncode == 2
    assert why in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_sink_that_is_idle_is_seen_and_one_that_has_stopped_is_told(
    url: str, tmp_path: Path
) -> None:
    now_ms = [NOW_MS]
    sink = Sql(SqlOptions(target=url), clock=lambda: now_ms[0])
    run(sink, a_log(), tmp_path)
    now_ms[0] += 3_600_000
    sink.flush()
    sink.close()

    def told(at_ms: int) -> list[str]:
        return ask(url, lambda connection: reading.holes(connection, None, at_ms))  # type: ignore[no-any-return]

    assert told(now_ms[0]) == []
    assert told(now_ms[0] + 60_000) == ["its sink was last seen 60 s before that"]
    assert rows(url, "SELECT next_offset FROM positions ORDER BY topic") == [(2,), (8,)]


def test_who_reads_and_who_writes_do_not_wait_for_each_other(url: str, tmp_path: Path) -> None:
    log = a_log()
    run(sql(url), log, tmp_path)
    writer, reader = (
        database.engine_of(database.url_of(url), writes=writes) for writes in (True, False)
    )

    with writer.begin() as writing, reader.begin() as asking:
        writing.execute(text("DELETE FROM metric_revisions"))
        before = reading.metrics_at(asking, NOW_MS)
        with reader.begin() as another:
            also = reading.metrics_at(another, NOW_MS)
        writing.rollback()

    writer.dispose()
    reader.dispose()
    assert len(before) == len(also) == 2


# ------------------------------------------------------------------ topics that are made anew
def identified(url: str, ids: dict[str, str], *, now_ms: int = NOW_MS) -> Sql:
    sink = sql(url, now_ms=now_ms)
    sink.identify(lambda: ids)
    return sink


def test_a_topic_that_was_made_anew_is_refused_and_asof_says_so(url: str, tmp_path: Path) -> None:
    log = a_log()
    run(identified(url, {TOPICS.metrics: "old"}), log, tmp_path)
    run(identified(url, {TOPICS.metrics: "old"}), log, tmp_path)
    told = f"{TOPICS.metrics} was deleted and created again: its id was old, and is new"

    for _ in range(2):
        with pytest.raises(ConfigError, match=f"^{told}: .*driftline sink sql NEW.db"):
            run(identified(url, {TOPICS.metrics: "new"}), log, tmp_path)

    def holes(at_ms: int) -> list[str]:
        return ask(url, lambda connection: reading.holes(connection, None, at_ms))  # type: ignore[no-any-return]

    assert holes(NOW_MS) == [told]
    assert holes(START_MS) == []
    assert_history_is(url, log)


def test_nothing_is_written_of_a_topic_that_is_made_anew_meanwhile(
    url: str, tmp_path: Path
) -> None:
    log, ids, now_ms = a_log(), {TOPICS.metrics: "old"}, [NOW_MS]
    sink = Sql(SqlOptions(target=url), clock=lambda: now_ms[0])
    sink.identify(lambda: dict(ids))
    run(sink, log, tmp_path)
    more = a_log()
    more.add(metric(9))
    write = sink.write

    def write_later(upserts: Sequence[Upsert]) -> None:
        now_ms[0] += 60_000
        ids[TOPICS.metrics] = "new"
        write(upserts)

    sink.write = write_later  # type: ignore[method-assign]
    with pytest.raises(ConfigError, match="deleted and created again"):
        run(sink, more, tmp_path)

    assert_history_is(url, log)


def test_a_gap_that_goes_back_asks_at_once_whether_the_topic_is_the_same(
    url: str, tmp_path: Path
) -> None:
    log, ids = a_log(), {TOPICS.metrics: "old"}
    sink = identified(url, ids)
    run(sink, log, tmp_path)
    ids[TOPICS.metrics] = "new"

    sink.missing(Gap(TOPICS.metrics, 0, 10, 50, None, START_MS))
    with pytest.raises(ConfigError, match="deleted and created again"):
        sink.missing(Gap(TOPICS.metrics, 0, 10, 0, None, START_MS))
    sink.close()


def test_a_topic_of_which_nothing_was_read_or_whose_id_is_not_told_is_accepted(
    url: str, tmp_path: Path
) -> None:
    log = Log()
    log.add(alert())
    run(identified(url, {TOPICS.metrics: "old", TOPICS.alerts: "same"}), log, tmp_path)

    run(identified(url, {TOPICS.metrics: "new"}), log, tmp_path)
    run(identified(url, {}), log, tmp_path)

    sources = rows(url, "SELECT topic, topic_id FROM sources ORDER BY topic")
    assert sources == [(TOPICS.alerts, "same"), (TOPICS.metrics, "new")]


def test_a_history_of_an_older_version_is_brought_up_to_date(url: str, tmp_path: Path) -> None:
    row = {
        "topic": TOPICS.metrics,
        "partition": 0,
        "next_offset": 1,
        "timestamp_ms": START_MS,
        "written_at_ms": NOW_MS,
    }
    make_as_of_version(url, "1", table="positions", row=row)
    log = a_log()

    run(identified(url, {TOPICS.metrics: "a"}), log, tmp_path)

    assert rows(url, "SELECT topic_id FROM sources") == [("a",)]
    revisions = rows(url, "SELECT kafka_offset FROM metric_revisions ORDER BY id")
    assert revisions == [(offset,) for offset in range(1, 8)]
