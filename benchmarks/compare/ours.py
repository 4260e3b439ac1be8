"""driftline's numbers, as a user gets them: `driftline profile`, then `driftline replay`."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.compare.data import DataSet, plain

_START_MS = 1_767_225_600_000  # 2026-01-01; a row a second, so that a day holds all of them
_MONITORS = "baseline: {file: baseline.json}\ndefaults: false\nmetrics: {include: [all]}\n"


def measured(data: DataSet, folder: Path) -> dict[str, float]:
    """Return every metric of the second half, compared with the first."""
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / "baseline.jsonl", data.reference, data)
    _write(folder / "window.jsonl", data.window, data)
    (folder / "monitors.yaml").write_text(_MONITORS)
    _driftline(folder, "profile", "baseline.jsonl", "--out", "baseline.json")
    arguments = ["--monitors", "monitors.yaml", "--window", "1d", "--out", "results"]
    _driftline(folder, "replay", "window.jsonl", *arguments)
    lines = (folder / "results" / "metrics.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    assert len({record["window_start_ms"] for record in records}) == 1
    return {record["metric"]: record["value"] for record in records}


def _write(path: Path, table: pd.DataFrame, data: DataSet) -> None:
    with path.open("w") as file:
        for number, row in enumerate(table.to_dict("records")):
            for event in _events(row, number, data):
                file.write(json.dumps(event) + "\n")


def _events(row: dict[Any, Any], number: int, data: DataSet) -> Iterator[dict[str, Any]]:
    names = [*data.numbers, *data.texts]
    identity = {"prediction_id": f"{number}", "timestamp_ms": _START_MS + 1000 * number}
    prediction = {
        **identity,
        "model": data.name,
        "prediction": plain(row["prediction"]),
        "features": {name: plain(row[name]) for name in names},
    }
    if data.task == "binary":
        prediction["score"] = plain(row["score"])
    if data.task == "classes":
        prediction["scores"] = {name: plain(row[f"score:{name}"]) for name in data.classes}
    yield prediction
    yield {**identity, "label": plain(row["label"])}


def _driftline(folder: Path, *arguments: str) -> None:
    command = [str(Path(sys.executable).with_name("driftline")), *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(arguments)}: {done.stdout}{done.stderr}")
