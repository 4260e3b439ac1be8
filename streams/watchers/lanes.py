"""The lanes of one drift monitor: all inputs of all models that it watches, at once."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np

from streams.errors import StateError
from streams.watchers.numbering import Bucket, Numbering
from streams.watchers.scaling import Scales
from streams.watchers.series import Floats, Ints, Mask, Series
from streams.watchers.state import State
from streams.watchers.watcher import Parameters, Shift, Watcher

# Columns of a pass are held a dozen times; the inputs of a wide model are taken in several.
_MOST_VALUES = 1 << 18


class Input(NamedTuple):
    """What models saw of one input, in order.

    Attributes
    ----------
    source
        Name of the input.
    models, counts
        Models that have values, each once, and how many.
    times_ms, values
        Those of the first model, then those of the second, and so on.
    measures
        By model, in which of several ways its values were measured: a lane begins anew where that
        is another one than before. `None` where there is one way only.
    """

    source: str
    models: Ints
    counts: Ints
    times_ms: Ints
    values: Floats
    measures: Ints | None = None

    def of(self, models: Mask) -> "Input":
        """Return the values of those models for which a mask is set."""
        if models.all():
            return self
        values = np.repeat(models, self.counts)
        return Input(
            self.source,
            *(self.models[models], self.counts[models]),
            *(self.times_ms[values], self.values[values]),
            None if self.measures is None else self.measures[models],
        )


class Change(msgspec.Struct, frozen=True):
    """A change of level of one input of a model.

    Attributes
    ----------
    at_ms
        When the value came that showed it.
    index
        Number of that value, from 0, in everything that the lane has seen.
    before, after
        Levels, in the input's own unit.
    """

    model: int
    source: str
    at_ms: int
    index: int
    before: float
    after: float


class Lanes:
    """What a watcher knows of every input that a drift monitor watches.

    Parameters
    ----------
    own_scale
        Whether the inputs have a scale of their own, as the loss has.
    """

    def __init__(self, watcher: Watcher, parameters: Parameters, *, own_scale: bool) -> None:
        self.watcher, self.parameters = watcher, parameters
        as_it_is = own_scale and watcher.takes_own_scale
        self.scales = None if as_it_is else Scales(parameters.reference, of_means=watcher.of_means)
        self.state = State(watcher.state, watcher.bulk)
        self._seen = State({"seen": 0, "measure": 0})
        self._numbering = Numbering()
        self._changed: list[Ints] = []

    def advance(self, inputs: Sequence[Input]) -> Iterator[Change]:
        """Take the next values of inputs; yield what was found, of each lane in order."""
        some: list[Input] = []
        for one in inputs:
            some.append(one)
            if sum(len(i.values) for i in some) >= _MOST_VALUES:
                yield from self._advance(some)
                some = []
        if some:
            yield from self._advance(some)

    def _advance(self, inputs: Sequence[Input]) -> Iterator[Change]:
        lanes, counts, times_ms, values = (
            np.concatenate(parts)
            for parts in zip(
                *((self._lanes_of(i), i.counts, i.times_ms, i.values) for i in inputs), strict=True
            )
        )
        series = Series(lanes, counts, values)
        seen = self._seen["seen"][lanes]
        self._seen["seen"][lanes] = seen + counts
        self._changed.append(lanes)
        given = series if self.scales is None else self.scales.take(series, seen)
        if not len(given.values):
            return
        # All of them: a watcher is not done before.
        shifts = list(self.watcher.advance(self.state, given, self.parameters, scales=self.scales))
        for shift in shifts:
            run = series.runs[shift.place]
            index = int(seen[run] + series.positions[shift.place])
            yield self._change(shift, int(times_ms[shift.place]), index)

    def _change(self, shift: Shift, at_ms: int, index: int) -> Change:
        lane, levels = shift.lane, (shift.before, shift.after)
        if self.scales is not None:
            levels = (
                self.scales.unscaled(lane, shift.before),
                self.scales.unscaled(lane, shift.after),
            )
        numbering = self._numbering
        return Change(
            int(numbering.model_of[lane]), numbering.source_of[lane], at_ms, index, *levels
        )

    def _lanes_of(self, one: Input) -> Ints:
        lanes, new = self._numbering.find(one.source, one.models)
        if len(new):
            self._begin(new)
        if one.measures is not None:
            before = self._seen["measure"][lanes]
            self._begin(lanes[before != one.measures])
            self._seen["measure"][lanes] = one.measures
        return lanes

    def _begin(self, lanes: Ints) -> None:
        self._seen.begin(lanes)
        self.state.begin(lanes)
        if self.scales is not None:
            self.scales.begin(lanes)

    def forget(self, model: int) -> list[Bucket]:
        """Forget a model; return the buckets that may be written down."""
        return self._numbering.forget(model)

    # ------------------------------------------------------------------ written down
    def changes(self) -> Iterator[tuple[Bucket, list[Any]]]:
        """Yield what has changed since this was last asked, in a form that msgpack can write."""
        if not self._changed:
            return
        changed, self._changed = np.concatenate(self._changed), []
        buckets = self._numbering.buckets(changed)
        members = [self._numbering.lanes_in(bucket) for bucket in buckets]
        lanes = np.array([lane for own in members for lane in own], np.int64)
        columns = [self._seen, self.state, *(() if self.scales is None else (self.scales.state,))]
        packed = [(column.lane_bytes, column.pack(lanes)) for column in columns]
        samples = self._packed_samples(lanes)
        head, start = self._head(), 0
        for bucket, own in zip(buckets, members, strict=True):
            end = start + len(own)
            yield (
                bucket,
                [
                    *head,
                    [self._numbering.source_of[lane] for lane in own],
                    [part[start * size : end * size] for size, part in packed],
                    samples[start:end],
                    [self.watcher.pack_rest(self.state, lane) for lane in own],
                ],
            )
            start = end

    def _head(self) -> list[Any]:
        """Return what state depends on: with any other, lanes begin anew."""
        return [self.watcher.name, self.watcher.version, msgspec.to_builtins(self.parameters)]

    def _packed_samples(self, lanes: Ints) -> list[bytes]:
        if self.scales is None:
            return []
        return self.scales.samples.pack(lanes, self._seen["seen"][lanes])

    def restore(self, bucket: Bucket, packed: Sequence[Any]) -> bool:
        """Go on with what `changes` yielded of a bucket.

        Returns
        -------
        bool
            False where another watcher, version or parameters have written it: the lanes are
            known, but begin anew.

        Raises
        ------
        StateError
            If it is something else.
        """
        name = self.watcher.name
        try:
            record = msgspec.convert(packed, _Record)
        except msgspec.ValidationError as error:
            raise StateError(f"{name}: {error}") from None
        lanes = self._numbering.replace(bucket, record.sources)
        if lanes is None:
            raise StateError(f"{name}: an input has two states: {', '.join(record.sources)}")
        self._begin(lanes)
        if [record.watcher, record.version, record.parameters] != self._head():
            return False
        if not self._restore(lanes, record):
            raise StateError(f"{name}: no state of {len(lanes)} inputs")
        return True

    def _restore(self, lanes: Ints, record: "_Record") -> bool:
        columns = [self._seen, self.state, *(() if self.scales is None else (self.scales.state,))]
        if len(columns) != len(record.columns) or len(record.rest) != len(lanes):
            return False
        parts = zip(columns, record.columns, strict=True)
        if not all(column.restore(lanes, part) for column, part in parts):
            return False
        seen = self._seen["seen"][lanes]
        if (seen < 0).any() or not self.watcher.is_sound(self.state, lanes, self.parameters):
            return False
        if self.scales is not None and not self.scales.samples.restore(lanes, seen, record.samples):
            return False
        for lane, rest in zip(lanes.tolist(), record.rest, strict=True):
            self.watcher.restore_rest(self.state, lane, rest, self.parameters)
        return True


class _Record(msgspec.Struct, array_like=True):
    watcher: str
    version: int
    parameters: dict[str, float]
    sources: list[str]
    columns: list[bytes]
    samples: list[bytes]
    rest: list[bytes]
