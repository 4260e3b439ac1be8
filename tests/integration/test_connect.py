"""Examples for Kafka Connect and ClickHouse name the fields of the records that there are."""

from __future__ import annotations

import json
import re
import uuid

import msgspec
import psycopg
import pytest
from psycopg.rows import dict_row

from streams.alerts import Alert
from streams.metrics import Metric
from streams.topics import Topics
from tests.pages import ROOT
from tests.postgres import Postgres
from tests.sinking import OWNED, alert, metric

FOLDER = ROOT / "deploy" / "connect"
RECORDS: dict[str, type[Metric] | type[Alert]] = {
    "driftline_metrics": Metric,
    "driftline_alerts": Alert,
}
PLACE = {
    "kafka_partition": "UInt64",
    "kafka_offset": "UInt64",
    "visible_at": "DateTime64(3, 'UTC')",
}
TYPES: dict[object, str] = {
    str: "String",
    int: "Int64",
    float: "Float64",
    bool: "Bool",
    float | None: "Nullable(Float64)",
    dict[str, str]: "Map(String, String)",
}


def statements() -> dict[str, str]:
    """Return the statements for ClickHouse by the name of what each creates."""
    text = re.sub(r"--.*", "", (FOLDER / "clickhouse.sql").read_text())
    found = {}
    for one in filter(str.strip, text.split(";")):
        head = re.match(r"\s*CREATE (?:TABLE|MATERIALIZED VIEW|VIEW) (\w+)", one)
        assert head is not None, one
        assert one.count("(") == one.count(")"), one
        found[head[1]] = one
    return found


def columns(statement: str) -> dict[str, str]:
    return dict(re.findall(r"^    (\w+) (.+?),?$", statement.partition("ENGINE")[0], re.MULTILINE))


def wanted(record: type[Metric] | type[Alert]) -> dict[str, str]:
    # What evidence has differs, so it stays JSON.
    return {one.name: TYPES.get(one.type, "String") for one in msgspec.structs.fields(record)}


@pytest.mark.parametrize("table", RECORDS)
def test_clickhouse_reads_every_field_and_keeps_it_with_its_place(table: str) -> None:
    found, fields = statements(), wanted(RECORDS[table])

    selected = found[f"{table}_reader"].partition("SELECT")[2].partition("FROM")[0]

    assert columns(found[f"{table}_queue"]) == fields
    plain = {
        name: re.sub(r"LowCardinality\((\w+)\)", r"\1", kind)
        for name, kind in columns(found[table]).items()
    }
    assert plain == {**fields, **PLACE}
    names = [part.split()[-1] for part in selected.split(",")]
    assert names == [*fields, *PLACE]
    topic = table.replace("_", ".")
    assert f"kafka_topic_list = '{topic}'" in found[f"{table}_queue"]
    assert topic in (Topics().metrics, Topics().alerts)


def test_the_connector_writes_what_was_committed_into_the_tables_that_are_made() -> None:
    config = json.loads((FOLDER / "postgresql-sink.json").read_text())["config"]

    topics = config["topics"].split(",")

    assert topics == [Topics().metrics, Topics().alerts]
    assert config["consumer.override.isolation.level"] == "read_committed"
    assert [topic.replace(".", "_") for topic in topics] == [*RECORDS]
    made = re.findall(r"CREATE TABLE (\w+)", (FOLDER / "postgresql.sql").read_text())
    assert made == [*RECORDS]
    assert config["primary.key.fields"] == config["transforms.key.field"] == "key"
    assert config["connection.password"].startswith("${env:")


@pytest.mark.parametrize(
    "record",
    [metric(2, final=True), metric(coverage=None), alert(**OWNED), alert(value=None)],
    ids=lambda record: type(record).__name__,
)
def test_a_record_in_postgresql_has_its_fields_as_columns(
    postgres: Postgres, record: Metric | Alert
) -> None:
    url = postgres.make_database(f"test_{uuid.uuid4().hex[:8]}")
    [table] = [name for name, kind in RECORDS.items() if isinstance(record, kind)]

    with psycopg.connect(url, row_factory=dict_row) as connection:
        connection.execute((FOLDER / "postgresql.sql").read_bytes())
        text = msgspec.json.encode(record).decode()
        connection.execute(f"INSERT INTO {table} (key, record) VALUES ('k', %s)", (text,))  # type: ignore[arg-type]
        row = connection.execute(f"SELECT * FROM {table}").fetchone()  # type: ignore[arg-type]

    assert row is not None
    assert row.pop("record") == msgspec.to_builtins(record)
    assert row == {"key": "k", **msgspec.to_builtins(record)}


@pytest.mark.parametrize("table", RECORDS)
def test_a_deletion_in_postgresql_leaves_a_row_of_the_key_alone(
    postgres: Postgres, table: str
) -> None:
    url = postgres.make_database(f"test_{uuid.uuid4().hex[:8]}")

    with psycopg.connect(url) as connection:
        connection.execute((FOLDER / "postgresql.sql").read_bytes())
        connection.execute(f"INSERT INTO {table} (key, record) VALUES ('k', NULL)")  # type: ignore[arg-type]
        row = connection.execute(f"SELECT * FROM {table}").fetchone()  # type: ignore[arg-type]

    assert row is not None
    assert set(row[1:]) == {None}
