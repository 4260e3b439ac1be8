"""CSV: which delimiter, which rows are whole; nothing but text comes out.

Cells of columns that nobody named are read over: they may be in another encoding, or 140 kB long.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

import msgspec

from agents.files import opened, refuse_other_encodings
from agents.tables import Chunk, Row, places
from streams.errors import ConfigError, RecordError

CHUNK_ROWS = 1_000
LARGEST_CELL = 16 << 20
_HEAD_LINES = 20
_DELIMITERS = ",;\t|"
_EXCEL = re.compile(r'"?sep=([^"\r\n])"?\s*')
_KEPT_CELL = 200


class _Head(NamedTuple):
    """What the first lines say.

    Attributes
    ----------
    lines
        How many of them there are.
    ahead
        Lines after them that were read already.
    """

    names: list[str]
    delimiter: str
    lines: int
    ahead: list[str]


def column_names(file: Path) -> list[str]:
    """Read what its columns are called, by the delimiter that makes most of them.

    Raises
    ------
    ConfigError
        If it is no UTF-8, or does not begin with names.
    """
    csv.field_size_limit(LARGEST_CELL)
    with opened(file) as source:
        refuse_other_encodings(file, source.peek(4))
        text = io.TextIOWrapper(source, "utf-8-sig", errors="backslashreplace", newline="")
        return _read_head(file, text, {}).names


def chunks(file: Path, roles: Mapping[str, str]) -> Iterator[Chunk]:
    """Read a table, some rows at a time.

    Raises
    ------
    ConfigError
        If it is no UTF-8, has not the columns, or a quotation mark that is never closed.
    """
    csv.field_size_limit(LARGEST_CELL)
    with opened(file) as source:
        refuse_other_encodings(file, source.peek(4))
        # What is no UTF-8 matters only in the columns that are used.
        text = io.TextIOWrapper(source, "utf-8-sig", errors="surrogateescape", newline="")
        head = _read_head(file, text, roles)
        found = places(file, head.names, roles)
        pick = itemgetter(*found.values())
        lines: list[int] = []
        rows: list[Sequence[str]] = []
        refused: list[Row] = []
        for line, row in _rows(file, text, head):
            if isinstance(row, Row):
                refused.append(row)
            else:
                lines.append(line)
                rows.append(pick(row))
            if len(rows) + len(refused) == CHUNK_ROWS:
                yield _chunk(file, found, lines, rows, refused)
                lines, rows, refused = [], [], []
        yield _chunk(file, found, lines, rows, refused)


def _chunk(
    file: Path,
    found: Mapping[str, int],
    lines: list[int],
    rows: list[Sequence[str]],
    refused: list[Row],
) -> Chunk:
    columns = zip(*rows, strict=True) if rows else ([] for _ in found)
    stripped = {
        role: [cell.strip() for cell in column] for role, column in zip(found, columns, strict=True)
    }
    for role, column in stripped.items():
        _refuse_other_bytes(file, role, column, lines)
    return Chunk(lines, stripped, refused)


def _refuse_other_bytes(file: Path, role: str, column: Sequence[str], lines: Sequence[int]) -> None:
    joined = "".join(column)
    if joined.isascii():
        return
    try:
        joined.encode()
    except UnicodeEncodeError:
        for line, cell in zip(lines, column, strict=True):
            wrong = [char for char in cell if "\udc80" <= char <= "\udcff"]
            if wrong:
                raise ConfigError(
                    f"{file}:{line}: {role} is not UTF-8: byte 0x{ord(wrong[0]) - 0xDC00:02x};"
                    f" convert the file: iconv -f LATIN1 -t UTF-8 {file.name}"
                ) from None


def _read_head(file: Path, text: Iterator[str], roles: Mapping[str, str]) -> _Head:
    held, skipped = [next(text, "")], 0
    given = _EXCEL.fullmatch(held[0])
    if given:
        held, skipped = [next(text, "")], 1
    while _is_open(held) and len(held) < _HEAD_LINES and (more := next(text, "")):
        held.append(more)
    # A name such as 5" opens nothing that would have to be closed.
    held, ahead = (held[:1], held[1:]) if _is_open(held) else (held, [])
    first = "".join(held)
    if "\0" in first:
        raise ConfigError(f"{file}: is no text in UTF-8, but something else; a table must be CSV")
    if not first.strip():
        raise ConfigError(f"{file}: begins with an empty line; a table begins with column names")
    lines = skipped + len(held)
    heads = [
        _Head(_names(first, by), by, lines, ahead) for by in (given[1] if given else _DELIMITERS)
    ]
    # The delimiter is the one by which the columns are there that were asked for.
    wanted = set(roles.values())
    for head in heads:
        if wanted and wanted <= set(head.names):
            return head
    return max(heads, key=lambda head: len(head.names))


def _is_open(lines: list[str]) -> bool:
    return "".join(lines).count('"') % 2 == 1


def _names(text: str, delimiter: str) -> list[str]:
    return [name.strip() for name in next(csv.reader(io.StringIO(text), delimiter=delimiter))]


def _rows(file: Path, text: io.TextIOWrapper, head: _Head) -> Iterator[tuple[int, list[str] | Row]]:
    width = len(head.names)
    reader = csv.reader(chain(head.ahead, text), delimiter=head.delimiter, strict=True)
    while True:
        line = head.lines + reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield line, _unreadable(file, line, error)
            continue
        beyond = row[width:]
        if len(row) >= width and not any(map(str.strip, beyond)):  # "1,2," has no third cell
            yield line, row
        elif any(map(str.strip, row)):
            problem = f"{len(row)} cells, but the table has {width} columns"
            yield line, Row(line, _kept(row), RecordError("invalid_row", problem))


def _unreadable(file: Path, line: int, error: csv.Error) -> Row:
    said = str(error)
    if "unexpected end of data" in said or "field larger" in said:
        raise ConfigError(
            f"{file}:{line}: a quotation mark is opened in this row and not closed again; {said}"
        )
    return Row(line, b"", RecordError("invalid_row", said))


def _kept(row: list[str]) -> bytes:
    cells = [cell[:_KEPT_CELL].encode(errors="replace").decode() for cell in row[:_KEPT_CELL]]
    return msgspec.json.encode(cells)
