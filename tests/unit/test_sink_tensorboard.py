"""TensorBoard reads what is written for it: values, times, steps, whatever the names are."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_multiplexer import EventMultiplexer

from agents.sinks.tensorboard import Tensorboard, TensorboardOptions
from tests.sinking import MINUTE_MS, START_MS, Log, alert, metric, run

END_S = (START_MS + MINUTE_MS) // 1_000
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def written(log: Log, folder: Path, **options: Any) -> Path:
    out = folder / "runs"
    run(Tensorboard(TensorboardOptions(target=str(out), **options)), log, folder)
    return out


def read(folder: Path) -> EventAccumulator:
    found = EventAccumulator(str(folder))
    found.Reload()
    return found


def runs(folder: Path) -> list[str]:
    return sorted(EventMultiplexer().AddRunsFromDirectory(str(folder)).Reload().Runs())


def test_tensorboard_reads_final_values_with_the_end_of_their_window(tmp_path: Path) -> None:
    log = Log()
    log.add(metric(1), metric(2, final=True), alert(), metric(3, final=True, metric="mean:ünï/b"))

    found = read(written(log, tmp_path) / "fraud" / "3" / "1m")

    tags = ["accuracy", "accuracy.low", "mean.low/ünï/b", "mean/ünï/b"]
    assert sorted(found.Tags()["scalars"]) == tags
    [event] = found.Scalars("accuracy")
    assert (event.wall_time, event.step, event.value) == (END_S, END_S, pytest.approx(0.52))
    assert found.file_version == 2.0  # so that nothing is purged whose step is earlier


def test_windows_that_come_late_purge_nothing(tmp_path: Path) -> None:
    log = Log()
    for number in (3, 1, 2):
        times = {"window_start_ms": START_MS, "window_end_ms": START_MS + number * MINUTE_MS}
        log.add(
            metric(number, final=True, **{**times, "window_start_ms": times["window_end_ms"] - 1})
        )

    found = read(written(log, tmp_path) / "fraud" / "3" / "1ms")

    assert [event.value for event in found.Scalars("accuracy")] == pytest.approx([0.53, 0.51, 0.52])


def test_a_run_is_of_a_model_version_and_window_and_of_a_segment_where_asked_for(
    tmp_path: Path,
) -> None:
    log = Log()
    log.add(metric(1, final=True), metric(1, final=True, segment="country=de"))
    log.add(metric(1, final=True, window_end_ms=START_MS + 5 * MINUTE_MS, version=""))

    assert runs(written(log, tmp_path)) == ["fraud/-/5m", "fraud/3/1m"]
    assert "fraud/3/country=de/1m" in runs(written(log, tmp_path / "all", segments=True))


@pytest.mark.parametrize(
    "name", ["../../x", "..", ".", "a\x00b\x1b[31m", "/etc", "x" * 256, "ü" * 128]
)
def test_no_name_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    log = Log()
    log.add(metric(1, final=True, model=name, version=name, segment=name))

    out = written(log, tmp_path, segments=True)

    [file] = [path for path in tmp_path.rglob("*tfevents*") if path.is_file()]
    assert len(file.relative_to(out).parts) == 5
    assert read(file.parent).Tags()["scalars"] == ["accuracy", "accuracy.low"]


def test_what_has_no_name_is_in_the_folder_all_the_same(tmp_path: Path) -> None:
    log = Log()
    log.add(metric(1, final=True, model="", version="v"))

    assert runs(written(log, tmp_path)) == ["-/v/1m"]


def test_long_names_that_begin_alike_are_apart(tmp_path: Path) -> None:
    log = Log()
    log.add(*(metric(1, final=True, model="x" * 200 + end) for end in "ab"))

    assert len(runs(written(log, tmp_path))) == 2


def test_what_32_bits_do_not_have_is_infinite(tmp_path: Path) -> None:
    log = Log()
    log.add(metric(1, final=True, value=1e300, low=-1e300))

    found = read(written(log, tmp_path) / "fraud" / "3" / "1m")

    assert found.Scalars("accuracy")[0].value == float("inf")
    assert found.Scalars("accuracy.low")[0].value == float("-inf")


def test_a_restart_goes_on_in_the_same_file_and_cuts_what_was_half_written(tmp_path: Path) -> None:
    log = Log()
    log.add(metric(1, final=True))
    out = written(log, tmp_path)
    [file] = out.rglob("*tfevents*")
    with file.open("ab") as half:
        half.write(struct.pack("<Q", 99))
    log.add(metric(2, final=True))

    written(log, tmp_path)

    assert len(read(file.parent).Scalars("accuracy")) == 2
    assert (out / "positions.json").exists()
