"""ADWIN and Page-Hinkley, from river, on what the scan makes of losses: a value a pane or an hour.

What they see is how far a sum is from what is usual, in standard deviations of sums of that length:
seasons are out of it, and clusters have widened the deviation. On raw values both alarm on noise,
since neither knows of any of these; here they agree with the scan or stay quiet. ADWIN looks at
panes and Page-Hinkley at hours, which keeps rare errors from looking like jumps.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.errors import StateError
from streams.watchers.adwin import Adwin, AdwinParameters
from streams.watchers.page_hinkley import PageHinkley, PageHinkleyParameters
from streams.watchers.series import Series
from streams.watchers.state import State
from streams.watchers.watcher import Parameters, Watcher

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class _Kind(NamedTuple):
    """A detector, and how it sees deviations.

    Attributes
    ----------
    clip
        Larger ones count as such.
    by_hour
        Whether it looks at hours, or at panes.
    opens
        Whether it says so where the scan has found nothing.
    """

    watcher: Watcher
    parameters: Parameters
    clip: float
    by_hour: bool
    opens: bool


KINDS = (
    _Kind(Adwin(), AdwinParameters(delta=0.002), 4.0, by_hour=False, opens=True),
    _Kind(
        PageHinkley(),
        PageHinkleyParameters(reference=1, block=1, delta=0.25, threshold=30.0),
        *(5.0, True, False),
    ),
)


class Shifted(NamedTuple):
    """A lane in which a detector has found something."""

    lane: int
    detector: str
    opens: bool


class _Standard:
    """The scale of values that are standard deviations already; see `streams.watchers.scaling`."""

    def __init__(self, size: int) -> None:
        self.state = {"mean": np.zeros(size)}

    def deviation(self, lanes: Ints) -> Floats:
        return np.ones(len(lanes))


class River:
    """Both detectors, in all lanes of losses.

    Examples
    --------
    >>> river, lanes = River(), np.array([3])
    >>> river.begin(lanes)
    >>> found = [river.take(lanes, np.array([z]), by_hour=True) for z in [0.0] * 40 + [4.0] * 20]
    >>> [(hour, one.detector) for hour, some in enumerate(found) for one in some]
    [(49, 'page_hinkley')]
    """

    def __init__(self) -> None:
        self._states = [State(one.watcher.state, one.watcher.bulk) for one in KINDS]
        self._begun = np.zeros(0, np.bool_)

    def begin(self, lanes: Ints) -> None:
        """Let lanes begin, or begin anew: what is usual for them is another now."""
        for state in self._states:
            state.begin(lanes)
        more = int(lanes.max(initial=-1)) + 1 - len(self._begun)
        if more > 0:
            self._begun = np.append(self._begun, np.zeros(more + len(self._begun) // 2, np.bool_))
        self._begun[lanes] = True

    def forget(self, lane: int) -> None:
        """Forget a lane."""
        if self._has(lane):
            self.begin(np.array([lane]))
            self._begun[lane] = False

    def _has(self, lane: int) -> bool:
        return lane < len(self._begun) and bool(self._begun[lane])

    def take(self, lanes: Ints, deviations: Floats, *, by_hour: bool) -> list[Shifted]:
        """Take how far a pane, or an hour, is from the usual, of lanes that have begun.

        Parameters
        ----------
        deviations
            In standard deviations.
        """
        found: list[Shifted] = []
        if not len(lanes):
            return found
        ones = np.ones(len(lanes), np.int64)
        for kind, state in zip(KINDS, self._states, strict=True):
            if kind.by_hour != by_hour:
                continue
            clipped = np.clip(deviations, -kind.clip, kind.clip)
            own_scale = kind.watcher.takes_own_scale
            scales: Any = None if own_scale else _Standard(int(lanes.max()) + 1)
            values = 0.5 + clipped / (2 * kind.clip) if own_scale else clipped
            series = Series(lanes, ones, values)
            shifts = kind.watcher.advance(state, series, kind.parameters, scales=scales)
            name, opens = kind.watcher.name, kind.opens
            found += [Shifted(one.lane, name, opens) for one in shifts]
        return found

    def begun(self, lanes: Ints) -> Ints:
        """Return those lanes that have begun."""
        inside = lanes[lanes < len(self._begun)]
        return inside[self._begun[inside]]

    # ------------------------------------------------------------------ written down
    def pack(self, lanes: Sequence[int]) -> list[Any]:
        """Return what is known of those of some lanes that have begun."""
        own = self.begun(np.array(lanes, np.int64))
        columns = [state.pack(own) for state in self._states]
        return [
            [lane, *self._packed(lane, place, columns)] for place, lane in enumerate(own.tolist())
        ]

    def _packed(self, lane: int, place: int, columns: Sequence[bytes]) -> Iterator[Any]:
        for kind, state, packed in zip(KINDS, self._states, columns, strict=True):
            size = state.lane_bytes
            yield kind.watcher.version
            yield packed[place * size : (place + 1) * size]
            yield kind.watcher.pack_rest(state, lane)

    def restore(self, lanes: Sequence[int], packed: Sequence[Any]) -> None:
        """Put back what `pack` returned of the same lanes.

        Raises
        ------
        StateError
            If it is something else.
        """
        for lane in lanes:
            self.forget(lane)
        for lane, *parts in packed:
            own = np.array([lane])
            self.begin(own)
            if parts[::3] != [kind.watcher.version for kind in KINDS]:
                continue  # by another version: begins anew
            for kind, state, columns, rest in zip(
                KINDS, self._states, parts[1::3], parts[2::3], strict=True
            ):
                sound = state.restore(own, columns)
                if not sound or not kind.watcher.is_sound(state, own, kind.parameters):
                    raise StateError(f"the scan's {kind.watcher.name} of a lane is damaged")
                kind.watcher.restore_rest(state, lane, rest, kind.parameters)
