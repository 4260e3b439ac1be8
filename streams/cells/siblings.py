"""Segments of windows of whole models, beside each other: what families across segments see."""

import numpy as np
from numpy.typing import NDArray

from streams.cells.levels import Places
from streams.cells.view import CellView, Judgements, Windows
from streams.families.family import Family
from streams.shown import SEGMENTS

Ints = NDArray[np.int64]


class SiblingsView(CellView):
    """A view whose groups are segments; see the contract in `streams.families.family`.

    Attributes
    ----------
    place
        Of every window of a whole model, its place among all windows.
    """

    def __init__(
        self, windows: Windows, family: Family, *, wanted: frozenset[str] | None = None
    ) -> None:
        subjects = windows.grid.world.subjects
        whole = subjects.segments[windows.subject] == subjects.names.code("")
        self.place = np.flatnonzero(whole)
        segments, self.whole = _segments(windows, self.place)
        self.wholes = len(self.place)
        self.key = windows.grid.world.key_codes(subjects.segments[segments])
        super().__init__(_windows(windows, segments, self.place[self.whole]), family, wanted=wanted)

    @property
    def keys(self) -> list[str]:
        """Names of keys, by code."""
        return self._windows.grid.world.keys.texts


def _segments(windows: Windows, place: Ints) -> tuple[Ints, Ints]:
    """Return the segments of models of windows, and of each how-manieth of these its window is."""
    world = windows.grid.world
    subjects, models = world.subjects, windows.model[place]
    known = np.flatnonzero(np.isin(subjects.models, models))
    names = subjects.segments[known]
    kept = (names != subjects.names.code("")) & world.have_a_place(
        SEGMENTS, subjects.models[known], names
    )
    known = known[kept]
    known = known[np.argsort(subjects.models[known], kind="stable")]
    first, last = (
        np.searchsorted(subjects.models[known], models, side=side) for side in ("left", "right")
    )
    owner, step = _spans(first, last - first)
    return known[step], owner


def _spans(first: Ints, size: Ints) -> tuple[Ints, Ints]:
    """Return of spans of numbers the place of each number's span, and the numbers.

    Examples
    --------
    >>> [column.tolist() for column in _spans(np.array([5, 0, 7]), np.array([2, 0, 1]))]
    [[0, 0, 2], [5, 6, 7]]
    """
    owner = np.repeat(np.arange(len(size)), size)
    return owner, first[owner] + np.arange(len(owner)) - (np.cumsum(size) - size)[owner]


def _windows(windows: Windows, subject: Ints, place: Ints) -> Windows:
    """Return the windows of segments, which are as those of their models."""
    numbers, owners = windows.places
    bounds = np.searchsorted(owners, np.arange(len(windows) + 1))
    owner, pane = _spans(bounds[place], np.diff(bounds)[place])
    kind, words, positive = windows.judged
    return Windows(
        windows.grid,
        subject,
        windows.first[place],
        panes=windows.panes,
        judged=Judgements(kind[place], words[place], positive[place]),
        places=Places(numbers[pane], owner),
    )
