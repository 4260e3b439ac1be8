"""All drift monitors of a partition: which of them look at which inputs of which models."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.costs import Costs
from streams.monitors import Drift
from streams.watchers import parameters_of, watcher_of
from streams.watchers.lanes import Change, Input, Lanes
from streams.watchers.numbering import Bucket


class Found(NamedTuple):
    """A change, and the drift monitor that found it."""

    drift: Drift
    change: Change


class _Monitor:
    """A drift monitor; `models` says by code which ones it watches."""

    def __init__(self, drift: Drift) -> None:
        watcher = watcher_of(drift.detector)
        parameters = parameters_of(watcher, drift.parameters)
        self.drift = drift
        self.lanes = Lanes(watcher, parameters, own_scale=drift.input == "loss")
        self.models: NDArray[np.bool_] = np.zeros(0, bool)

    def watch(self, model: int, *, watched: bool) -> None:
        if model >= len(self.models):
            more = np.zeros(model + 1 + len(self.models) // 2 - len(self.models), bool)
            self.models = np.concatenate([self.models, more])
        self.models[model] = watched

    def advance(self, inputs: Sequence[Input], costs: Costs) -> Iterator[Found]:
        started_s, values = costs.now_s(), 0
        own = [i.of(self.models[i.models]) for i in inputs if self.drift.covers(i.source)]
        for change in self.lanes.advance([one for one in own if len(one.models)]):
            yield Found(self.drift, change)
        for one in own:
            costs.count_values(one.models, one.counts)
            values += len(one.values)
        if values:
            costs.fed(self.drift.name, started_s=started_s, values=values)


class Drifts:
    """Drift monitors and their lanes.

    Parameters
    ----------
    drifts
        All that any model may have.
    """

    def __init__(self, drifts: Sequence[Drift]) -> None:
        self._monitors = {drift.name: _Monitor(drift) for drift in drifts}
        self._covered: dict[str, bool] = {}

    def watch(self, model: int, names: Collection[str]) -> None:
        """Say which drift monitors watch a model, by its code."""
        for name, monitor in self._monitors.items():
            monitor.watch(model, watched=name in names)

    def covers(self, source: str) -> bool:
        """Whether any drift monitor looks at an input."""
        if source not in self._covered:
            covering = (monitor.drift.covers(source) for monitor in self._monitors.values())
            self._covered[source] = any(covering)
        return self._covered[source]

    def advance(self, inputs: Sequence[Input], costs: Costs) -> Iterator[Found]:
        """Take the next values of inputs; yield what was found, of each input in order."""
        for monitor in self._monitors.values():
            yield from monitor.advance(inputs, costs)

    def forget(self, model: int) -> list[tuple[str, Bucket]]:
        """Watch a model no longer; return what may be written down of it."""
        gone = []
        for name, monitor in self._monitors.items():
            monitor.watch(model, watched=False)
            gone += [(name, bucket) for bucket in monitor.lanes.forget(model)]
        return gone

    def changes(self) -> Iterator[tuple[str, Bucket, list[Any]]]:
        """Yield what has changed since this was last asked, in a form that msgpack can write."""
        for name, monitor in self._monitors.items():
            for bucket, packed in monitor.lanes.changes():
                yield name, bucket, packed

    def restore(self, name: str, bucket: Bucket, packed: Sequence[Any]) -> None:
        """Go on with what was written down, unless the drift monitor is no longer there.

        Raises
        ------
        StateError
            If it is something else.
        """
        if name in self._monitors:
            self._monitors[name].lanes.restore(bucket, packed)
