"""Tables of last values: one row a key, replaced or deleted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Table, bindparam, delete, insert
from sqlalchemy.dialects import sqlite

Row = tuple[Any, ...]

_STAGED = "driftline_latest"


class Latest:
    """How last values are written into a table, the primary key of which comes first."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._names = tuple(column.name for column in table.columns)
        self._key = tuple(column.name for column in table.primary_key.columns)
        self._replace = insertion(table, self._names).replace("INSERT", "INSERT OR REPLACE", 1)
        same = (table.c[name] == bindparam(f"key_{name}") for name in self._key)
        self._delete = delete(table).where(*same)

    def keep(self, connection: Connection, values: Mapping[Row, Row | None]) -> None:
        """Write the last values of keys; None deletes."""
        gone = [key for key, row in values.items() if row is None]
        there = [row for row in values.values() if row is not None]
        if connection.dialect.name == "postgresql":
            self._merge(connection, there)
        elif there:
            connection.exec_driver_sql(self._replace, there)
        if gone:
            bound = [f"key_{name}" for name in self._key]
            connection.execute(self._delete, [dict(zip(bound, key, strict=True)) for key in gone])

    def _merge(self, connection: Connection, rows: list[Row]) -> None:
        if not rows:
            return
        name, staged = self._table.name, f"{_STAGED}_{self._table.name}"
        connection.exec_driver_sql(
            f"CREATE TEMPORARY TABLE IF NOT EXISTS {staged} (LIKE {name}) ON COMMIT DELETE ROWS"
        )
        connection.exec_driver_sql(f"TRUNCATE {staged}")  # of a batch before, in this transaction
        copied(connection, staged, self._names, rows)
        changed = (f'"{one}" = excluded."{one}"' for one in self._names if one not in self._key)
        connection.exec_driver_sql(
            f"INSERT INTO {name} SELECT * FROM {staged}"  # noqa: S608 - our names
            f" ON CONFLICT ({', '.join(self._key)}) DO UPDATE SET {', '.join(changed)}"
        )


def insertion(table: Table, names: Sequence[str]) -> str:
    """Return the statement with which SQLite inserts a row."""
    given = dict.fromkeys(names)
    return str(insert(table).values(given).compile(dialect=sqlite.dialect()))


def copied(
    connection: Connection, table: Table | str, names: Sequence[str], rows: Iterable[Row]
) -> None:
    """Insert rows into PostgreSQL by COPY."""
    if not rows:
        return
    name = table if isinstance(table, str) else table.name
    columns = ", ".join(f'"{column}"' for column in names)
    driver: Any = connection.connection.driver_connection
    with (
        driver.cursor() as cursor,
        cursor.copy(f'COPY "{name}" ({columns}) FROM STDIN') as copy,
    ):
        for row in rows:
            copy.write_row(row)
