"""Parquet: every type of a column that a table may have is read, or refused by name."""

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from agents.recordings import Recordings
from streams.errors import ConfigError

MS = 1_767_225_600_000
DAY = datetime(2026, 1, 1, tzinfo=UTC)
COLUMNS = "prediction=y,label=t,timestamp=at"


def events(tmp_path: Path, *, columns: str = COLUMNS, **arrays: pa.Array) -> list[Any]:
    """Write a table of these columns, and read it as a replay does."""
    usual = {"y": pa.array([1]), "t": pa.array([0]), "at": pa.array([MS])} | arrays
    parquet.write_table(pa.table(usual), tmp_path / "rows.parquet")
    recordings = Recordings([tmp_path / "rows.parquet"], columns)
    for _ in recordings.look():
        pass
    found = list(recordings.lines())
    assert [line.error for line in found if line.error] == []
    return [json.loads(line.value) for line in found]


NS = 1_000_000


@pytest.mark.parametrize(
    "at",
    [
        pa.array([MS]),
        pa.array([MS], pa.uint64()),
        pa.array([float(MS)]),
        pa.array([Decimal(MS)], pa.decimal128(38, 0)),
        pa.array([20260101]),
        pa.array(["20260101"]),
        pa.array(["2026-01-01 00:00:00 UTC"]),
        pa.array([date(2026, 1, 1)]),
        pa.array([date(2026, 1, 1)], pa.date64()),
        pa.array([MS // 1_000], pa.timestamp("s")),
        pa.array([MS], pa.timestamp("ms")),
        pa.array([MS * 1_000 + 1], pa.timestamp("us")),
        pa.array([MS * NS + 1], pa.timestamp("ns")),
        pa.array([MS * NS + 1], pa.timestamp("ns", "UTC")),
        pa.array([MS * 1_000], pa.timestamp("us", "America/New_York")),
        pa.array([MS], pa.timestamp("ms", "+05:30")),
        pa.array([DAY.isoformat()]).dictionary_encode(),
        pa.array([MS], pa.timestamp("ms")).dictionary_encode(),
    ],
    ids=lambda array: str(array.type),
)
def test_times_of_every_type_are_the_same_moment(tmp_path: Path, at: pa.Array) -> None:
    [event] = events(tmp_path, at=at)

    assert event["timestamp_ms"] == MS


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (pa.array([True]), True),
        (pa.array([2], pa.int8()), 2),
        (pa.array([1.5], pa.float32()), 1.5),
        (pa.array([Decimal("1.50")]), 1.5),
        (pa.array([Decimal("2.00")]), 2),
        (pa.array(["01"]), "01"),
        (pa.array(["1"]), "1"),
        (pa.array(["A"]).dictionary_encode(), "A"),
        (pa.array(["A"], pa.large_string()), "A"),
        (pa.array([b"A"]), "A"),
        (pa.array(["N/A"]), None),
        (pa.array([float("nan")]), None),
        (pa.array([None], pa.string()), None),
        (pa.array([None]), None),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else "",
)
def test_labels_of_every_type_are_read(tmp_path: Path, array: pa.Array, expected: Any) -> None:
    [event] = events(tmp_path, t=array)

    assert event["label"] == expected
    assert type(event["label"]) is type(expected)


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (pa.array([True]), True),
        (pa.array([Decimal("1.25")]), 1.25),
        (pa.array(["1.25"]), 1.25),
        (pa.array([timedelta(seconds=1)], pa.duration("ms")), 1000),
        (pa.array([DAY]), "2026-01-01 00:00:00.000000Z"),
        (pa.array([float("inf")]), None),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else "",
)
def test_features_of_every_type_are_read(tmp_path: Path, array: pa.Array, expected: Any) -> None:
    [event] = events(tmp_path, columns=COLUMNS + ",feature:f=f", f=array)

    assert event["features"]["f"] == expected


def test_a_day_can_be_a_segment(tmp_path: Path) -> None:
    [event] = events(tmp_path, columns=COLUMNS + ",segment:day=d", d=pa.array([date(2026, 1, 1)]))

    assert event["segments"] == {"day": "2026-01-01"}


def test_columns_that_are_not_used_do_not_matter(tmp_path: Path) -> None:
    unused = {
        "a": pa.array([MS * NS + 1], pa.timestamp("ns")),
        "b": pa.array([[1]]),
        "c": pa.array([b"\xff"]),
        "d": pa.array([253_402_300_800_000], pa.timestamp("ms")),
    }

    assert len(events(tmp_path, **unused)) == 1


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (pa.array([[1]]), r"prediction: a column of list<.*> does not have a single value"),
        (pa.array([{"a": 1}]), "prediction: a column of struct"),
        (pa.array([b"\xff"]), "cannot be read as Parquet: Invalid UTF8"),
    ],
)
def test_a_column_without_single_values_is_refused_by_name(
    tmp_path: Path, array: pa.Array, says: str
) -> None:
    with pytest.raises(ConfigError, match=rf"rows\.parquet: {says}"):
        events(tmp_path, y=array)


def test_a_table_of_which_nobody_said_what_is_what_names_its_columns(tmp_path: Path) -> None:
    parquet.write_table(pa.table({"pred": [1], "at": [MS]}), tmp_path / "rows.parquet")

    with pytest.raises(ConfigError, match=r"rows\.parquet: say which .*; they are pred, at$"):
        Recordings([tmp_path / "rows.parquet"])


def test_what_is_no_parquet_is_refused_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "rows.parquet").write_text("y,t,at\n")
    recordings = Recordings([tmp_path / "rows.parquet"], COLUMNS)

    with pytest.raises(ConfigError, match=r"rows\.parquet: cannot be read as Parquet: [^\n]+$"):
        list(recordings.look())


def test_a_date_in_digits_is_no_time_of_1970(tmp_path: Path) -> None:
    """20260101 as a number is that day; a timestamp that is as many milliseconds is its own."""
    [event] = events(tmp_path, at=pa.array([20260101], pa.timestamp("ms")))

    assert event["timestamp_ms"] == 20260101
