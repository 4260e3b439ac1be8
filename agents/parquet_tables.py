"""Parquet: columns that are used, as plain values; the file says what types they have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from agents.tables import Chunk, places
from streams.errors import ConfigError

CHUNK_ROWS = 5_000


def column_names(file: Path) -> list[str]:
    """Read what its columns are called.

    Raises
    ------
    ConfigError
        If it is no Parquet.
    """
    with _opened(file) as table:
        return list(table.schema_arrow.names)


def chunks(file: Path, roles: Mapping[str, str]) -> Iterator[Chunk]:
    """Read a table, some rows at a time.

    Raises
    ------
    ConfigError
        If it is no Parquet, has not the columns, or one of them has no single values.
    """
    with _opened(file) as table:
        found = places(file, table.schema_arrow.names, roles)
        row = 1
        for batch in table.iter_batches(CHUNK_ROWS, columns=sorted(set(roles.values()))):
            columns = {role: _values(file, role, batch.column(roles[role])) for role in found}
            yield Chunk(range(row, row + len(batch)), columns, typed=True)
            row += len(batch)


@contextmanager
def _opened(file: Path) -> Iterator[Any]:
    """Open a table; what goes wrong while it is open is said of the file."""
    try:
        import pyarrow as pa  # noqa: PLC0415 - an extra, only for Parquet
        from pyarrow import parquet  # noqa: PLC0415
    except ImportError:
        raise ConfigError(
            f"{file}: Parquet needs pyarrow; install it with pip install 'driftline[parquet]'"
        ) from None
    try:
        with parquet.ParquetFile(file) as table:
            yield table
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ConfigError(f"{file}: cannot be read as Parquet: {said}") from None


def _values(file: Path, role: str, column: Any) -> Sequence[Any]:
    import pyarrow as pa  # noqa: PLC0415 - it was there a moment ago

    kinds = pa.types
    if kinds.is_dictionary(column.type):
        column = column.dictionary_decode()
    kind = column.type
    if kinds.is_nested(kind):
        raise ConfigError(f"{file}: {role}: a column of {kind} does not have a single value a row")
    if role == "timestamp" and (kinds.is_timestamp(kind) or kinds.is_date(kind)):
        # Python has no nanoseconds, nor all time zones: milliseconds of UTC are what is wanted.
        unit = pa.timestamp("ms", tz=getattr(kind, "tz", None))
        return list(column.cast(unit, safe=False).cast(pa.timestamp("ms")).to_pylist())
    if kinds.is_temporal(kind) and not kinds.is_duration(kind):
        column = column.cast(pa.string())
    elif kinds.is_duration(kind):
        column = column.cast(pa.int64())
    elif kinds.is_binary(kind) or kinds.is_large_binary(kind):
        column = column.cast(pa.string())
    return list(column.to_pylist())
