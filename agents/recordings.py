"""Recorded events in files: JSON lines, also gzipped, and tables of joined rows."""

import csv
import gzip
import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from streams.errors import ConfigError

ROLES = ("prediction", "label", "score", "timestamp", "prediction_id", "model", "version")
LINES = (".jsonl", ".jsonl.gz", ".ndjson", ".ndjson.gz", ".json", ".json.gz")
TABLES = (".csv", ".parquet")
DEFAULT_MODEL = "default"


def check_files(files: list[Path], columns: str | None) -> dict[str, str]:
    """Return the roles of table columns, after refusing what cannot be read.

    Raises
    ------
    ConfigError
        For a file that does not exist, or `--columns` that do not fit.
    """
    for file in files:
        if not file.is_file():
            raise ConfigError(f"{file}: no such file")
        if not file.name.endswith((*LINES, *TABLES)):
            known = ", ".join((*LINES, *TABLES))
            raise ConfigError(f"{file}: unknown kind of file; the name must end in {known}")
        if file.suffix in TABLES and columns is None:
            raise ConfigError(f"{file}: a table needs --columns prediction=...,label=...")
    return {} if columns is None else parse_columns(columns)


def parse_columns(text: str) -> dict[str, str]:
    """Read `role=column,...`.

    Examples
    --------
    >>> parse_columns("prediction=y_hat,label=y,timestamp=at")
    {'prediction': 'y_hat', 'label': 'y', 'timestamp': 'at'}
    """
    roles = {}
    for part in text.split(","):
        role, equals, column = part.strip().partition("=")
        known = role in ROLES or role.startswith(("feature:", "segment:"))
        if not equals or not column or not known:
            allowed = ", ".join(ROLES)
            raise ConfigError(
                f"--columns: {part!r} is no role=column; "
                f"roles are {allowed}, feature:<name> and segment:<name>"
            )
        roles[role] = column
    missing = [role for role in ("prediction", "label", "timestamp") if role not in roles]
    if missing:
        raise ConfigError(f"--columns: {missing[0]}=... is missing")
    return roles


def lines(file: Path, roles: Mapping[str, str]) -> Iterator[bytes]:
    """Yield the records of a file in their order; empty lines are left out."""
    if file.suffix in TABLES:
        texts = {column for role, column in roles.items() if _is_text(role)}
        rows = _csv_rows(file, texts) if file.suffix == ".csv" else _parquet_rows(file)
        yield from _table_lines(file, rows, roles)
        return
    opener = gzip.open if file.suffix == ".gz" else open
    with opener(file, "rb") as source:
        yield from filter(None, map(bytes.strip, source))


def _is_text(role: str) -> bool:
    return role in ("prediction_id", "model", "version") or role.startswith("segment:")


def _csv_rows(file: Path, texts: set[str]) -> Iterator[dict[str, Any]]:
    """Yield rows with numbers read as such, but for the `texts`: version 1.10 is not 1.1."""
    with file.open(newline="", encoding="utf-8-sig") as source:
        for row in csv.DictReader(source):
            yield {
                name: (text or None) if name in texts else _cell(text)
                for name, text in row.items()
                if name is not None
            }


def _parquet_rows(file: Path) -> Iterator[dict[str, Any]]:
    try:
        from pyarrow import parquet  # noqa: PLC0415 - an extra, only for Parquet
    except ImportError:
        raise ConfigError(
            f"{file}: Parquet needs pyarrow; install it with pip install 'driftline[parquet]'"
        ) from None
    for batch in parquet.ParquetFile(file).iter_batches():
        yield from batch.to_pylist()


def _cell(text: str | None) -> str | int | float | None:
    if not text:
        return None
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _table_lines(
    file: Path, rows: Iterator[dict[str, Any]], roles: Mapping[str, str]
) -> Iterator[bytes]:
    for number, row in enumerate(rows):
        if number == 0:
            for role, column in roles.items():
                if column not in row:
                    have = ", ".join(row)
                    raise ConfigError(
                        f"--columns: {role}={column}: {file} has no column {column!r}, only {have}"
                    )
        yield msgspec.json.encode(_joined(row, roles, number))


def _joined(row: Mapping[str, Any], roles: Mapping[str, str], number: int) -> dict[str, Any]:
    event: dict[str, Any] = {"prediction_id": f"row-{number}", "model": DEFAULT_MODEL}
    for role, column in roles.items():
        value = row[column]
        if isinstance(value, float) and math.isnan(value):
            value = None
        if _is_text(role):
            if value is None:
                continue
            value = str(value)
        group, _, name = role.partition(":")
        if name:
            event.setdefault(f"{group}s", {})[name] = value
        elif role == "timestamp":
            event["timestamp_ms"] = _time_ms(value)
        else:
            event[role] = value
    return event


def _time_ms(value: Any) -> Any:
    """Read whole milliseconds, a date and time in ISO 8601 (UTC unless it says so), or pass."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return value
    if isinstance(value, datetime):
        aware = value if value.tzinfo else value.replace(tzinfo=UTC)
        return round(aware.timestamp() * 1000)
    return int(value) if isinstance(value, float) and value.is_integer() else value
