"""Rows that have become due, as rules take them: by the pane in which they came, in rounds.

Most rows are counted in the pane in which they come, and change no boundary that was passed before.
What takes back an old label changes an older pane: boundaries up to then must have been judged. So
the rows of a model are cut at such moments, and rules take one part of each model in a round.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from streams.grouping import distinct
from streams.readings import ReadingRows
from streams.rules.metrics import OF_OUTCOMES, OF_PREDICTIONS, OF_RESOURCES

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

TIME_BITS = 42


class PaneOf(Protocol):
    """Returns for every row the length of its model's panes, 0 where it is not needed."""

    def __call__(self, models: Ints, *, side: int) -> Ints:
        """Return it of rows of some kind, by their models."""


class Part(NamedTuple):
    """Rows of one batch and kind.

    Attributes
    ----------
    one
        The batch.
    side
        Of which rows, see `streams.rules.metrics`.
    rows, models
        Which rows of the batch, and their models.
    starts_ms
        Start of the pane in which they came.
    numbers
        Of the pane in which they are counted, of the length of their model's panes.
    back
        Whether that is an older one.
    """

    one: Any
    side: int
    rows: Ints
    models: Ints
    starts_ms: Ints
    numbers: Ints
    back: Mask

    def only(self, mask: Mask) -> "Part":
        """Return some of the rows."""
        return self._replace(
            rows=self.rows[mask],
            models=self.models[mask],
            starts_ms=self.starts_ms[mask],
            numbers=self.numbers[mask],
            back=self.back[mask],
        )


def due_rows(one: Any, span: tuple[int, int], pane_ms_of: PaneOf) -> Iterator[Part]:
    """Yield what of a batch is due in a span of time, predictions before outcomes.

    Parameters
    ----------
    pane_ms_of
        Returns for every row, by its model, the length of panes, 0 where it is not needed.
    """
    table = one.table
    for rows, times_ms, side in (
        (table.predictions, table.predictions.time_ms, OF_PREDICTIONS),
        (table.outcomes, table.outcomes.at_ms, OF_OUTCOMES),
    ):
        due = np.flatnonzero((times_ms >= span[0]) & (times_ms < span[1]))
        if not len(due):
            continue
        pane_ms = pane_ms_of(rows.model[due], side=side)
        due, pane_ms = due[pane_ms > 0], pane_ms[pane_ms > 0]
        if not len(due):
            continue
        starts_ms = times_ms[due] // pane_ms * pane_ms
        numbers = starts_ms // pane_ms
        if side == OF_OUTCOMES:
            numbers = np.maximum(rows.label_ms[due], rows.time_ms[due]) // pane_ms
        back = numbers * pane_ms != starts_ms
        yield Part(one, side, due, rows.model[due], starts_ms, numbers, back)


def due_readings(one: Any, span: tuple[int, int], pane_ms_of: PaneOf) -> Iterator[Part]:
    """Yield what of readings of hosts is due, likewise."""
    rows: ReadingRows = one.rows
    due = np.flatnonzero((rows.time_ms >= span[0]) & (rows.time_ms < span[1]))
    pane_ms = pane_ms_of(rows.model[due], side=OF_RESOURCES)
    due, pane_ms = due[pane_ms > 0], pane_ms[pane_ms > 0]
    if len(due):
        numbers = rows.time_ms[due] // pane_ms
        none = np.zeros(len(due), np.bool_)
        yield Part(one, OF_RESOURCES, due, rows.model[due], numbers * pane_ms, numbers, none)


def rounds(parts: Sequence[Part]) -> Iterator[tuple[list[Part], dict[int, int]]]:
    """Yield what is counted in every round; then how far each model is judged, if not to the end.

    Examples
    --------
    >>> def part(models, starts, back):
    ...     rows = np.arange(len(models))
    ...     return Part(None, 1, rows, *map(np.array, (models, starts, starts, back)))
    >>> every = part([0, 0, 1, 0], [60, 120, 120, 180], [False, True, False, False])
    >>> [([p.rows.tolist() for p in some], until) for some, until in rounds([every])]
    [([[0, 2]], {0: 120}), ([[1, 3]], {})]
    """
    cuts = [part.models << TIME_BITS | part.starts_ms for part in parts if part.back.any()]
    marks = [
        key[part.back] for key, part in zip(cuts, (p for p in parts if p.back.any()), strict=True)
    ]
    if not marks:
        yield list(parts), {}
        return
    keys = np.unique(np.concatenate(marks))
    models = keys >> TIME_BITS
    codes, firsts = np.unique(models, return_index=True)
    turns = []
    for part in parts:
        own = np.searchsorted(keys, part.models << TIME_BITS | part.starts_ms, side="right")
        place = np.minimum(np.searchsorted(codes, part.models), len(codes) - 1)
        turns.append(np.where(codes[place] == part.models, own - firsts[place], 0))
    counts = np.diff(np.append(firsts, len(keys)))
    for turn in range(int(counts.max()) + 1):
        some = [part.only(own == turn) for part, own in zip(parts, turns, strict=True)]
        ahead = np.flatnonzero(counts > turn)
        until = keys[firsts[ahead] + turn] & ((1 << TIME_BITS) - 1)
        yield (
            [part for part in some if len(part.rows)],
            dict(zip(codes[ahead].tolist(), until.tolist(), strict=True)),
        )


def arrivals(models: Ints, starts_ms: Ints, newest_ms: Ints) -> dict[int, list[tuple[int, int]]]:
    """Return for every model when rows came, and the newest pane that they were counted in."""
    keys, places = distinct(models << TIME_BITS | starts_ms)
    newest = np.full(len(keys), -1, np.int64)
    np.maximum.at(newest, places, newest_ms)
    found: dict[int, list[tuple[int, int]]] = {}
    low = (1 << TIME_BITS) - 1
    for key, last_ms in zip(keys.tolist(), newest.tolist(), strict=True):
        found.setdefault(key >> TIME_BITS, []).append((key & low, last_ms))
    return found
