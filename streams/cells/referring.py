"""What windows of a model are compared with from now on, for people."""

from typing import NamedTuple

import numpy as np

from streams.cells.baselines import EARLY, Baselines
from streams.cells.levels import BASELINES
from streams.cells.store import World
from streams.comparisons import OfProfile
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
    if compared is None:
        return Reference() if said is None else Reference(str(said))
    number = int(compared.numbers[0])
    whose = int(subjects.models[compared.whose[0]])
    if number < BASELINES.first or number > EARLY:
        return Reference(str(said or ""))
    rows = compared.side.find(compared.whose[:1], compared.numbers[:1])
    count = int(compared.side.counted(rows).sum()) if rows[0] >= 0 else 0
    span_ms = 0 if number == EARLY else baselines.spans_ms[number - BASELINES.first]
    text = "first rows" if number == EARLY else f"first {format_duration(span_ms)}"
    version = None if whose == code else version_of[whose]
    return Reference(text, version, baselines.complete_ms(whose, span_ms), count)
