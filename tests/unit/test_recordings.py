"""Tables: what a column means decides how its cells are read."""

import json
from pathlib import Path
from typing import Any

from agents.recordings import check_files, lines

COLUMNS = "prediction=y,label=t,timestamp=at,prediction_id=id,version=v,segment:plan=plan"


def read(tmp_path: Path, row: str) -> dict[str, Any]:
    file = tmp_path / "rows.csv"
    file.write_text(f"id,v,plan,y,t,at\n{row}\n", encoding="utf-8")
    return json.loads(next(lines(file, check_files([file], COLUMNS))))


def test_names_are_taken_as_they_are_written_and_values_as_numbers(tmp_path: Path) -> None:
    event = read(tmp_path, "007,1.10,1e3,1,1.0,1717200000000")

    assert (event["prediction_id"], event["version"]) == ("007", "1.10")
    assert event["segments"] == {"plan": "1e3"}
    assert (event["prediction"], event["label"], event["timestamp_ms"]) == (1, 1.0, 1717200000000)


def test_an_empty_cell_names_nothing(tmp_path: Path) -> None:
    event = read(tmp_path, ",,,1,,1717200000000")

    assert event["prediction_id"] == "row-0"
    assert not {"version", "segments"} & set(event)
    assert event["label"] is None
