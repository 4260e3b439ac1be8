"""ADWIN (Bifet & Gavaldà 2007), two-sided, direction from the part of its window that it drops.

river does the detecting. It looks for a change at every 32nd value since the last one only (which
a test holds), so that values wait in a column until there are 32 of them: nothing is found later
than if each had been handed over at once, and at the same value.

An input on its own scale reaches it unchanged. Others come in spreads about their centre, clipped
at five of them: since ADWIN's bound wants values between 0 and 1, they are mapped there.
"""

import sys
from collections.abc import Iterator
from functools import reduce
from operator import add, length_hint
from typing import Annotated, Any, ClassVar

import numpy as np
from msgspec import Meta

from streams.errors import StateError
from streams.scale import CLIP
from streams.watchers.scaling import Scales
from streams.watchers.series import Floats, Ints, Mask, Series
from streams.watchers.state import State
from streams.watchers.watcher import Parameters, Shift, Watcher

BLOCK = 32


def _import_river() -> Any:
    """Import river's detectors, but not scikit-learn, which river loads where it is installed.

    Nothing here needs it, and it makes a worker start two seconds later.
    """
    hidden = "sklearn" not in sys.modules
    if hidden:
        sys.modules["sklearn"] = None  # type: ignore[assignment]  # "is not installed"
    try:
        from river import drift  # noqa: PLC0415
    finally:
        if hidden:
            del sys.modules["sklearn"]
    return drift


_drift = _import_river()


class AdwinParameters(Parameters, frozen=True, forbid_unknown_fields=True):
    """What can be set of ADWIN.

    Attributes
    ----------
    delta
        Bound on the probability of a false alarm.
    """

    delta: Annotated[float, Meta(gt=0, lt=1)] = 0.002


class Adwin(Watcher):
    """ADWIN in all lanes of a drift monitor."""

    name = "adwin"
    parameters = AdwinParameters
    state: ClassVar = {"filled": 0}
    bulk: ClassVar = {"block": np.zeros(BLOCK)}
    takes_own_scale = True

    def advance(
        self, state: State, series: Series, parameters: AdwinParameters, *, scales: Scales | None
    ) -> Iterator[Shift]:
        """Take the next values; hand over the blocks that they complete."""
        values = series.values if scales is None else (series.values + CLIP) / (2 * CLIP)
        lanes, blocks, filled = series.lanes, state["block"], state["filled"][series.lanes]
        ends = (filled + series.counts) // BLOCK * BLOCK
        _wait(state, series, values, ends == 0)
        full = np.flatnonzero(ends).tolist()
        starts = (series.starts - filled).tolist()  # where a block begins that began before
        for run, waiting in zip(full, blocks[lanes[full]].tolist(), strict=True):
            lane, count, start, end = int(lanes[run]), int(filled[run]), starts[run], int(ends[run])
            whole = waiting[:count] + values[start + count : start + end].tolist()
            for taken, *levels in _changes(state, lane, whole, parameters.delta):
                place = series.place(start + taken - 1)
                before, after = levels if scales is None else map(_in_spreads, levels)
                yield Shift(place, lane, before, after)
            left = count + int(series.counts[run]) - end
            blocks[lane, :left] = values[start + end : start + end + left]
        state["filled"][lanes] = filled + series.counts - ends

    def is_sound(self, state: State, lanes: Ints, parameters: Any) -> bool:  # noqa: ARG002
        """Tell whether that many values can wait for a full block."""
        filled = state["filled"][lanes]
        return bool(((filled >= 0) & (filled < BLOCK)).all())

    def pack_rest(self, state: State, lane: int) -> bytes:
        """Return the values that wait, and what river has."""
        waiting = state["block"][lane, : state["filled"][lane]].astype("<f8").tobytes()
        inner = state.objects[lane]
        return waiting if inner is None else waiting + inner.__getstate__()

    def restore_rest(
        self, state: State, lane: int, packed: bytes, parameters: AdwinParameters
    ) -> None:
        """Put back what `pack_rest` returned.

        Raises
        ------
        StateError
            If it is something else.
        """
        filled = int(state["filled"][lane])
        waiting, rest = packed[: 8 * filled], packed[8 * filled :]
        if len(waiting) != 8 * filled:
            raise StateError(f"adwin: {len(waiting)} bytes are no {filled} values")
        state["block"][lane, :filled] = np.frombuffer(waiting, "<f8")
        if not rest:
            return
        inner = _new_window(parameters.delta)
        try:
            inner.__setstate__(rest)
        except BaseException as error:
            if type(error).__name__ != "PanicException":  # river's Rust; no kind of Exception
                raise
            raise StateError(f"adwin: river cannot read {len(rest)} bytes: {error}") from None
        state.objects[lane] = inner


def _wait(state: State, series: Series, values: Floats, few: Mask) -> None:
    """Let values wait of those lanes that have no full block yet."""
    lanes, counts = series.lanes[few], series.counts[few]
    if not len(lanes):
        return
    every = len(lanes) == len(series.lanes)
    runs = np.repeat(np.arange(len(lanes)), counts)
    slots = np.arange(len(runs)) + (state["filled"][lanes] - np.cumsum(counts) + counts)[runs]
    own = values if every else values[np.repeat(few, series.counts)]
    state["block"][lanes[runs], slots] = own


def _in_spreads(level: float) -> float:
    return level * 2 * CLIP - CLIP


def _new_window(delta: float) -> Any:
    return _drift.ADWIN(delta=delta, clock=BLOCK)._helper


def _changes(
    state: State, lane: int, values: list[float], delta: float
) -> Iterator[tuple[int, float, float]]:
    """Hand over whole blocks; yield how many were taken until each change, and its levels."""
    window, taken = state.objects[lane], 0
    while taken < len(values):
        if window is None:
            window = _new_window(delta)
        count, total = window.get_width(), window.get_total()
        rest = iter(values[taken:] if taken else values)
        # What river's `update` calls, without its wrapping; a loop in Python would cost as much.
        if not any(map(window.update, rest)):
            break
        before, taken = taken, len(values) - length_hint(rest)
        count, total = count + taken - before, reduce(add, values[before:taken], total)
        kept, sum_after = window.get_width(), window.get_total()
        dropped = count - kept
        level = (total - sum_after) / dropped if dropped else total / count
        yield taken, level, sum_after / kept
        window = None  # river starts afresh after a change
    state.objects[lane] = window
