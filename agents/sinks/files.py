"""Write every revision to files of JSON lines, a day a file.

Files are only appended to. Their lengths and the next offsets are written together, under another
name first: at the start, files are cut to the lengths that belong to the offsets, so that every
record is there once.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from agents.sinks import positions
from agents.sinks.contract import AwayError, Sink, Upsert, option

if TYPE_CHECKING:
    from driftline.places import Place


class FilesOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Where files are written."""

    target: Annotated[str, option("The folder; made if it is not there.", "FOLDER")]


class Files(Sink):
    """Write every revision of metrics and alerts to JSON lines, `FOLDER/metrics/2026-11-29.jsonl`.

    The day is that of the record's timestamp, UTC. A line is the record with its place on the
    topic; a deletion has no `record`. Every record is in the files once.
    """

    name = "files"
    options = FilesOptions
    examples = ("driftline sink files results --bootstrap-servers kafka:9092",)

    def __init__(self, options: FilesOptions) -> None:
        self._folder = Path(options.target)
        self._next: dict[Place, int] = {}
        self._sizes: dict[str, int] = {}
        self._lines: dict[str, list[bytes]] = defaultdict(list)
        self._encode = msgspec.json.Encoder().encode

    def start(self) -> Mapping[Place, int]:
        """Cut files to what is known to be complete."""
        with positions.opening(self._folder):
            self._next, known = positions.recall(self._folder, sizes={})
            self._sizes = {str(name): int(size) for name, size in known["sizes"].items()}
            for kind in self.reads:
                for file in (self._folder / kind).glob("*.jsonl"):
                    name = f"{kind}/{file.name}"
                    self._sizes[name] = min(self._sizes.get(name, 0), file.stat().st_size)
                    os.truncate(file, self._sizes[name])
        return self._next

    def write(self, upserts: Sequence[Upsert]) -> None:
        """Keep lines until they are flushed."""
        for upsert in upserts:
            day = datetime.fromtimestamp(upsert.timestamp_ms / 1_000, UTC).strftime("%Y-%m-%d")
            line = self._encode(_facts(upsert))
            self._lines[f"{upsert.kind}/{day}.jsonl"].append(line)
            self._next[upsert.topic, upsert.partition] = upsert.offset + 1

    def flush(self) -> None:
        """Append the lines, and then say how long the files are."""
        if not self._lines:
            return
        try:
            grown = {name: self._append(name, lines) for name, lines in self._lines.items()}
            self._remember({**self._sizes, **grown})
        except OSError as error:
            raise AwayError(f"{self._folder}: {error.strerror}") from None
        finally:
            self._lines.clear()

    def _append(self, name: str, lines: Sequence[bytes]) -> int:
        path = self._folder / name
        path.parent.mkdir(exist_ok=True)
        with path.open("ab") as file:
            known = min(self._sizes.get(name, 0), file.tell())  # it may have been taken away
            file.truncate(known)  # what an attempt before left half done
            file.write(b"\n".join(lines) + b"\n")
            file.flush()
            os.fsync(file.fileno())
            return file.tell()

    def _remember(self, sizes: dict[str, int]) -> None:
        positions.remember(self._folder, self._next, sizes=sizes)
        self._sizes = sizes


def _facts(upsert: Upsert) -> dict[str, Any]:
    return {
        "timestamp_ms": upsert.timestamp_ms,
        "partition": upsert.partition,
        "offset": upsert.offset,
        "key": upsert.key.decode(errors="replace"),
        "record": upsert.record,
    }
