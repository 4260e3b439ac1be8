"""Panes that rules count into."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from streams.grouping import distinct
from streams.outcomes import Ints
from streams.tallies import Inputs, Outcomes

PaneKey = tuple[str, int]
"""Segment and start."""


class Pane:
    """What is counted between two pane boundaries."""

    __slots__ = ("inputs", "outcomes")

    def __init__(self) -> None:
        self.inputs, self.outcomes = Inputs(), Outcomes()

    def merge(self, other: "Pane") -> None:
        """Add another pane in place."""
        self.inputs.merge(other.inputs)
        self.outcomes.merge(other.outcomes)

    def pack(self) -> list[Any]:
        """Return a form that msgpack can write."""
        return [self.inputs.pack(), self.outcomes.pack()]

    @classmethod
    def unpack(cls, packed: Sequence[Any]) -> "Pane":
        """Read what `pack` returned."""
        pane = cls()
        pane.inputs, pane.outcomes = Inputs.unpack(packed[0]), Outcomes.unpack(packed[1])
        return pane


class HasPanes(Protocol):
    """State that counts into panes and knows which of them changed."""

    panes: dict[PaneKey, Pane]
    dirty: set[PaneKey]


def changing_panes(
    state_of: Callable[[int], HasPanes],
    models: NDArray[np.integer],
    segment: tuple[Sequence[str], Ints],
    numbers: Ints,
    pane_ms: Callable[[int], int],
) -> tuple[list[Pane], Ints]:
    """Return the panes that rows are about to change, and for every row the index of its pane.

    Parameters
    ----------
    models, numbers
        Code of the model and number of the pane of every row.
    segment
        Names, and for every row the index of its own.
    pane_ms
        Length of the panes of a model.
    """
    names, name = segment
    if not len(models):
        return [], numbers
    lowest = int(numbers.min())
    span = int(numbers.max()) - lowest + 1
    keys, group = distinct((models * len(names) + name) * span + (numbers - lowest))
    panes = []
    for key in keys.tolist():
        rest, number = divmod(key, span)
        model, place = divmod(rest, len(names))
        start_ms = (number + lowest) * pane_ms(model)
        panes.append(changing_pane(state_of(model), (names[place], start_ms)))
    return panes, group


def changing_pane(state: HasPanes, key: PaneKey) -> Pane:
    """Return a pane that is about to change, made if it is new."""
    state.dirty.add(key)
    pane = state.panes.get(key)
    if pane is None:
        pane = state.panes[key] = Pane()
    return pane
