"""Keep the history: every revision, in SQLite or PostgreSQL, exactly once.

Records and the offsets after them are written in one transaction of the database, so that neither
a crash nor a restart loses or doubles any.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated

import msgspec

from agents.sinks.contract import EVERYTHING, Clock, Sink, Upsert, option
from streams.durations import format_duration, parse_duration_ms
from streams.errors import ConfigError

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

    from agents.history.writing import Positions
    from driftline.places import Gap, Place

_SWEEP_MS = 600_000
_BEAT_MS = 10_000


class SqlOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Where the history is, and how long it is kept."""

    target: Annotated[
        str | None,
        option(
            "A SQLite file, or postgresql://USER:PASSWORD@HOST/DATABASE. Default: DRIFTLINE_HISTORY"
            " of the environment, or driftline-history.db.",
            "[URL]",
        ),
    ] = None
    keep: Annotated[
        str,
        option("How long revisions are kept, by the time they became visible.", "DURATION"),
    ] = "90d"


class Sql(Sink):
    """Keep every revision of metrics and alerts in SQLite or PostgreSQL, exactly once.

    `driftline asof` and `driftline diff` read it. Tables: `metrics`, `actions`, `models`,
    `distributions` and `feedback` (last values), `metric_revisions`, `alert_revisions`, `gaps`
    (what was gone before it was read). Lists and objects are JSON. Needs:
    pip install 'driftline[sql]', for PostgreSQL 'driftline[postgresql]'.
    """

    name = "sql"
    reads = EVERYTHING
    options = SqlOptions
    examples = (
        "driftline sink sql",
        "driftline sink sql postgresql://driftline@db/driftline --keep 365d",
        "driftline sink sql history.db --bootstrap-servers kafka:9092",
    )

    def __init__(self, options: SqlOptions, *, clock: Clock | None = None) -> None:
        needed()
        from agents.history import database  # noqa: PLC0415 - an extra

        given = options.target or os.environ.get(database.VARIABLE) or database.DEFAULT
        url = database.url_of(given)
        self._where = database.shown(url)
        self._keep_ms = parse_duration_ms(options.keep, setting="--keep")
        self._engine: Engine = database.engine_of(url)
        self._now_ms = clock or (lambda: time.time_ns() // 1_000_000)
        self._connection: Connection | None = None
        self._before: Positions = {}
        self._after: Positions = {}
        self._caught_up = False
        self._sweep_due_ms = self._beat_due_ms = self._ids_due_ms = 0

    def start(self) -> Mapping[Place, int]:
        """Make or check the tables, and return the offsets that are in them."""
        from sqlalchemy import select  # noqa: PLC0415

        from agents.history import schema  # noqa: PLC0415
        from agents.history.tables import positions  # noqa: PLC0415

        with self._failing(), self._engine.begin() as connection:
            schema.prepare(connection)
            rows = connection.execute(select(positions)).all()
            self._before = {
                (row.topic, row.partition): (row.next_offset, row.timestamp_ms) for row in rows
            }
            self._note_absence(connection, {row.topic: row.written_at_ms for row in rows})
        self._look_at_topics()
        return {place: offset for place, (offset, _) in self._before.items()}

    def _note_absence(self, connection: Connection, written_at_ms: dict[str, int]) -> None:
        """Write down that revisions may be gone, where this was away for longer than they stay."""
        from agents.exits import say  # noqa: PLC0415
        from agents.history.writing import note_gap  # noqa: PLC0415
        from agents.topics_kept import KEPT_MS  # noqa: PLC0415

        for (topic, partition), (_, last_ms) in self._before.items():
            kept_ms = self._now_ms() - KEPT_MS
            if written_at_ms[topic] < kept_ms and last_ms < kept_ms:
                away = format_duration((self._now_ms() - written_at_ms[topic]) // 60_000 * 60_000)
                what = f"away for {away}: what was revised before the last 7d may be gone"
                say(f"revisions may be missing: {topic}/{partition}: {what}")
                place = (topic, partition)
                note_gap(connection, place, after_ms=last_ms, until_ms=kept_ms, what=what)

    def write(self, upserts: Sequence[Upsert]) -> None:
        """Write into the open transaction, all of these or none."""
        from agents.history.writing import written  # noqa: PLC0415

        if not upserts:
            return
        connection = self._open()
        with self._failing(), connection.begin_nested():
            written(connection, upserts)
        for upsert in upserts:
            place = upsert.topic, upsert.partition
            self._after[place] = upsert.offset + 1, upsert.timestamp_ms

    def flush(self) -> None:
        """Commit records and offsets together."""
        if self._connection is not None:
            from agents.history.writing import moved  # noqa: PLC0415

            with self._failing():
                moved(self._connection, self._before, self._after, now_ms=self._now_ms())
                self._connection.commit()
                self._connection.close()
            self._connection = None
            self._before, self._after = {**self._before, **self._after}, {}
        elif self._caught_up and self._now_ms() >= self._beat_due_ms:
            self._beat()
        if self._now_ms() >= self._sweep_due_ms:
            self._sweep()

    def caught_up(self) -> None:
        """Say from now on, also where nothing comes, until when nothing is missing."""
        self._caught_up = True

    def missing(self, gap: Gap) -> None:
        """Write down what was gone before it was read."""
        from agents.history.writing import note_gap  # noqa: PLC0415

        if gap.there < gap.wanted:  # a topic that is shorter than it was is probably another one
            self._look_at_topics()
        place = gap.topic, gap.partition
        last_ms = self._before.get(place, (0, None))[1]
        with self._failing(), self._engine.begin() as connection:
            note_gap(connection, place, after_ms=last_ms, until_ms=gap.there_ms, what=str(gap))

    def close(self) -> None:
        """Take back what was not committed."""
        self._forget()
        self._engine.dispose()

    def _look_at_topics(self) -> None:
        """Refuse to go on if what is read now is not what was read before."""
        from agents.history.sources import made_anew, refusal  # noqa: PLC0415

        self._ids_due_ms = self._now_ms() + _BEAT_MS
        if ids := self._ids():
            with self._failing(), self._engine.begin() as connection:
                anew = made_anew(connection, ids)
            if anew:
                raise refusal(anew)

    def _beat(self) -> None:
        self._look_at_topics()
        from agents.history.writing import seen  # noqa: PLC0415

        with self._failing(), self._engine.begin() as connection:
            seen(connection, now_ms=self._now_ms())
        self._beat_due_ms = self._now_ms() + _BEAT_MS

    def _sweep(self) -> None:
        from agents.history.writing import forgotten  # noqa: PLC0415

        with self._failing(), self._engine.begin() as connection:
            forgotten(connection, before_ms=self._now_ms() - self._keep_ms)
        self._sweep_due_ms = self._now_ms() + _SWEEP_MS

    def _open(self) -> Connection:
        if self._connection is None:
            if self._now_ms() >= self._ids_due_ms:
                self._look_at_topics()
            with self._failing():
                self._connection = self._engine.connect()
                self._connection.begin()
        return self._connection

    def _forget(self) -> None:
        connection, self._connection, self._after = self._connection, None, {}
        if connection is not None:
            connection.invalidate()
            connection.close()

    @contextmanager
    def _failing(self) -> Iterator[None]:
        """Raise what the contract has for what the database raises."""
        from agents.history.failures import errors, failure  # noqa: PLC0415
        from agents.sinks.contract import AwayError  # noqa: PLC0415

        try:
            yield
        except errors() as error:
            told = failure(error, where=self._where)
            if isinstance(told, AwayError):
                self._forget()
            raise told from None


def needed() -> None:
    """Refuse to go on without what the history needs.

    Raises
    ------
    ConfigError
        With what to install.
    """
    if find_spec("sqlalchemy") is None or find_spec("alembic") is None:
        raise ConfigError("the history needs: pip install 'driftline[sql]'")
