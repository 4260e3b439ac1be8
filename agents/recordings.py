"""Recorded events in files: JSON lines, tables of joined rows, either of them gzipped.

What cannot be read at all is a `ConfigError` that names the file; a record that cannot be used
comes with its reason, and every record knows where it was.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from typing import NamedTuple

from agents import cells, csv_tables, parquet_tables
from agents.files import BOM, opened, refuse_other_encodings
from agents.tables import Chunk, Plan, parse_columns
from streams.errors import ConfigError, RecordError
from streams.limits import EARLIEST_MS, LIMITS

LINES = (".jsonl", ".jsonl.gz", ".ndjson", ".ndjson.gz", ".json", ".json.gz")
CSV = (".csv", ".csv.gz", ".tsv", ".tsv.gz")
PARQUET = (".parquet",)

_PIECE_BYTES = 1 << 20
_LINE_BITS = 44
_MOST_NAMED = 30
_ARRAY = re.compile(rb"\[\s*(?:\{|$)")


class Line(NamedTuple):
    """A record, and where it was.

    Attributes
    ----------
    place
        A number that rises from record to record; `Recordings.where` makes it readable.
    error
        Why it is none; then `value` is what there was, or the beginning of it.
    earliest_ms
        What is before it is no time, but seconds; 0 where that is for others to say.
    """

    place: int
    value: bytes
    error: RecordError | None = None
    earliest_ms: int = 0


class Recordings:
    """Files of recorded events, one after the other.

    Parameters
    ----------
    columns
        Which columns of tables are what: ``role=column,…``.
    missing
        Cells of tables that are read as empty ones.
    line_bytes
        Longer lines are not read to their end.
    labels
        Whether tables must have a column of labels.

    Raises
    ------
    ConfigError
        For a file that does not exist, or `columns` that do not fit.
    """

    def __init__(
        self,
        files: Sequence[Path],
        columns: str | None = None,
        *,
        missing: Sequence[str] = cells.MISSING,
        line_bytes: int = LIMITS.record_bytes,
        labels: bool = True,
    ) -> None:
        self.files = files
        self._line_bytes = line_bytes
        for file in files:
            _check(file, columns)
        roles = {} if columns is None else parse_columns(columns, labels=labels)
        self._plan = Plan(roles, missing=missing)

    def look(self) -> Iterator[Chunk]:
        """Find out what the columns of tables are; to be run to its end before `lines`."""
        for file in self.files:
            if _is_table(file):
                for chunk in self._chunks(file):
                    self._plan.see(chunk, file)
                    yield chunk
        self._plan.settle()

    def lines(self) -> Iterator[Line]:
        """Yield all records in their order; empty lines are left out."""
        earliest_ms = EARLIEST_MS if self.have_dates else 0
        numbers = count()  # of rows of all tables: ids are made of them
        for index, file in enumerate(self.files):
            first = index << _LINE_BITS
            if not _is_table(file):
                for number, line, error in _json_lines(file, longest=self._line_bytes):
                    yield Line(first + number, line, error, earliest_ms)
                continue
            for chunk in self._chunks(file):
                for row in self._plan.events(chunk, numbers):
                    yield Line(first + row.line, row.value, row.error)

    @property
    def have_dates(self) -> bool:
        """Whether there are tables: a date in one may be any, while a small number is none."""
        return any(map(_is_table, self.files))

    def where(self, place: int) -> tuple[Path, int]:
        """Return the file of a place, and the line in it, from 1; of Parquet the row."""
        return self.files[place >> _LINE_BITS], place & ((1 << _LINE_BITS) - 1)

    def _chunks(self, file: Path) -> Iterator[Chunk]:
        read = parquet_tables.chunks if file.name.endswith(PARQUET) else csv_tables.chunks
        return read(file, self._plan.roles)


def _is_table(file: Path) -> bool:
    return file.name.endswith((*CSV, *PARQUET))


def _check(file: Path, columns: str | None) -> None:
    if not file.is_file():
        raise ConfigError(f"{file}: no such file")
    if not file.name.endswith((*LINES, *CSV, *PARQUET)):
        known = ", ".join((*LINES, *CSV, *PARQUET))
        raise ConfigError(f"{file}: unknown kind of file; the name must end in {known}")
    if _is_table(file) and columns is None:
        raise ConfigError(
            f"{file}: say which of its columns are what: "
            "--columns prediction=...,label=...,timestamp=...; "
            f"they are {', '.join(_column_names(file))}"
        )


def _column_names(file: Path) -> list[str]:
    read = parquet_tables if file.name.endswith(PARQUET) else csv_tables
    names = read.column_names(file)
    more = [f"and {len(names) - _MOST_NAMED} more"] if len(names) > _MOST_NAMED else []
    return [*(f"{name:.40}" for name in names[:_MOST_NAMED]), *more]


def _json_lines(file: Path, *, longest: int) -> Iterator[tuple[int, bytes, RecordError | None]]:
    piece = longest + len(b"\r\n")
    with opened(file) as source:
        refuse_other_encodings(file, source.peek(4))
        first: bytes | None = None
        second = False
        number = 0
        for raw in iter(partial(source.readline, piece), b""):
            number += 1
            error = None
            if len(raw) == piece and not raw.endswith(b"\n"):
                error = RecordError("too_large", f"over {longest} bytes")
                _skip_line(source)
            line = raw.strip().removeprefix(BOM)
            if not line:
                continue
            if first is None:
                first = line
            elif not second:
                second = True
                _refuse_documents(file, first, line)
            yield number, line, error
        if first is not None and not second:
            _refuse_documents(file, first, b"")


def _skip_line(source: io.BufferedReader) -> None:
    while (more := source.readline(_PIECE_BYTES)) and not more.endswith(b"\n"):
        pass


def _refuse_documents(file: Path, first: bytes, second: bytes) -> None:
    """Refuse one JSON document by its first two lines; a bad line alone is a dead letter."""
    if _ARRAY.match(first) and not (second and first.endswith(b"]")):
        raise ConfigError(
            f"{file}: is one JSON array; one record a line is wanted: jq -c '.[]' {file.name}"
        )
    if first == b"{" and second.startswith(b'"'):
        raise ConfigError(
            f"{file}: has records over several lines; one a line is wanted: jq -c . {file.name}"
        )
