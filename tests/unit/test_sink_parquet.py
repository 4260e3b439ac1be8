"""Parquet files of some minutes, by day; what is not known to be complete is deleted."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet
import pytest

from agents.sinks.parquet import COLUMNS, Parquet, ParquetOptions
from streams.errors import ConfigError
from tests.sinking import MINUTE_MS, OWNED, START_MS, TOPICS, Log, alert, metric, run


class Clock:
    now_ms = START_MS

    def __call__(self) -> int:
        return self.now_ms


def parquet(folder: Path, clock: Clock) -> Parquet:
    return Parquet(ParquetOptions(target=str(folder), every="5m"), clock=clock)


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*.parquet")}


def test_rows_are_collected_for_some_minutes_and_come_again_after_a_crash(tmp_path: Path) -> None:
    log, clock, out = Log(), Clock(), tmp_path / "out"
    log.add(metric(1), metric(2), alert(**OWNED))
    log.delete(metric(2), at_ms=START_MS + 24 * 60 * MINUTE_MS)
    run(parquet(out, clock), log, tmp_path)
    before = names(out)
    sink = parquet(out, clock)
    run(sink, log, tmp_path)
    clock.now_ms += 5 * MINUTE_MS
    sink.flush()

    first = pyarrow.parquet.read_table(out / "metrics" / "day=2026-01-01" / "00000001.parquet")
    [gone] = pyarrow.parquet.read_table(
        out / "metrics" / "day=2026-01-02" / "00000001.parquet"
    ).to_pylist()

    [alert_row] = pyarrow.parquet.read_table(
        out / "alerts" / "day=2026-01-01" / "00000001.parquet"
    ).to_pylist()

    assert before == set()
    assert (alert_row["owner"], alert_row["tags"]) == ("risk", '{"tier":"1","a.b":"x"}')
    assert first["revision"].to_pylist() == [1, 2]
    assert first.column_names == [*COLUMNS["metrics"]]
    assert (gone["deleted"], gone["value"], gone["metric"]) == (True, None, "accuracy")
    assert parquet(out, clock).start() == {("driftline.metrics", 0): 3, ("driftline.alerts", 0): 1}


def test_files_that_are_not_known_to_be_complete_are_deleted(tmp_path: Path) -> None:
    clock, day = Clock(), tmp_path / "metrics" / "day=2026-01-01"
    day.mkdir(parents=True)
    (day / "00000001.parquet").write_bytes(b"PAR1 cut o")

    parquet(tmp_path, clock).start()

    assert names(tmp_path) == set()


def test_files_of_a_topic_that_was_made_anew_are_left_as_they_are(tmp_path: Path) -> None:
    log, clock, out = Log(), Clock(), tmp_path / "out"
    log.add(metric(1))
    for topic_id in ("old", "old", "new"):
        sink = parquet(out, clock)
        sink.identify(lambda own=topic_id: {TOPICS.metrics: own})  # type: ignore[misc]
        if topic_id == "new":
            with pytest.raises(ConfigError, match="deleted and created again"):
                sink.start()
            break
        run(sink, log, tmp_path)
        clock.now_ms += 5 * MINUTE_MS
        sink.flush()

    assert names(out) == {"metrics/day=2026-01-01/00000001.parquet"}


def test_a_folder_of_another_program_is_refused(tmp_path: Path) -> None:
    (tmp_path / "positions.json").write_text("[]")

    with pytest.raises(ConfigError, match="was not written by this sink"):
        parquet(tmp_path, Clock()).start()


def test_a_deletion_with_a_key_of_no_metric_is_set_aside(tmp_path: Path) -> None:
    log, clock, out = Log(), Clock(), tmp_path / "out"
    log.put("driftline.metrics", b"no key", None)
    log.add(metric(1))
    sink = parquet(out, clock)
    run(sink, log, tmp_path)
    clock.now_ms += 5 * MINUTE_MS
    sink.flush()

    assert names(out) == {"metrics/day=2026-01-01/00000001.parquet"}
    assert (tmp_path / "dead.jsonl").read_text().count("no_key") == 1
