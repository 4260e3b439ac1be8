"""Write every revision to files of JSON lines, a day a file.

`agents.sinks.appended` has how every record is there once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from agents.sinks.appended import AppendedFiles
from agents.sinks.contract import EVERYTHING, Sink, Upsert, option

if TYPE_CHECKING:
    from driftline.places import Place


class FilesOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Where files are written."""

    target: Annotated[str, option("The folder; made if it is not there.", "FOLDER")]


class Files(Sink):
    """Write every revision to JSON lines, `FOLDER/metrics/2026-11-29.jsonl`, a folder a topic.

    The day is that of the record's timestamp, UTC. A line is the record with its place on the
    topic; a deletion has no `record`. Every record is in the files once.
    """

    name = "files"
    reads = EVERYTHING
    options = FilesOptions
    examples = ("driftline sink files results --bootstrap-servers kafka:9092",)

    def __init__(self, options: FilesOptions) -> None:
        self._files = AppendedFiles(Path(options.target), pattern="*/*.jsonl")
        self._encode = msgspec.json.Encoder().encode

    def start(self) -> Mapping[Place, int]:
        """Cut files to what is known to be complete."""
        return self._files.start(self._ids())

    def write(self, upserts: Sequence[Upsert]) -> None:
        """Keep lines until they are flushed."""
        for upsert in upserts:
            day = datetime.fromtimestamp(upsert.timestamp_ms / 1_000, UTC).strftime("%Y-%m-%d")
            line = self._encode(_facts(upsert)) + b"\n"
            self._files.add(f"{upsert.kind}/{day}.jsonl", line)
            self._files.passed((upsert.topic, upsert.partition), upsert.offset)

    def flush(self) -> None:
        """Append the lines, and then say how long the files are."""
        self._files.flush()


def _facts(upsert: Upsert) -> dict[str, Any]:
    return {
        "timestamp_ms": upsert.timestamp_ms,
        "partition": upsert.partition,
        "offset": upsert.offset,
        "key": upsert.key.decode(errors="replace"),
        "record": upsert.record,
    }
