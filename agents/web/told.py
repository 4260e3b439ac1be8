"""What workers tell of themselves, and what could not be used, as *Pipeline* shows it."""

from __future__ import annotations

from typing import NamedTuple

from agents.status import Status
from streams.monitors import Monitors


class Letters(NamedTuple):
    """Records that could not be used for one reason.

    Attributes
    ----------
    topic
        Of which input.
    newest_ms
        When the last of them was set aside; None where that is not known.
    where, detail, example
        Of one of them: where it stands, what is wrong with it, and how it begins.
    """

    topic: str
    reason: str
    records: int
    newest_ms: int | None
    where: str
    detail: str
    example: str


class Told(NamedTuple):
    """What an installation tells.

    Attributes
    ----------
    workers
        What each told last.
    letters
        Dead letters, the newest of each input.
    wrong
        Why it is not known now.
    monitors
        The specification that all workers are told; None where there is none.
    """

    workers: tuple[Status, ...] = ()
    letters: tuple[Letters, ...] = ()
    wrong: str | None = None
    monitors: Monitors | None = None
