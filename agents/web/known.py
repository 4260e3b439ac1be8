"""What was known of windows and alerts at a time.

Rules of this file:

* *Known at a time* is what `agents.history.reading` says it is; without a time, last values are
  read, which is the same and cheaper.
* Windows are found by their key alone, start by start: a model of 90 days has millions of rows, and
  no index leads from a metric to its windows. A window's start is known from that of another one
  of its length.
* What is asked for grows with what is shown, not with what there is.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, text

from agents.web.alert_questions import ALERTS, OF_MODEL, OWNERS, REVISIONS
from agents.web.settled import Keeping, Key, Part, Piece, Settled
from agents.web.window_questions import ASOF, EACH, LIVE, NAMES, STARTS, TOGETHER

_AHEAD_MS = 300_000
"""So far may a window begin after it was published: clocks differ."""

_LENGTHS_MS = 26 * 3_600_000
"""So far back are lengths of windows looked for: those of a day are then among them."""

_LAST_MS = 253_402_300_799_999

MOST_ALERTS = 10_000
"""So many alerts are read at most."""

MOST_POINTS = 600
"""So many points has a series; of more windows, several make one."""

MOST_READ = 2_100
"""So many windows are read at most for one answer, if the rest can be read later."""

MOST_WINDOWS = 300_000
"""So many windows of a series are looked for at most, a month of ten seconds: each is looked for,
there or not, and one record of a window of a millisecond would make billions of a year."""


class Who(NamedTuple):
    """Whose windows."""

    model: str
    version: str
    segment: str = ""


class Point(msgspec.Struct, frozen=True, gc=False):
    """A window's metric, or that of several windows.

    Attributes
    ----------
    low, high
        Its interval; of several windows, the least and the largest value.
    final
        Whether it changes no more; of several, whether all of them do not.
    windows
        How many it is of.
    """

    start_ms: int
    metric: str
    value: float
    low: float | None
    high: float | None
    count: int
    coverage: float | None
    revision: int
    final: bool
    windows: int


class Span(NamedTuple):
    """Windows of one length, the first and the last by their start, both inclusive."""

    first_ms: int
    last_ms: int
    length_ms: int

    @property
    def windows(self) -> int:
        """How many there may be."""
        return (self.last_ms - self.first_ms) // self.length_ms + 1

    @property
    def together(self) -> int:
        """How many make one point."""
        return -(-self.windows // MOST_POINTS)


class Known:
    """Answer questions about windows and alerts, as of a time.

    Parameters
    ----------
    until_ms
        What became visible later is not seen; None: what is known now.
    keeping
        Keeps long series; begun before it was connected.

    Attributes
    ----------
    every
        Of so many windows one was read where a series was too long to be read at once; 1: all were.
    """

    def __init__(
        self,
        connection: Connection,
        until_ms: int | None = None,
        *,
        keeping: Keeping | None = None,
    ) -> None:
        self.connection, self.until_ms = connection, until_ms
        self.every = 1
        self._keeping = Settled().begin() if keeping is None else keeping
        self._live = until_ms is None
        self._table = "metrics" if self._live else "metric_revisions"

    def at(self, until_ms: int) -> Known:
        """Return what was known at another time."""
        return Known(self.connection, until_ms, keeping=self._keeping)

    # ------------------------------------------------------------------ names
    def names(self) -> list[tuple[str, str]]:
        """Return every model and version, by a seek for each."""
        rows = self.connection.execute(text(NAMES.format(table=self._table)))
        return [(model, version) for model, version in rows]

    def versions(self, model: str) -> list[str]:
        """Return the versions of a model; readings of hosts are of version ``""``."""
        return self._each("version", "model = :model", model=model)

    def segments(self, model: str, version: str) -> list[str]:
        """Return the segments of a version; the whole is ``""``."""
        where = "model = :model AND version = :version"
        return self._each("segment", where, model=model, version=version)

    def _each(self, column: str, where: str, **bound: Any) -> list[str]:
        """Return the different values of a column of the key, by a seek for each."""
        found: list[str] = []
        while True:
            after = f"AND {column} > :after" if found else ""
            row = self._one(
                f"SELECT {column} FROM {self._table} WHERE {where} {after}"
                f" ORDER BY {column} LIMIT 1",
                after=found[-1] if found else None,
                **bound,
            )
            if row is None:
                return found
            found.append(row[0])

    # ------------------------------------------------------------------ windows
    def newest_ms(self, who: Who) -> int | None:
        """Return when the newest window begins; None if there is none."""
        seen = "" if self._live else "AND visible_at_ms <= :until AND window_start_ms <= :ahead"
        row = self._one(
            f"SELECT window_start_ms FROM {self._table} WHERE model = :model AND version = :version"
            f" AND segment = :segment {seen} ORDER BY window_start_ms DESC LIMIT 1",
            **who._asdict(),
            until=self.until_ms,
            ahead=(self.until_ms or 0) + _AHEAD_MS,
        )
        return None if row is None else int(row[0])

    def oldest_ms(self, who: Who) -> int | None:
        """Return when the oldest window begins that there is; None if there is none."""
        row = self._one(
            f"SELECT window_start_ms FROM {self._table} WHERE model = :model AND version = :version"
            " AND segment = :segment ORDER BY window_start_ms LIMIT 1",
            **who._asdict(),
        )
        return None if row is None else int(row[0])

    def lengths_ms(self, who: Who, newest_ms: int) -> list[int]:
        """Return the lengths of the windows of about the last day, the shortest first."""
        rows = self.connection.execute(
            text(
                f"SELECT DISTINCT window_end_ms - window_start_ms FROM {self._table}"
                " WHERE model = :model AND version = :version AND segment = :segment"
                " AND window_start_ms BETWEEN :since AND :newest"
            ),
            {**who._asdict(), "since": newest_ms - _LENGTHS_MS, "newest": newest_ms},
        )
        return sorted(int(length) for (length,) in rows)

    def metrics(self, who: Who, span: Span) -> list[str]:
        """Return the names of the metrics of a span, of which there are few windows."""
        rows = self.connection.execute(
            text(
                f"SELECT DISTINCT metric FROM {self._table} WHERE model = :model"
                " AND version = :version AND segment = :segment"
                " AND window_start_ms BETWEEN :first AND :last"
                " AND window_end_ms - window_start_ms = :length"
            ),
            {**who._asdict(), **_bound(span)},
        )
        return sorted(name for (name,) in rows)

    def points(self, who: Who, span: Span, metrics: Sequence[str]) -> list[Point]:
        """Return metrics of a span by metric and start; of too many windows, several make one."""
        if not metrics:
            return []
        if span.together == 1:
            return self._read_points(who, span, metrics)
        return self._long_points(self._key(who, span, metrics), span)

    def sampled(self, who: Who, span: Span, metrics: Sequence[str], *, every: int) -> list[Point]:
        """Return metrics of one window of so many, by metric and start.

        What that costs does not grow with the span, if `every` does.
        """
        if not metrics:
            return []
        if every == 1:
            return self._read_points(who, span, metrics)
        return self._long_points(self._key(who, span, metrics, every=every), span)

    def fill(self, key: Key, span: Span) -> bool:
        """Read a piece more of a long series, to be kept; return whether that was the last."""
        part = self._keeping.get(key) or Part(span.first_ms, [])
        steps = max(MOST_READ * key.length_ms // (key.step_ms * len(key.metrics)), 1)
        until_ms = part.until_ms + steps * key.step_ms
        piece = {"first": part.until_ms, "last": min(until_ms - 1, span.last_ms)}
        points = [*part.points, *self._read_points(key.who, span, key.metrics, piece)]
        return self._keep(key, span, points, until_ms=until_ms)

    def _key(self, who: Who, span: Span, metrics: Sequence[str], *, every: int = 0) -> Key:
        # Kept from a round time on, so that a range that moves on is one that is kept.
        step_ms = (every or span.together) * span.length_ms
        first_ms, length_ms = span.first_ms, span.length_ms
        return Key(who, tuple(metrics), first_ms, length_ms, step_ms, bool(every), self.until_ms)

    def _long_points(self, key: Key, span: Span) -> list[Point]:
        """Read of a long series what is not kept of it; of too much, one window of several."""
        part = self._keeping.get(key) or Part(span.first_ms, [])
        missing = span._replace(first_ms=part.until_ms).windows * len(key.metrics)
        rest = {"first": part.until_ms, "last": span.last_ms}
        if (
            not key.sampled
            and missing > MOST_READ
            and self._keeping.ask_later(key, _filling(key, span))
        ):
            self.every = max(self.every, every := -(-missing // MOST_READ))
            rest["step"] = every * span.length_ms
        else:
            every = 1
            rest["step"] = key.step_ms if key.sampled else span.length_ms
        read = self._read_points(key.who, span, key.metrics, rest, each=key.sampled)
        points = sorted((*part.points, *read), key=lambda one: (one.metric, one.start_ms))
        if every == 1:
            self._keep(key, span, points, until_ms=span.last_ms + 1)
            return points
        return [_standing_for(one, every, span.together) for one in points]

    def _keep(self, key: Key, span: Span, points: Sequence[Point], *, until_ms: int) -> bool:
        """Keep the whole steps up to a time; return whether those are all that there are."""
        whole_ms = span.last_ms - (span.last_ms - span.first_ms) % key.step_ms
        end_ms = min(until_ms, whole_ms)
        self._keeping.put(key, Part(end_ms, [one for one in points if one.start_ms < end_ms]))
        return end_ms == whole_ms

    def _read_points(
        self,
        who: Who,
        span: Span,
        metrics: Sequence[str],
        bound: Mapping[str, int] | None = None,
        *,
        each: bool = False,
    ) -> list[Point]:
        """Read a series, or what is bound of it: each window, or several of them as one point."""
        source = LIVE if self._live else ASOF
        question = (EACH if each or span.together == 1 else TOGETHER).format(source=source)
        return self._asked(question, who, metrics, _bound(span) | dict(bound or {}))

    def _asked(
        self, question: str, who: Who, metrics: Sequence[str], bound: Mapping[str, int]
    ) -> list[Point]:
        names = {f"m{number}": name for number, name in enumerate(metrics)}
        wanted = ", ".join(f"(:{name})" for name in names)
        rows = self.connection.execute(
            text(f"{STARTS.format(wanted=wanted)} {question}"),
            {**who._asdict(), **bound, **names, "until": self.until_ms},
        ).fetchall()
        return _points(rows)

    # ------------------------------------------------------------------ alerts
    def alerts(
        self, model: str | None = None, *, state: str | None = None, most: int = MOST_ALERTS
    ) -> list[dict[str, Any]]:
        """Return the last revision of alerts, each with its beginning, the newest first.

        They come without evidence, of which thousands would fill the memory.

        Parameters
        ----------
        state
            Only those whose last revision is of it.
        most
            No more than these.
        """
        where = [] if self._live else ["x.visible_at_ms <= :until"]
        # By alert: its deletion names no model.
        where += [f"x.alert_id IN ({OF_MODEL})"] if model is not None else []
        condition = f"WHERE {' AND '.join(where)}" if where else ""
        also = "" if state is None else "AND last.state = :state"
        rows = self.connection.execute(
            text(ALERTS.format(where=condition, also=also, evidence="NULL")),
            {"until": self.until_ms, "model": model, "state": state, "most": most},
        )
        return [_alert(row._mapping) for row in rows]

    def alert(self, alert_id: str) -> dict[str, Any] | None:
        """Return the last revision of one, with its beginning; None if there is none."""
        where = "WHERE x.alert_id = :alert" + (
            "" if self._live else " AND x.visible_at_ms <= :until"
        )
        bound = {"alert": alert_id, "until": self.until_ms, "most": 1}
        row = self.connection.execute(
            text(ALERTS.format(where=where, also="", evidence="last.evidence")), bound
        ).first()
        return None if row is None else _alert(row._mapping)

    def revisions(self, alert_id: str) -> list[dict[str, Any]]:
        """Return every revision of an alert, the oldest first."""
        rows = self.connection.execute(
            text(REVISIONS), {"alert": alert_id, "until": self.until_ms, "last": _LAST_MS}
        )
        return [_alert(row._mapping) for row in rows]

    def owners(self) -> list[tuple[str, str, dict[str, str]]]:
        """Return owner and tags of models, as the newest alert has them that has any."""
        rows = self.connection.execute(text(OWNERS), {"until": self.until_ms, "last": _LAST_MS})
        return [(model, owner or "", json.loads(tags or "{}")) for model, owner, tags in rows]

    def _one(self, question: str, **bound: Any) -> Any:
        return self.connection.execute(text(question), bound).first()


def _points(rows: Iterable[Any]) -> list[Point]:
    """Make points of rows, by metric and start: databases take longer to sort whole rows."""
    found = [Point(*(*row[:8], bool(row[8]), row[9])) for row in rows]
    return sorted(found, key=lambda one: (one.metric, one.start_ms))


def _filling(key: Key, span: Span) -> Piece:
    return lambda connection, keeping: Known(connection, key.until_ms, keeping=keeping).fill(
        key, span
    )


def _standing_for(point: Point, every: int, most: int) -> Point:
    """Return a point that is of so many times as many windows as were read."""
    return msgspec.structs.replace(point, windows=min(point.windows * every, most))


def _bound(span: Span) -> dict[str, int]:
    return {
        "first": span.first_ms,
        "last": span.last_ms,
        "length": span.length_ms,
        "step": span.length_ms,
        "together": span.together * span.length_ms,
    }


def _alert(row: Any) -> dict[str, Any]:
    found = dict(row)
    for name in ("evidence", "tags"):
        found[name] = json.loads(found[name] or "{}")
    texts = ("owner", "runbook", "incident_id")
    found |= {name: found[name] or "" for name in texts if name in found}
    return found | {"silenced": bool(found.get("silenced"))}
