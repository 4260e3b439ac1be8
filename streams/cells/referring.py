"""What windows of a model are compared with from now on, for people."""

from typing import NamedTuple

import numpy as np

from streams.cells.baselines import EARLY, Baselines
from streams.cells.levels import BASELINES
from streams.cells.store import World
from streams.cells.view import Compared
from streams.comparisons import DAY_MS, Between, OfProfile
from streams.durations import format_duration

_LATER_MS = 1 << 61


class Reference(NamedTuple):
    """What windows of a model are compared with; see `streams.models_told`."""

    text: str = ""
    version: str | None = None
    since_ms: int = -1
    rows: int = 0


def reference_of(
    baselines: Baselines, world: World, *, code: int, version_of: list[str]
) -> Reference:
    """Return what windows of a model are compared with that begin from now on.

    Parameters
    ----------
    version_of
        Versions of models, by code.
    """
    said = baselines.comparing.now(code)
    subjects = world.subjects
    subject = subjects.of(np.array([code]), subjects.names.codes([""]))
    compared = baselines.of(subject, np.array([_LATER_MS]))
    if isinstance(said, OfProfile):
        return Reference(str(said), rows=said.profile.rows)
    if isinstance(said, Between):
        passed_ms = int(baselines.passed_ms(np.array([code]))[0])
        return _between(said, compared, over=passed_ms >= said.end * DAY_MS)
    if compared is None:
        return Reference() if said is None else Reference(str(said))
    number = int(compared.numbers[0])
    whose = int(subjects.models[compared.whose[0]])
    if number < BASELINES.first or number > EARLY:
        return Reference(str(said or ""))
    count = _counted(compared)
    span_ms = 0 if number == EARLY else baselines.spans_ms[number - BASELINES.first]
    text = "first rows" if number == EARLY else f"first {format_duration(span_ms)}"
    version = None if whose == code else version_of[whose]
    return Reference(text, version, baselines.complete_ms(whose, span_ms), count)


def _between(said: Between, compared: Compared | None, *, over: bool) -> Reference:
    """Tell of some days, what they are, and how many rows they have had, once they are over."""
    rows = 0 if compared is None else _counted(compared)
    if not rows:
        return Reference(f"{said}: {'no rows' if over else 'not over yet'}")
    return Reference(str(said), since_ms=said.end * DAY_MS, rows=rows)


def _counted(compared: Compared) -> int:
    """Return how many rows all have with which something is compared."""
    rows = compared.side.find(compared.whose, compared.numbers)
    return int(compared.side.counted(rows[rows >= 0]).sum())
