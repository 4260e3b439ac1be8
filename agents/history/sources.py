"""Which topics a history is of: one that was deleted and created again is another one.

Offsets alone do not tell: once the new topic has as many records as were read of the old one, a
reader goes on in the midst of it, and what comes before that is missing without a gap.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, delete, func, insert, select

from agents.history.tables import gaps, positions, sources
from agents.history.writing import note_gap
from streams.errors import ConfigError

_ALL = -1
"""For a partition: all of the topic."""


def made_anew(connection: Connection, ids: Mapping[str, str]) -> list[str]:
    """Remember the ids of topics, and return those topics that are not what was read before.

    That is written down as a gap, once. A topic of which nothing was read is remembered anew.
    """
    known = {row.topic: row.topic_id for row in connection.execute(select(sources))}
    found = []
    for topic, topic_id in ids.items():
        if (before := known.get(topic)) == topic_id:
            continue
        read_ms = _read_until_ms(connection, topic)
        if before is None or read_ms is None:
            connection.execute(delete(sources).where(sources.c.topic == topic))
            connection.execute(insert(sources).values(topic=topic, topic_id=topic_id))
            continue
        what = f"{topic} was deleted and created again: its id was {before}, and is {topic_id}"
        if not connection.execute(select(gaps.c.id).where(gaps.c.what == what)).first():
            note_gap(connection, (topic, _ALL), after_ms=read_ms, until_ms=None, what=what)
        found.append(what)
    return found


def _read_until_ms(connection: Connection, topic: str) -> int | None:
    newest = select(func.max(positions.c.timestamp_ms)).where(positions.c.topic == topic)
    return connection.execute(newest).scalar()


def refusal(anew: list[str]) -> ConfigError:
    """Return what to say of topics that were made anew, with the fix."""
    return ConfigError(
        f"{'; '.join(anew)}: this history is of the old one, and what it never read of that is"
        " gone; begin another history with a database of its own, such as: driftline sink sql"
        " NEW.db (this one can still be asked: driftline asof --history)"
    )
