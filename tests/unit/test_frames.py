"""A data frame is replayed as the same table in a file is."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import driftline
from agents.replay import run_replay

ROWS = 3_000
COLUMNS = {
    "prediction": "said, by the model",
    "label": "true=",
    "timestamp": "at",
    "feature:amount": "amount",
    "segment:country": "country",
}


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    """Predictions that go wrong after half of the time; cells that are missing of every type."""
    rng = random.Random(7)
    truth = [rng.random() < 0.3 for _ in range(ROWS)]
    said = [t if rng.random() < (0.95, 0.6)[n > ROWS // 2] else not t for n, t in enumerate(truth)]
    found = pd.DataFrame(
        {
            "said, by the model": said,
            "true=": pd.Series([*truth[:-1], None], dtype=object),
            "at": pd.date_range("2026-01-01", periods=ROWS, freq="1500ms", tz="Europe/Berlin"),
            "amount": [rng.gauss(80, 20) for _ in range(ROWS)],
            "country": pd.Categorical(["FR", "DE"] * (ROWS // 2)),
            "unused": [[number] for number in range(ROWS)],
        }
    )
    found.loc[3, "at"], found.loc[4, "amount"] = pd.NaT, float("nan")
    return found


def test_the_same_is_found_as_in_a_file(frame: pd.DataFrame, tmp_path: Path) -> None:
    simple = frame.drop(columns="unused").rename(
        columns={"said, by the model": "said", "true=": "true"}
    )
    simple.to_parquet(tmp_path / "frame.parquet")
    run_replay(
        [tmp_path / "frame.parquet"],
        monitors=None,
        out=tmp_path / "out",
        window_ms=600_000,
        horizon_ms=3_600_000,
        partitions=1,
        disorder_ms=None,
        columns="prediction=said,label=true,timestamp=at,feature:amount=amount,segment:country=country",
        json_output=True,
    )

    found = driftline.replay(frame, COLUMNS, window="10m")

    def lines(name: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (tmp_path / "out" / name).read_text().splitlines()]

    def rows(table: pd.DataFrame) -> list[dict[str, Any]]:
        return table.astype(object).where(table.notna(), None).to_dict("records")

    assert len(found.metrics) > 50
    assert len(found.alerts) > 0
    assert rows(found.metrics) == lines("metrics.jsonl")
    assert rows(found.alerts) == lines("alerts.jsonl")
    assert found.fates == json.loads((tmp_path / "out" / "fates.json").read_text())
    assert found.dead_letters == {"implausible_time": 1}


def test_columns_that_are_called_as_their_role_need_not_be_named(frame: pd.DataFrame) -> None:
    named = frame.rename(columns={column: role for role, column in COLUMNS.items()})

    found = driftline.replay(named)

    pd.testing.assert_frame_equal(found.metrics, driftline.replay(frame, COLUMNS).metrics)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"columns": None}, "columns: 'prediction' is missing"),
        ({"columns": {**COLUMNS, "colour": "at"}}, "columns: 'colour' is no role; roles are"),
        ({"columns": {**COLUMNS, "score": "nowhere"}}, "score=nowhere: frame has no column"),
        ({"window": "soon"}, "window: 'soon' is no duration"),
        ({"monitors": "none.yaml"}, "none.yaml"),
    ],
    ids=["missing", "role", "column", "duration", "monitors"],
)
def test_what_cannot_be_used_is_named(
    frame: pd.DataFrame, change: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        driftline.replay(frame, **{"columns": COLUMNS, **change})
