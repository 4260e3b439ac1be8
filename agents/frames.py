"""A replay of a data frame: what `driftline.replay` finds by an entry point."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import Any

from agents.recordings import Line, Recordings
from agents.replay import load_monitors, play
from agents.replay_results import Results
from agents.tables import Chunk, Plan, check_roles, is_role, places
from streams.alerts import Alert
from streams.dryrun import DryRun
from streams.durations import parse_duration_ms
from streams.errors import ConfigError
from streams.metrics import Metric

_CHUNK_ROWS = 5_000
_FRAME = Path("frame")


def replay(
    frame: Any,
    columns: Mapping[str, str] | None,
    *,
    monitors: str | Path | None,
    window: str,
    horizon: str,
) -> dict[str, Any]:
    """Replay the rows of a pandas data frame; see `driftline.replay`.

    Returns
    -------
    dict
        ``metrics`` and ``alerts`` as dictionaries, the names of their fields, ``fates`` and
        ``dead_letters``: counts by name.

    Raises
    ------
    ValueError
        If something cannot be used.
    """
    try:
        run, letters, survey = play(
            FrameRows(frame, _roles(frame, columns)),
            DryRun,
            monitors=load_monitors(None if monitors is None else Path(monitors)),
            window_ms=parse_duration_ms(window, setting="window"),
            horizon_ms=parse_duration_ms(horizon, setting="horizon"),
            partitions=1,
            disorder_ms=None,
        )
    except ConfigError as error:
        raise ValueError(str(error)) from None
    results = Results(run, letters, lines=survey.lines, disorder_ms=survey.disorder_ms)
    return {
        "metrics": [json.loads(line) for line in results.metrics],
        "metric_fields": list(Metric.__struct_fields__),
        "alerts": results.alerts,
        "alert_fields": list(Alert.__struct_fields__),
        "fates": results.fates,
        "dead_letters": dict(results.letters.counts()),
    }


class FrameRows(Recordings):
    """The rows of a data frame, as if they were in a file."""

    def __init__(self, frame: Any, roles: Mapping[str, str]) -> None:
        super().__init__([])
        self._plan = Plan(roles)
        self._frame = frame
        self._columns = {role: frame[column] for role, column in roles.items()}

    def look(self) -> Iterator[Chunk]:
        """Find out what the columns are; to be run to its end before `lines`."""
        for chunk in self._rows():
            self._plan.see(chunk, _FRAME)
            yield chunk
        self._plan.settle()

    def lines(self) -> Iterator[Line]:
        """Yield all rows in their order."""
        numbers = count()
        for chunk in self._rows():
            for row in self._plan.events(chunk, numbers):
                yield Line(row.line, row.value, row.error)

    @property
    def have_dates(self) -> bool:
        """A date in a data frame may be any."""
        return True

    def where(self, place: int) -> tuple[Path, int]:
        """Return the number of a row, from 1."""
        return _FRAME, place

    def _rows(self) -> Iterator[Chunk]:
        for start in range(0, len(self._frame), _CHUNK_ROWS):
            cells = {
                role: _values(column.iloc[start : start + _CHUNK_ROWS])
                for role, column in self._columns.items()
            }
            stop = min(start + _CHUNK_ROWS, len(self._frame))
            yield Chunk(range(start + 1, stop + 1), cells, typed=True)


def _roles(frame: Any, columns: Mapping[str, str] | None) -> dict[str, str]:
    names = list(map(str, frame.columns))
    if columns is None:
        columns = {name: name for name in names if is_role(name)}
    check_roles(columns)
    places(_FRAME, names, columns)
    return dict(columns)


def _values(column: Any) -> list[Any]:
    """Return cells as Python has them: None is a missing one, a time is one of UTC."""
    missing = column.isna().tolist()
    if column.dtype.kind == "M":  # times, with a zone or without
        if getattr(column.dt, "tz", None) is not None:
            column = column.dt.tz_convert("UTC").dt.tz_localize(None)
        column = column.dt.floor("ms").dt.to_pydatetime()
    return [None if gone else cell for cell, gone in zip(column.tolist(), missing, strict=True)]
