"""All drift monitors of a partition: which of them look at which inputs of which models."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from streams.costs import Costs
from streams.monitors import SCAN, Drift
from streams.watchers import parameters_of, watcher_of
from streams.watchers.lanes import Change, Input, Lanes
from streams.watchers.numbering import Bucket


class Found(NamedTuple):
    """A change, and the drift monitor that found it."""

    drift: Drift
    change: Change


class _Monitor:
    """A drift monitor.

    Attributes
    ----------
    key
        Under which it is written down.
    models
        By code, which ones it watches.
    """

    def __init__(self, drift: Drift, key: str) -> None:
        self.key = key
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
        self._monitors = {drift.name: _Monitor(drift, drift.name) for drift in _of_values(drifts)}
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
        for monitor in self._monitors.values():
            monitor.watch(model, watched=False)
            gone += [(monitor.key, bucket) for bucket in monitor.lanes.forget(model)]
        return gone

    def changes(self) -> Iterator[tuple[str, Bucket, list[Any]]]:
        """Yield what has changed since this was last asked, in a form that msgpack can write."""
        for monitor in self._monitors.values():
            for bucket, packed in monitor.lanes.changes():
                yield monitor.key, bucket, packed

    def restore(self, key: str, bucket: Bucket, packed: Sequence[Any]) -> bool | None:
        """Go on with what was written down.

        Returns
        -------
        bool
            False where another version, or one with other parameters, has written it: that begins
            anew. `None` where there is no such drift monitor.

        Raises
        ------
        StateError
            If it is something else.
        """
        for monitor in self._monitors.values():
            if monitor.key == key:
                return monitor.lanes.restore(bucket, packed)
        return None

    # ------------------------------------------------------------------ other monitors
    @property
    def keys(self) -> dict[str, str]:
        """Under which keys drift monitors are written down, by their names."""
        return {name: monitor.key for name, monitor in self._monitors.items()}

    def replace(
        self, drifts: Sequence[Drift], models: Sequence[int], *, keys: Mapping[str, str]
    ) -> list[tuple[str, Bucket]]:
        """Have other drift monitors; those that see the same in the same way keep their lanes.

        Parameters
        ----------
        models
            All that there are.
        keys
            Under which each is written down if it is a new one.

        Returns
        -------
        list
            What may be written down of monitors that are gone.
        """
        before, self._covered = self._monitors, {}
        self._monitors = {}
        for drift in _of_values(drifts):
            known = before.get(drift.name)
            if known is not None and _sees(known.drift) == _sees(drift):
                known.drift = drift
                self._monitors[drift.name] = before.pop(drift.name)
            else:
                self._monitors[drift.name] = _Monitor(drift, keys[drift.name])
        return [
            (monitor.key, bucket)
            for monitor in before.values()
            for model in models
            for bucket in monitor.lanes.forget(model)
        ]

    def watch_only(self, model: int, names: Collection[str]) -> list[tuple[str, Bucket]]:
        """Say which drift monitors watch a model; return what may be written down of others."""
        gone = []
        for name, monitor in self._monitors.items():
            monitor.watch(model, watched=name in names)
            if name not in names:
                gone += [(monitor.key, bucket) for bucket in monitor.lanes.forget(model)]
        return gone


def _of_values(drifts: Sequence[Drift]) -> list[Drift]:
    """Return the monitors that see values one by one: the scan (`streams.scan`) sees sums."""
    return [drift for drift in drifts if drift.detector != SCAN]


def _sees(drift: Drift) -> Drift:
    """Return what decides what a drift monitor finds, whichever models it watches."""
    return msgspec.structs.replace(drift, model="*", version="*", severity="info")
