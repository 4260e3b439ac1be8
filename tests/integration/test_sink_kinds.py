"""What is told of models and hours reaches the history and files, and goes from them again."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import msgspec
import pyarrow.parquet
import pytest

from agents.sinks.files import Files, FilesOptions
from agents.sinks.parquet import Parquet, ParquetOptions
from agents.sinks.sql import Sql, SqlOptions
from streams.distributions import Distribution
from streams.models_told import ModelRecord, model_key
from tests.histories import rows
from tests.postgres import Postgres
from tests.sinking import MINUTE_MS, START_MS, TOPICS, Log, letters, metric, run

HOUR_MS = 60 * MINUTE_MS
NOW_MS = START_MS + 24 * HOUR_MS


def model(version: str = "3", **changes: object) -> ModelRecord:
    record = ModelRecord(
        model="fraud",
        version=version,
        task="binary",
        positive="1",
        reason="its classes are '0' and '1'",
        classes=["0", "1"],
        features={"amount": "number"},
        numbers=1,
        categories=0,
        texts=0,
        first_seen_ms=START_MS,
        last_seen_ms=START_MS,
        reference="first 3d",
        reference_version=None,
        reference_since_ms=START_MS,
        reference_rows=100,
    )
    return msgspec.structs.replace(record, **changes)


def hour(start_ms: int = START_MS, **changes: object) -> Distribution:
    record = Distribution(
        model="fraud",
        version="3",
        segment="",
        series="feature",
        feature="amount",
        role="window",
        start_ms=start_ms,
        end_ms=start_ms + HOUR_MS,
        count=30,
        missing=2,
        edges=[0.0, 1.5, 3.0],
        counts=[10, 20],
    )
    return msgspec.structs.replace(record, **changes)


@pytest.fixture
def log() -> Log:
    """Return two models, one of which changes and one is forgotten, and two hours."""
    log, encode = Log(), msgspec.json.encode
    log.add(metric(1))
    for one in (model(), model("4"), model(last_seen_ms=START_MS + HOUR_MS, reference_rows=200)):
        log.put(TOPICS.models, model_key(one.model, one.version), encode(one))
    log.put(TOPICS.models, model_key("fraud", "4"), None)
    for hourly in (hour(), hour(START_MS + HOUR_MS, count=31, probabilities=[0.5, None])):
        log.put(TOPICS.distributions, hourly.key, encode(hourly))
    return log


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return str(tmp_path / "history.db")
    postgres: Postgres = request.getfixturevalue("postgres")
    return postgres.make_database(f"test_{uuid.uuid4().hex[:8]}")


def sql(url: str, *, keep: str = "90d") -> Sql:
    return Sql(SqlOptions(target=url, keep=keep), clock=lambda: NOW_MS)


@pytest.mark.parametrize("most", [1, 100])
def test_the_history_has_the_last_record_of_every_model_and_all_hours(
    url: str, log: Log, tmp_path: Path, most: int
) -> None:
    run(sql(url), log, tmp_path, most=most)

    models = rows(url, "SELECT version, classes, features, reference_rows FROM models")
    hours = rows(url, "SELECT start_ms, count, edges, probabilities FROM distributions ORDER BY 1")
    assert models == [("3", '["0","1"]', '{"amount":"number"}', 200)]
    assert hours == [
        (START_MS, 30, "[0.0,1.5,3.0]", "[]"),
        (START_MS + HOUR_MS, 31, "[0.0,1.5,3.0]", "[0.5,null]"),
    ]
    assert letters(tmp_path) == []
    read = rows(url, "SELECT topic, next_offset FROM positions ORDER BY 1")
    assert read == [(TOPICS.distributions, 2), (TOPICS.metrics, 1), (TOPICS.models, 4)]


def test_hours_leave_the_history_when_revisions_do(url: str, log: Log, tmp_path: Path) -> None:
    run(sql(url), log, tmp_path)

    run(sql(url, keep="1h"), log, tmp_path)

    assert rows(url, "SELECT count(*) FROM distributions") == [(0,)]
    assert rows(url, "SELECT count(*) FROM models") == [(1,)]


def test_a_deletion_with_a_key_of_another_kind_is_a_dead_letter(
    url: str, log: Log, tmp_path: Path
) -> None:
    log.put(TOPICS.models, b'["one"]', None)

    run(sql(url), log, tmp_path)

    assert [letter["reason"] for letter in letters(tmp_path)] == ["no_key"]
    assert len(rows(url, "SELECT * FROM models")) == 1


def test_files_have_a_folder_for_each_topic(log: Log, tmp_path: Path) -> None:
    run(Files(FilesOptions(target=str(tmp_path / "out"))), log, tmp_path)

    def lines(kind: str) -> list[dict[str, object]]:
        text = (tmp_path / "out" / kind / "2026-01-01.jsonl").read_text()
        return [json.loads(line) for line in text.splitlines()]

    assert [line["record"] is None for line in lines("models")] == [False, False, False, True]
    assert [msgspec.convert(line["record"], Distribution) for line in lines("distributions")] == [
        hour(),
        hour(START_MS + HOUR_MS, count=31, probabilities=[0.5, None]),
    ]


def test_parquet_has_lists_and_objects_as_json(log: Log, tmp_path: Path) -> None:
    options = ParquetOptions(target=str(tmp_path / "out"), every="1ms")
    ticks = iter(range(START_MS, NOW_MS))
    run(Parquet(options, clock=lambda: next(ticks)), log, tmp_path, most=100)

    def table(kind: str) -> list[dict[str, object]]:
        [file] = (tmp_path / "out" / kind).rglob("*.parquet")
        return list(pyarrow.parquet.read_table(file).to_pylist())

    models, hours = table("models"), table("distributions")
    assert [one["features"] for one in models][:1] == ['{"amount":"number"}']
    assert (models[-1]["deleted"], models[-1]["version"]) == (True, "4")
    assert [one["edges"] for one in hours] == ["[0.0,1.5,3.0]"] * 2
