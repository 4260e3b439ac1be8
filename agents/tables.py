"""Tables of joined rows: which columns are what, and events of their rows.

A table is gone through twice. First `Plan.see` looks at all cells, which decides what they are;
then `Plan.events` makes one event of each row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import repeat
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from agents import cells
from agents.event_times import is_compact, time_ms
from streams.errors import ConfigError, RecordError

ROLES = ("prediction", "label", "score", "timestamp", "prediction_id", "model", "version")
DEFAULT_MODEL = "default"
_ALLOWED = f"roles are {', '.join(ROLES)}, feature:<name> and segment:<name>"
_VALUES = ("prediction", "label")
_NAMES = ("prediction_id", "model", "version")


class Row(NamedTuple):
    """An event of a row, or why there is none; then `value` is what there was instead."""

    line: int
    value: bytes
    error: RecordError | None = None


class Chunk(NamedTuple):
    """Some rows of a table, by columns.

    Attributes
    ----------
    lines
        Where each row begins, from 1: a line of the file, or the number of the row in Parquet.
    columns
        Cells by role. `None` is a missing one.
    refused
        Rows that fit no columns.
    typed
        Whether the file says what type a column has, so that text is meant to be text.
    """

    lines: Sequence[int]
    columns: Mapping[str, Sequence[Any]]
    refused: Sequence[Row] = ()
    typed: bool = False


class _Refused(NamedTuple):
    """A cell that its row cannot do without, and why it cannot be used."""

    error: RecordError
    cell: Any


def parse_columns(text: str, *, labels: bool = True) -> dict[str, str]:
    """Read `role=column,...`.

    Parameters
    ----------
    labels
        Whether there must be one.

    Examples
    --------
    >>> parse_columns("prediction=y_hat,label=y,timestamp=at")
    {'prediction': 'y_hat', 'label': 'y', 'timestamp': 'at'}
    """
    roles = {}
    for part in text.split(","):
        role, equals, column = part.strip().partition("=")
        if not equals or not column or not is_role(role):
            raise ConfigError(f"--columns: {part!r} is no role=column; {_ALLOWED}")
        roles[role] = column
    missing = [role for role in _missing_roles(roles) if labels or role != "label"]
    if missing:
        raise ConfigError(f"--columns: {missing[0]}=... is missing")
    return roles


def check_roles(roles: Mapping[str, str]) -> None:
    """Check which columns of a data frame are what.

    Raises
    ------
    ConfigError
        Naming the role that is none or is missing.
    """
    for role in roles:
        if not is_role(role):
            raise ConfigError(f"columns: {role!r} is no role; {_ALLOWED}")
    if missing := _missing_roles(roles):
        raise ConfigError(f"columns: {missing[0]!r} is missing; a role may name another column")


def _missing_roles(roles: Mapping[str, str]) -> list[str]:
    """Return roles that a table cannot do without."""
    return [role for role in ("prediction", "label", "timestamp") if role not in roles]


def is_role(role: str) -> bool:
    """Tell whether a column can be this."""
    return role in ROLES or role.startswith(("feature:", "segment:"))


def places(file: Path, names: Sequence[str], roles: Mapping[str, str]) -> dict[str, int]:
    """Find the column of each role.

    Raises
    ------
    ConfigError
        If there is none of that name, or two.
    """
    found = {}
    for role, column in roles.items():
        if column not in names:
            raise ConfigError(
                f"--columns: {role}={column}: {file} has no column {column!r},"
                f" only {', '.join(names)}"
            )
        if names.count(column) > 1:
            raise ConfigError(f"--columns: {role}={column}: {file} has two columns {column!r}")
        found[role] = names.index(column)
    return found


class Plan:
    """What the columns of all tables together are.

    Parameters
    ----------
    roles
        Column by role.
    missing
        Cells that are read as empty ones.
    """

    def __init__(self, roles: Mapping[str, str], *, missing: Sequence[str] = cells.MISSING) -> None:
        self.roles = roles
        self._missing = frozenset({"", *missing})
        self._looks = {
            role: cells.Looks() for role in roles if role in _VALUES or _is_measurement(role)
        }
        self._clocks_seen = self._others_seen = False

    def see(self, chunk: Chunk, file: Path) -> None:
        """Look at more rows.

        Raises
        ------
        ConfigError
            If a number is written in a way that can be read in two.
        """
        for role, looks in self._looks.items():
            if chunk.typed and role in _VALUES:
                continue
            column = chunk.columns[role]

            def place(text: str, role: str = role, column: Sequence[Any] = column) -> str:
                return f"{file}:{chunk.lines[column.index(text)]}: {self.roles[role]}"

            looks.see(set(column) - self._missing, place)
            _refuse_separators(role, self._compared(role))
        if not self._others_seen:
            times = [cell for cell in chunk.columns["timestamp"] if not self._is_missing(cell)]
            self._others_seen = not all(map(is_compact, times))
            self._clocks_seen |= bool(times)

    def settle(self) -> None:
        """Decide, now that all rows were seen."""
        for role in self._looks:
            _refuse_separators(role, self._compared(role), to_the_end=True)

    def _numeric(self, role: str) -> bool:
        prediction, label = (self._looks.get(one, cells.Looks()) for one in _VALUES)
        probable = role == "prediction" and prediction.probable_beside(label)
        return probable or self._compared(role).numeric

    def _compared(self, role: str) -> cells.Looks:
        """Return the looks of a column, and of the one that its cells are compared with."""
        if role not in _VALUES:
            return self._looks[role]
        prediction, label = (self._looks.get(one, cells.Looks()) for one in _VALUES)
        return prediction.beside(label)

    def events(self, chunk: Chunk, numbers: Iterator[int]) -> Iterator[Row]:
        """Make events.

        Parameters
        ----------
        numbers
            Gives each row one that no other row of the replay has: ids are made of them.
        """
        columns = [
            (*_target(role), iter(self._read(role, column, typed=chunk.typed)))
            for role, column in chunk.columns.items()
        ]
        refused = list(chunk.refused)[::-1]
        for line in chunk.lines:
            while refused and refused[-1].line < line:
                next(numbers)
                yield refused.pop()
            event: dict[str, Any] = {
                "prediction_id": f"row-{next(numbers)}",
                "model": DEFAULT_MODEL,
            }
            yield self._event(line, event, columns)
        for row in reversed(refused):
            next(numbers)
            yield row

    def _event(
        self, line: int, event: dict[str, Any], columns: Sequence[tuple[str, str, Iterator[Any]]]
    ) -> Row:
        error = None
        for group, name, column in columns:
            value = next(column)
            if isinstance(value, _Refused):
                error, value = error or value.error, value.cell
            if name:
                if value is not None or group == "features":
                    event.setdefault(group, {})[name] = value
            elif value is not None or group not in _NAMES:
                event[group] = value
        if error is None and event["prediction"] is None and "prediction_id" not in self.roles:
            error = RecordError(
                "invalid_row", f"{self.roles['prediction']}: there is no prediction"
            )
        return Row(line, msgspec.json.encode(event), error)

    def _is_missing(self, cell: Any) -> bool:
        return cell is None or cell != cell or cell in self._missing  # noqa: PLR0124 - NaN

    def _read(self, role: str, column: Sequence[Any], *, typed: bool) -> Sequence[Any]:
        present = [None if self._is_missing(cell) else cell for cell in column]
        if role == "timestamp":
            return self._each(role, present, self._time_ms)
        if role in _VALUES:
            numeric = not typed and self._numeric(role)
            read = cells.values(list(map(_plain, present)), numeric=numeric)
            return self._each(role, read, _finite) if numeric else read
        if _is_measurement(role):
            return cells.measurements(list(map(_plain, present)))
        return [None if cell is None else str(cell) for cell in present]

    def _time_ms(self, cell: Any) -> int:
        if cell is None:
            raise RecordError("implausible_time", "there is no time")
        return time_ms(cell, compact=self._clocks_seen and not self._others_seen)

    def _each(self, role: str, column: Sequence[Any], read: Callable[[Any], Any]) -> Sequence[Any]:
        return list(map(_or_refused, repeat(self.roles[role]), repeat(read), column))


def _or_refused(column: str, read: Callable[[Any], Any], cell: Any) -> Any:
    try:
        return read(cell)
    except RecordError as error:
        return _Refused(RecordError(error.reason, f"{column}: {error.detail}"), cell)


def _finite(value: Any) -> Any:
    if isinstance(value, float) and value - value != 0.0:
        raise RecordError("invalid_row", f"{value} is no number that can be counted with")
    return value


def _is_measurement(role: str) -> bool:
    return role == "score" or role.startswith("feature:")


def _target(role: str) -> tuple[str, str]:
    group, _, name = role.partition(":")
    if name:
        return f"{group}s", name
    return ("timestamp_ms" if role == "timestamp" else role), ""


def _plain(cell: Any) -> Any:
    if cell is None or isinstance(cell, str | bool | int | float):
        return cell
    if isinstance(cell, Decimal):
        return cells.number(str(int(cell)) if cell == int(cell) else str(float(cell)))
    return str(cell)


def _refuse_separators(role: str, looks: cells.Looks, *, to_the_end: bool = False) -> None:
    """Refuse 1,234 in a column of numbers, where it would be text, or another number than meant.

    A column of classes may have it, and so may a feature that is text.
    """
    if "separated" not in looks.first:
        return
    numbers = looks.first.keys() & {"whole", "real", "doubtful"}
    texts = "text" in looks.first
    sure = role == "score" or (numbers and _is_measurement(role)) or (to_the_end and not texts)
    if sure:
        cell, place = looks.first["separated"]
        raise ConfigError(
            f"{place}: {cell!r} has a thousands separator or a decimal comma, and can be read in"
            " two ways; write numbers as 1234.5"
        )
