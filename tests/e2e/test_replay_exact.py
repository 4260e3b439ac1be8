"""A replay's fates and metrics against the oracle, and against itself over partitions."""

import json
from pathlib import Path

import pytest

from tests import builders, oracle

WINDOW_MS = 5 * builders.MINUTE_MS


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder for this file's histories and results."""
    return tmp_path_factory.mktemp("exact")


@pytest.fixture(scope="module")
def arrivals() -> list[builders.Arrival]:
    """Make the history of 16,000 predictions."""
    return builders.history(2024, count=16_000, span_ms=builders.HOUR_MS)


@pytest.fixture(scope="module")
def shuffled_lines(arrivals: list[builders.Arrival]) -> list[bytes]:
    """Return the history in an arbitrary order of arrival."""
    return builders.as_lines(builders.shuffled(arrivals, seed=1))


@pytest.fixture(scope="module")
def shuffled_results(folder: Path, shuffled_lines: list[bytes]) -> dict[int, oracle.Result]:
    """Replay the shuffled history over 1, 4 and 16 partitions."""
    file = builders.write_lines(folder / "shuffled.jsonl", shuffled_lines)
    return {
        partitions: oracle.replay(
            *(file, "--monitors", oracle.RAW),
            out=folder / f"over-{partitions}",
            partitions=partitions,
        )
        for partitions in (1, 4, 16)
    }


@pytest.fixture(scope="module")
def small_lines() -> list[bytes]:
    """Return a history of 4,000 predictions, held up by up to five minutes."""
    arrivals = builders.history(7, count=4_000, span_ms=20 * builders.MINUTE_MS)
    return builders.as_lines(builders.delayed(arrivals, seed=7, bound_ms=WINDOW_MS))


@pytest.fixture(scope="module")
def small_result(folder: Path, small_lines: list[bytes]) -> oracle.Result:
    """Replay the small history from one plain file."""
    file = builders.write_lines(folder / "small.jsonl", small_lines)
    return oracle.replay(file, out=folder / "small")


@pytest.fixture(scope="module")
def cases_file(folder: Path) -> Path:
    """Write all cases of the join table, each as a model of its own."""
    cases = builders.JOIN_CASES.items()
    events = [e for name, case in cases for e in builders.renamed(case.events, name)]
    return builders.write_lines(folder / "cases.jsonl", builders.as_lines(events))


@pytest.fixture(scope="module")
def cases_result(folder: Path, cases_file: Path) -> oracle.Result:
    """Replay the cases of the join table."""
    return oracle.replay(cases_file, out=folder / "cases")


def test_a_shuffled_history_gives_the_numbers_of_pandas_and_scikit_learn(
    shuffled_lines: list[bytes], shuffled_results: dict[int, oracle.Result]
) -> None:
    """Every metric of every window, segment, version and model is right, and no other exists."""
    expected = oracle.expect(shuffled_lines, window_ms=WINDOW_MS)

    differences = oracle.differences(expected, shuffled_results[4])

    assert differences == []
    happened = {name for name, count in expected.fates.items() if count}
    assert happened == set(oracle.FATES) - {"pending", "dead_letter"}


def test_a_history_held_up_on_its_way_gives_the_numbers_of_pandas_and_scikit_learn(
    folder: Path, arrivals: list[builders.Arrival]
) -> None:
    """Bounded disorder is as exact as none."""
    events = builders.delayed(arrivals, seed=3, bound_ms=10 * builders.MINUTE_MS)
    lines = builders.as_lines(events)
    expected = oracle.expect(lines, window_ms=WINDOW_MS)

    result = oracle.replay(builders.write_lines(folder / "late.jsonl", lines), out=folder / "late")

    assert oracle.differences(expected, result) == []


def test_every_line_ends_in_one_fate(
    shuffled_lines: list[bytes], shuffled_results: dict[int, oracle.Result]
) -> None:
    """The fates add up to the number of lines, and nothing is left pending."""
    fates = shuffled_results[4].fates

    assert set(fates) == set(oracle.FATES)
    assert sum(fates.values()) == len(shuffled_lines)
    assert fates["pending"] == 0


@pytest.mark.parametrize("partitions", [1, 16])
def test_the_number_of_partitions_changes_nothing_but_revisions(
    shuffled_results: dict[int, oracle.Result], partitions: int
) -> None:
    """All three files hold the same records in the same order."""
    over_four = shuffled_results[4]
    over_others = shuffled_results[partitions]

    assert oracle.changes(over_others, over_four) == []
    assert len(over_four.alerts) > 0


def test_alerts_are_told_apart_by_their_ids(shuffled_results: dict[int, oracle.Result]) -> None:
    """An alert is resolved or retracted only after it fired, under the same id."""
    firing: set[str] = set()
    for alert in shuffled_results[4].alerts:
        if alert["state"] == "firing":
            firing.add(alert["alert_id"])
        else:
            assert alert["state"] in {"resolved", "retracted"}
            assert alert["alert_id"] in firing


@pytest.mark.parametrize("name", builders.JOIN_CASES)
def test_each_case_of_the_join_table_counts_as_written_down_by_hand(
    cases_result: oracle.Result, name: str
) -> None:
    """The outcome of a case is visible in the metrics of its own model."""
    case = builders.JOIN_CASES[name]

    records = [record for record in cases_result.metrics if record["model"] == name]

    values = {record["metric"]: record["value"] for record in records}
    has_prediction = any("prediction" in event for event in case.events)
    assert len(values) == len(records), "more than one window or segment"
    assert values.get("predictions") == (1 if has_prediction else None)
    assert values.get("labels", 0) == (case.accuracy is not None)
    assert values.get("accuracy") == case.accuracy


def test_the_fates_of_the_join_table_are_those_written_down_by_hand(
    cases_result: oracle.Result,
) -> None:
    """The fates of all cases add up, each by name."""
    right = dict.fromkeys(oracle.FATES, 0)
    for case in builders.JOIN_CASES.values():
        for fate, count in case.fates.items():
            right[fate] += count

    assert cases_result.fates == right


def test_the_defaults_are_five_minutes_and_one_hour(
    folder: Path, cases_file: Path, cases_result: oracle.Result
) -> None:
    """Leaving out window, horizon and partitions changes nothing."""
    out = folder / "defaults"

    done = oracle.run("replay", cases_file, "--out", out)

    assert done.returncode == 0, done.stderr
    by_default = oracle.Result(out, done.stdout, done.stderr)
    assert oracle.changes(by_default, cases_result) == []


def test_a_small_history_is_right_in_windows_of_another_size(
    folder: Path, small_lines: list[bytes]
) -> None:
    """Windows are aligned to the epoch whatever their size."""
    file = builders.write_lines(folder / "other.jsonl", small_lines)
    expected = oracle.expect(small_lines, window_ms=10 * builders.MINUTE_MS)

    result = oracle.replay(file, out=folder / "other", window="10m")

    assert oracle.differences(expected, result) == []


def test_several_files_are_read_one_after_the_other(
    folder: Path, small_lines: list[bytes], small_result: oracle.Result
) -> None:
    """Plain and compressed parts give what the whole gives."""
    third = len(small_lines) // 3
    parts = [small_lines[:third], small_lines[third : 2 * third], small_lines[2 * third :]]
    names = ["2-first.jsonl", "1-second.jsonl.gz", "0-third.jsonl"]
    files = [
        builders.write_lines(folder / name, part) for name, part in zip(names, parts, strict=True)
    ]

    result = oracle.replay(*files, out=folder / "parts")

    assert oracle.changes(result, small_result) == []


def test_blank_lines_and_carriage_returns_are_not_records(
    folder: Path, small_lines: list[bytes], small_result: oracle.Result
) -> None:
    """A file from another system, with no line feed at its end, reads the same."""
    file = folder / "dos.jsonl"
    file.write_bytes(b"\r\n\r\n".join(small_lines))

    result = oracle.replay(file, out=folder / "dos")

    assert oracle.changes(result, small_result) == []


@pytest.mark.parametrize("classes", [("cat", "dog", "owl"), (0, 1, 2, 3)], ids=["words", "numbers"])
def test_more_than_two_classes_are_judged_each_and_on_average(
    folder: Path, classes: tuple[str | int, ...]
) -> None:
    """Macro averages and per-class values are those of scikit-learn."""
    arrivals = builders.multiclass(11, count=1_500, classes=classes)
    lines = builders.as_lines(builders.shuffled(arrivals, seed=11))
    file = builders.write_lines(folder / f"{classes[-1]}.jsonl", lines)

    result = oracle.replay(file, out=folder / f"classes-{classes[-1]}")

    expected = oracle.expect(lines, window_ms=WINDOW_MS)
    assert oracle.differences(expected, result) == []
    assert any(record["metric"] == f"recall:{classes[-1]}" for record in result.metrics)


def test_numbers_are_judged_by_their_errors(folder: Path) -> None:
    """MAE, RMSE and bias are those of scikit-learn; there is no accuracy."""
    lines = builders.as_lines(builders.shuffled(builders.regression(12, count=1_500), seed=12))
    file = builders.write_lines(folder / "regression.jsonl", lines)

    result = oracle.replay(file, out=folder / "regression")

    expected = oracle.expect(lines, window_ms=WINDOW_MS)
    assert oracle.differences(expected, result) == []


def test_joined_lines_stand_beside_predictions_and_labels(
    folder: Path, small_lines: list[bytes]
) -> None:
    """A line that carries both values counts once and needs no match."""
    joined = builders.as_lines(builders.joined_rows(5, task="binary", count=900))
    lines = joined + small_lines
    file = builders.write_lines(folder / "joined.jsonl", lines)

    result = oracle.replay(file, out=folder / "joined")

    expected = oracle.expect(lines, window_ms=WINDOW_MS)
    assert oracle.differences(expected, result) == []


def test_json_output_is_one_document(folder: Path, cases_file: Path) -> None:
    """With --json the standard output is for machines alone."""
    done = oracle.run("replay", cases_file, "--out", folder / "machine", "--json")

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)


@pytest.mark.parametrize("window", ["5 parsecs", "0m", "-5m", ""])
def test_a_bad_window_is_refused_by_name_and_value(
    folder: Path, cases_file: Path, window: str
) -> None:
    """The message names the option and the value; nothing is written."""
    out = folder / f"bad-{len(window)}"

    done = oracle.run("replay", cases_file, "--out", out, f"--window={window}")

    assert done.returncode not in (0, None)
    assert "window" in done.stderr
    assert window in done.stderr
    assert "Traceback" not in done.stderr
    assert not (out / "metrics.jsonl").exists()


def test_a_missing_file_is_refused_by_name(folder: Path) -> None:
    """The message names the file; nothing is written."""
    out = folder / "nothing"

    done = oracle.run("replay", folder / "absent.jsonl", "--out", out)

    assert done.returncode not in (0, None)
    assert "absent.jsonl" in "".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert not (out / "metrics.jsonl").exists()
