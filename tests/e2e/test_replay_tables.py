"""A table of joined rows, CSV or Parquet, gives what the same rows give as JSON lines."""

import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests import builders, oracle

COLUMNS = {"prediction": "y_hat", "label": "y", "score": "p", "timestamp": "at"}
TASKS = ["binary", "multiclass", "regression"]


@pytest.fixture(scope="module", params=TASKS)
def task(request: pytest.FixtureRequest) -> str:
    """Return one kind of task after the other."""
    return str(request.param)


@pytest.fixture(scope="module")
def rows(task: str) -> list[builders.Event]:
    """Make joined rows whose error doubles at half time."""
    return builders.joined_rows(31, task=task)


@pytest.fixture(scope="module")
def from_lines(
    rows: list[builders.Event], tmp_path_factory: pytest.TempPathFactory
) -> oracle.Result:
    """Replay the rows as JSON lines."""
    folder = tmp_path_factory.mktemp("lines")
    file = builders.write_lines(folder / "rows.jsonl", builders.as_lines(rows))
    return oracle.replay(file, out=folder)


def _table(rows: list[builders.Event], path: Path) -> tuple[Path, str]:
    """Write rows as a table with column names of its own; return path and --columns."""
    fields = {"timestamp": "timestamp_ms"}
    used = [name for name in COLUMNS if fields.get(name, name) in rows[0]]
    table = pd.DataFrame({COLUMNS[n]: [row[fields.get(n, n)] for row in rows] for n in used})
    if path.suffix == ".csv":
        table.to_csv(path, index=False)
    else:
        table.to_parquet(path, index=False)
    return path, ",".join(f"{name}={COLUMNS[name]}" for name in used)


def _by_window(result: oracle.Result) -> dict[tuple[Any, ...], tuple[float, int]]:
    """Return values and counts by window and metric; a table names no model."""
    names = ("segment", "window_start_ms", "window_end_ms", "metric")
    return {
        tuple(record[name] for name in names): (record["value"], record["count"])
        for record in result.metrics
    }


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_table_gives_the_metrics_of_the_same_rows_as_lines(
    tmp_path: Path, rows: list[builders.Event], from_lines: oracle.Result, suffix: str
) -> None:
    """Each row is one joined record; values agree to the precision of the table."""
    file, columns = _table(rows, tmp_path / f"rows{suffix}")

    result = oracle.replay(file, "--columns", columns, out=tmp_path)

    right, said = _by_window(from_lines), _by_window(result)
    assert result.fates == from_lines.fates
    assert result.fates["joined"] == len(rows)
    assert said.keys() == right.keys()
    for key, (value, count) in right.items():
        assert math.isclose(said[key][0], value, rel_tol=1e-9, abs_tol=1e-9), key
        assert said[key][1] == count, key


def test_joined_lines_are_right_by_the_oracle(
    rows: list[builders.Event], from_lines: oracle.Result
) -> None:
    """The lines that tables are compared with are right to begin with."""
    expected = oracle.expect(builders.as_lines(rows), window_ms=5 * builders.MINUTE_MS)

    assert oracle.differences(expected, from_lines) == []


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_adwin_fires_on_a_table_where_bare_river_fires_on_its_rows(
    tmp_path: Path, suffix: str
) -> None:
    """Rows in the order of their times are outcomes in the order of the detector."""
    rows = builders.joined_rows(33, task="binary")
    bare = oracle.adwin_indices([int(row["prediction"] != row["label"]) for row in rows])
    if suffix == ".jsonl":
        arguments = [builders.write_lines(tmp_path / "rows.jsonl", builders.as_lines(rows))]
    else:
        file, columns = _table(rows, tmp_path / f"rows{suffix}")
        arguments = [file, "--columns", columns]

    result = oracle.replay(*arguments, "--monitors", oracle.RAW, out=tmp_path)

    alerts = oracle.loss_alerts(result.alerts)
    assert len(bare) > 0
    assert alerts[0]["evidence"]["outcome_index"] == bare[0]
    assert alerts[0]["direction"] == "worse"


@pytest.mark.parametrize(
    ("columns", "culprit"),
    [
        ("prediction=y_hat,label=nowhere,timestamp=at", "nowhere"),
        ("prediction=y_hat,label=y,timestamp=at,colour=p", "colour"),
        ("prediction=y_hat,label", "label"),
    ],
    ids=["column_that_the_table_lacks", "role_that_does_not_exist", "no_equals_sign"],
)
def test_unknown_columns_are_refused_by_name(tmp_path: Path, columns: str, culprit: str) -> None:
    """The message names the option and the culprit; nothing is written."""
    file, _ = _table(builders.joined_rows(34, task="binary", count=10), tmp_path / "rows.csv")
    out = tmp_path / "out"

    done = oracle.run("replay", file, "--columns", columns, "--out", out)

    assert done.returncode not in (0, None)
    assert "columns" in done.stderr
    assert culprit in done.stderr
    assert "Traceback" not in done.stderr
    assert not (out / "metrics.jsonl").exists()
