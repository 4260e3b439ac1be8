"""Windows of one model version: panes that are counted into, windows that are published.

A pane is the greatest common divisor of all window sizes and hops; a window is a merge of panes.
Window metrics are published soon and revised as often as their content changes, but for what is
changed faster than it can be published. A metric that no longer exists (its last label was
retracted) is deleted from the compacted topic.
"""

import heapq
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from streams import quality
from streams.grouping import distinct
from streams.metrics import WindowKey, metric_key, metric_records
from streams.monitors import Window, pane_ms
from streams.outcomes import Ints
from streams.shown import Shown
from streams.tables import OutcomeColumns, Table, segment_layers
from streams.tallies import Inputs, Outcomes, add_outcomes, add_predictions
from streams.task import Judged

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


class Published(msgspec.Struct, array_like=True):
    """What was published of a window last."""

    revision: int = 0
    final: bool = False
    metrics: tuple[str, ...] = ()


class Windows:
    """Panes and published windows of one model version.

    Attributes
    ----------
    due
        When each published window that is not final ends, and which it is; a heap.
    dirty, changed
        Panes and windows that are not written down as they are.
    unpublished
        Panes whose windows are to be published, in that order.
    improper
        How many scores of a window are no probabilities, and how many are, of the first window
        where these are too many; not written down.
    values
        What was published last of windows that are not final, and as what kind of model; only of
        some, and not written down.
    """

    def __init__(self, model: str, version: str) -> None:
        self.model, self.version = model, version
        self.panes: dict[PaneKey, Pane] = {}
        self.published: dict[WindowKey, Published] = {}
        self.due: list[tuple[int, WindowKey]] = []
        self.dirty: set[PaneKey] = set()
        self.changed: set[WindowKey] = set()
        self.unpublished: dict[PaneKey, None] = {}
        self.improper: tuple[int, int] | None = None
        self.values: dict[WindowKey, tuple[Judged, list[quality.Value]]] = {}

    def remember(self, window: WindowKey, published: Published) -> None:
        """Put back a published window that was read from the state log."""
        if window not in self.published and not published.final:
            heapq.heappush(self.due, (window.end_ms, window))
        self.published[window] = published


class Windowing:
    """How windows are cut; the same for every model.

    Parameters
    ----------
    horizon_ms
        A window is final so long after its end: no label can change it any more.
    """

    def __init__(self, windows: tuple[Window, ...], *, horizon_ms: int) -> None:
        self.windows = windows
        self.pane_ms = pane_ms(windows)
        self.horizon_ms = horizon_ms
        self.longest_ms = max(window.size_ms for window in windows)
        self.keep_ms = 2 * horizon_ms + self.longest_ms

    def count(
        self,
        windows_of: Callable[[int], Windows],
        rows: Table,
        columns: OutcomeColumns,
        *,
        clock_ms: int,
    ) -> int:
        """Count rows into their panes; return how many came after their pane was dropped.

        Parameters
        ----------
        windows_of
            Returns the windows of a model by its code.
        """
        oldest = (clock_ms - self.keep_ms) // self.pane_ms if clock_ms >= 0 else -1
        late = 0
        for kind in (rows.predictions, rows.outcomes):
            numbers = kind.time_ms // self.pane_ms
            in_time = numbers >= oldest
            late += int(np.count_nonzero(~in_time))
            for names, chosen, name in segment_layers(rows, kind.segments):
                kept = in_time[chosen]
                if not kept.all():
                    chosen, name = chosen[kept], name[kept]  # noqa: PLW2901
                panes, group = changing_panes(
                    windows_of,
                    kind.model[chosen],
                    (names, name),
                    numbers[chosen],
                    lambda _: self.pane_ms,
                )
                if kind is rows.predictions:
                    inputs = [pane.inputs for pane in panes]
                    add_predictions(
                        inputs, rows.predictions, rows.features, chosen=chosen, group=group
                    )
                else:
                    outcomes = [pane.outcomes for pane in panes]
                    add_outcomes(outcomes, columns, chosen=chosen, group=group)
        return late

    def wants_publishing(self, state: Windows, *, clock_ms: int) -> bool:
        """Whether a window has changed or become final since it was published."""
        return bool(state.unpublished) or self._final_due(state, clock_ms)

    def take_windows(self, state: Windows, *, clock_ms: int, limit: int) -> list[WindowKey]:
        """Return windows that are to be published now, about `limit` of them at most."""
        todo: set[WindowKey] = set()
        while len(todo) < limit and self._final_due(state, clock_ms):
            window = heapq.heappop(state.due)[1]
            if window in state.published and not state.published[window].final:
                todo.add(window)
        while len(todo) < limit and state.unpublished:
            key = next(iter(state.unpublished))
            del state.unpublished[key]
            state.dirty.add(key)
            for window in self._windows_of(state, key):
                todo.add(window)
                state.values.pop(window, None)
        return sorted(todo)

    def _final_due(self, state: Windows, clock_ms: int) -> bool:
        return bool(state.due) and state.due[0][0] + self.horizon_ms <= clock_ms

    def _windows_of(self, state: Windows, key: PaneKey) -> Iterator[WindowKey]:
        segment, start = key
        for window in self.windows:
            last = start - start % window.hop_ms
            for begin in range(last, start - window.size_ms, -window.hop_ms):
                end = begin + window.size_ms
                yield WindowKey(state.model, state.version, segment, begin, end)

    def revise(self, state: Windows, *, clock_ms: int) -> None:
        """Publish all windows again that are not final: the model is judged to be of other kind."""
        limit_ms = clock_ms - self.horizon_ms - self.longest_ms
        keys = sorted(key for key in state.panes if key[1] > limit_ms)
        state.unpublished.update(dict.fromkeys(keys))
        state.dirty.update(keys)  # that they are to be published again is written down with them

    def publish(
        self, state: Windows, window: WindowKey, shown: Shown, *, clock_ms: int, keep: bool = False
    ) -> Iterator[tuple[bytes, bytes | None]]:
        """Yield key and value of every metric of a window.

        Parameters
        ----------
        shown
            What the model has shown: a window goes by what was known as it became final.
        keep
            Whether the values are kept until it is final: mostly, nothing changes any more.
        """
        final_ms = window.end_ms + self.horizon_ms
        final = final_ms <= clock_ms
        judged = shown.at(final_ms) if final else shown.newest
        known = state.published.get(window)
        if known is None:
            known = Published()
            state.remember(window, known)
        values = self._unchanged(state, window, judged)
        if values is None:
            pane = self._merged(state, window)
            values = quality.compute(pane.inputs, pane.outcomes, judged)
            state.improper = state.improper or quality.improper_scores(pane.outcomes, judged)
        if keep and not final:
            state.values[window] = judged, values
        coverage = next((value.value for value in values if value.metric == "coverage"), None)
        revision = known.revision + 1
        yield from metric_records(window, values, coverage=coverage, revision=revision, final=final)
        names = tuple(value.metric for value in values)
        for name in sorted(set(known.metrics) - set(names)):
            yield metric_key(window, name), None
        if known.final and not final:  # a soft clock had said so
            heapq.heappush(state.due, (window.end_ms, window))
        state.published[window] = Published(revision, final, names)
        state.changed.add(window)

    def _unchanged(
        self, state: Windows, window: WindowKey, judged: Judged
    ) -> list[quality.Value] | None:
        """Return what was published last of a window, if it is known and nothing has changed."""
        known = state.values.pop(window, None)
        if known is None or known[0].differs(judged):
            return None
        starts = range(window.start_ms, window.end_ms, self.pane_ms)
        if any((window.segment, start) in state.unpublished for start in starts):
            return None
        return known[1]

    def _merged(self, state: Windows, window: WindowKey) -> Pane:
        starts = range(window.start_ms, window.end_ms, self.pane_ms)
        panes = [state.panes.get((window.segment, start)) for start in starts]
        if len(panes) == 1 and panes[0] is not None:
            return panes[0]
        merged = Pane()
        for pane in panes:
            if pane is not None:
                merged.merge(pane)
        return merged

    def forget(self, state: Windows, *, clock_ms: int) -> tuple[list[PaneKey], list[WindowKey]]:
        """Drop panes and windows that are final for long; return what was dropped.

        A pane that takes no more rows is still needed for the windows that it shares with
        panes that do.
        """
        limit_ms = clock_ms - self.keep_ms - self.longest_ms
        panes = [key for key in state.panes if key[1] + self.pane_ms <= limit_ms]
        windows = [w for w in state.published if w.end_ms + self.keep_ms <= clock_ms]
        for key in panes:
            del state.panes[key]
            state.dirty.discard(key)
        for window in windows:
            del state.published[window]
            state.changed.discard(window)
        return panes, windows


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
