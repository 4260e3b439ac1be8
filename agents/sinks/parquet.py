"""Write every revision to Parquet files, in a folder a day.

Small files are bad to read, so rows are collected for some minutes. Files have numbers; which is
the last one that counts, and the next offsets, are written together, under another name first: at
the start, files with higher numbers are deleted, so that every record is there once.
"""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from agents.sinks import positions
from agents.sinks.contract import (
    EVERYTHING,
    AwayError,
    Clock,
    Kind,
    RefusedError,
    Sink,
    Upsert,
    option,
)
from agents.sinks.kinds import KINDS
from streams.durations import parse_duration_ms
from streams.errors import ConfigError

if TYPE_CHECKING:
    from driftline.places import Place

_MOST_ROWS = 100_000
_TYPES = {"str": "string", "int": "int64", "float": "double", "bool": "bool"}


class ParquetOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Where files are written, and how often."""

    target: Annotated[str, option("The folder; made if it is not there.", "FOLDER")]
    every: Annotated[
        str, option("How often files are written, unless 100,000 rows come before.", "DURATION")
    ] = "5m"


class Parquet(Sink):
    """Write every revision to Parquet, `FOLDER/metrics/day=2026-11-29/…`, a folder a topic.

    The day is that of the record's timestamp, UTC. Columns are the fields of the record, whether
    the key was deleted, the timestamp, and the place on the topic. Every record is there once.
    Needs: pip install 'driftline[parquet]'.
    """

    name = "parquet"
    reads = EVERYTHING
    options = ParquetOptions
    examples = ("driftline sink parquet results --every 15m",)

    def __init__(self, options: ParquetOptions, *, clock: Clock | None = None) -> None:
        if find_spec("pyarrow") is None:
            raise ConfigError("Parquet needs: pip install 'driftline[parquet]'")
        self._folder = Path(options.target)
        self._every_ms = parse_duration_ms(options.every, setting="--every")
        self._now_ms = clock or (lambda: time.time_ns() // 1_000_000)
        self._next: dict[Place, int] = {}
        self._topics: dict[str, str] = {}
        self._number = 0
        self._rows: dict[tuple[Kind, str], list[dict[str, Any]]] = defaultdict(list)
        self._since_ms: int | None = None

    def start(self) -> Mapping[Place, int]:
        """Delete what is not known to be complete."""
        with positions.opening(self._folder):
            self._next, known = positions.recall(self._folder, number=0)
            before = known.get("topics", {})
            self._topics = positions.of_same_topics(self._next, before, self._ids())
            self._number = int(known["number"])
            for file in self._folder.glob("*/day=*/*.parquet*"):
                if int(file.name.partition(".")[0]) > self._number:
                    file.unlink()
        return dict(self._next)

    def write(self, upserts: Sequence[Upsert]) -> None:
        """Collect rows; those that were collected already, in an attempt that failed, are not."""
        for upsert in upserts:
            place = upsert.topic, upsert.partition
            if upsert.offset < self._next.get(place, 0):
                continue
            day = datetime.fromtimestamp(upsert.timestamp_ms / 1_000, UTC).strftime("%Y-%m-%d")
            self._rows[upsert.kind, day].append(_row(upsert))
            self._next[place] = upsert.offset + 1
            if self._since_ms is None:
                self._since_ms = self._now_ms()

    def flush(self) -> None:
        """Write files if it is time; until then the offsets are those before the rows."""
        if self._since_ms is None:
            return
        count = sum(map(len, self._rows.values()))
        if count >= _MOST_ROWS or self._now_ms() - self._since_ms >= self._every_ms:
            self._write_out()

    def _write_out(self) -> None:
        number = self._number + 1
        try:
            for (kind, day), rows in self._rows.items():
                path = self._folder / kind / f"day={day}" / f"{number:08}.parquet"
                self._write_file(path, rows, kind=kind)
            positions.remember(self._folder, self._next, topics=self._topics, number=number)
        except OSError as error:
            raise AwayError(f"{self._folder}: {error.strerror or error}") from None
        self._number, self._since_ms = number, None
        self._rows.clear()

    def _write_file(self, path: Path, rows: list[dict[str, Any]], *, kind: Kind) -> None:
        import pyarrow  # noqa: PLC0415 - an extra
        from pyarrow import parquet  # noqa: PLC0415

        path.parent.mkdir(parents=True, exist_ok=True)
        schema = pyarrow.schema([(name, _TYPES[told]) for name, told in COLUMNS[kind].items()])
        with path.open("wb") as file:
            parquet.write_table(pyarrow.Table.from_pylist(rows, schema), file)
            file.flush()
            os.fsync(file.fileno())


def _columns(record: type[msgspec.Struct]) -> dict[str, str]:
    found = {}
    for name, told in record.__annotations__.items():
        kind = (told if isinstance(told, str) else getattr(told, "__name__", str(told))).split()[0]
        found[name] = kind if kind in _TYPES else "str"  # of lists and objects: JSON
    places = {"timestamp_ms": "int", "partition": "int", "offset": "int"}
    return {**found, "deleted": "bool", **places}


COLUMNS: dict[Kind, dict[str, str]] = {
    kind: _columns(known.record) for kind, known in KINDS.items()
}
"""What the files have."""


def _row(upsert: Upsert) -> dict[str, Any]:
    row = _key(upsert) if upsert.record is None else msgspec.structs.asdict(upsert.record)
    for name, value in row.items():
        if isinstance(value, dict | list):
            row[name] = msgspec.json.encode(value).decode()
    row |= {"deleted": upsert.record is None, "timestamp_ms": upsert.timestamp_ms}
    return row | {"partition": upsert.partition, "offset": upsert.offset}


def _key(upsert: Upsert) -> dict[str, Any]:
    try:
        return KINDS[upsert.kind].key_of(upsert.key)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RefusedError("no_key", f"of a deletion: {error}", upsert=upsert) from None
