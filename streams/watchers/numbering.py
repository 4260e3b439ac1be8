"""Numbers of lanes: which one looks at which input of which model.

Lanes are written down by *bucket*: some lanes of one model version in one record, so that neither
many models make many tiny records, nor many inputs one that no broker takes.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from streams.grouping import distinct
from streams.watchers.series import Ints
from streams.watchers.state import State

BUCKET_LANES = 64

_SHIFT = 32  # model and bucket as one number

Bucket = tuple[int, int]
"""Code of a model, and which of its buckets."""


class _Source:
    """The lanes of one input, by model in rising order."""

    def __init__(self) -> None:
        self._models, self._lanes = np.empty((2, 0), np.int64)
        self._new: list[tuple[int, int]] = []

    def add(self, model: int, lane: int) -> None:
        """Add a lane."""
        self._new.append((model, lane))

    def find(self, models: Ints) -> Ints:
        """Return the lanes of models, -1 where there is none."""
        self._settle()
        if not len(self._models):
            return np.full(len(models), -1)
        places = np.minimum(np.searchsorted(self._models, models), len(self._models) - 1)
        return np.where(self._models[places] == models, self._lanes[places], -1)

    def remove(self, model: int) -> bool:
        """Forget the lane of a model; tell whether there is none left."""
        self._settle()
        kept = self._models != model
        self._models, self._lanes = self._models[kept], self._lanes[kept]
        return not kept.any()

    def _settle(self) -> None:
        """Put what was added in its place: of many lanes at once, for each costs a sort."""
        if self._new:
            models, lanes = np.array(self._new).T
            models = np.concatenate([self._models, models])
            order = np.argsort(models, kind="stable")
            self._models, self._lanes = models[order], np.concatenate([self._lanes, lanes])[order]
            self._new = []


class Numbering:
    """Lanes of one drift monitor; numbers of a forgotten model's are given to others.

    Examples
    --------
    >>> numbering = Numbering()
    >>> numbering.find("score", np.array([3, 8]))
    (array([0, 1]), array([0, 1]))
    >>> numbering.find("score", np.array([8, 9]))
    (array([1, 2]), array([2]))
    >>> int(numbering.model_of[1]), numbering.source_of[1]
    (8, 'score')
    """

    def __init__(self) -> None:
        self._columns = State({"model": 0, "bucket": 0})
        self._used = 0
        self._free: list[int] = []
        self._sources: dict[str, _Source] = {}
        self._lanes: dict[Bucket, list[int]] = {}
        self._newest: dict[int, int] = {}

    @property
    def model_of(self) -> NDArray[np.int64]:
        """Codes of models, by lane."""
        return self._columns["model"]

    @property
    def source_of(self) -> list[str]:
        """Names of inputs, by lane."""
        return self._columns.objects

    def find(self, source: str, models: Ints) -> tuple[Ints, Ints]:
        """Return the lanes of an input of models, and those among them that are new.

        Parameters
        ----------
        models
            Codes of models, each once.
        """
        known = self._sources.setdefault(source, _Source())
        lanes = known.find(models)
        missing = lanes < 0
        if missing.any():
            buckets = [self._room(model) for model in models[missing].tolist()]
            lanes[missing] = self._add(buckets, [source] * len(buckets))
        return lanes, lanes[missing]

    def _room(self, model: int) -> Bucket:
        """Return the newest bucket of a model, or the next one when that is full."""
        bucket = model, self._newest.get(model, 0)
        full = len(self.lanes_in(bucket)) >= BUCKET_LANES
        return (model, bucket[1] + 1) if full else bucket

    def _add(self, buckets: Sequence[Bucket], sources: Sequence[str]) -> Ints:
        """Give new lanes their numbers."""
        reused = self._free[: len(buckets)]
        del self._free[: len(buckets)]
        end = self._used + len(buckets) - len(reused)
        lanes = [*reused, *range(self._used, end)]
        self._used = end
        numbers = np.array(lanes, np.int64)
        self._columns.begin(numbers)
        self._columns["model"][numbers], self._columns["bucket"][numbers] = np.array(buckets).T
        for lane, bucket, source in zip(lanes, buckets, sources, strict=True):
            model = bucket[0]
            self.source_of[lane] = source
            self._lanes.setdefault(bucket, []).append(lane)
            self._newest[model] = max(bucket[1], self._newest.get(model, 0))
            self._sources.setdefault(source, _Source()).add(model, lane)
        return numbers

    # ------------------------------------------------------------------ buckets
    def buckets(self, lanes: Ints) -> list[Bucket]:
        """Return the buckets that lanes are in, each once; forgotten lanes are in none."""
        keys = self._columns["model"][lanes] << _SHIFT | self._columns["bucket"][lanes]
        keys = keys[keys >= 0]
        return [(key >> _SHIFT, key & (1 << _SHIFT) - 1) for key in distinct(keys)[0].tolist()]

    def lanes_in(self, bucket: Bucket) -> list[int]:
        """Return the lanes of a bucket."""
        return self._lanes.get(bucket, [])

    def replace(self, bucket: Bucket, sources: Sequence[str]) -> Ints | None:
        """Let a bucket have lanes for these inputs and no others.

        Returns
        -------
        NDArray
            The lanes, or `None` where an input is named twice, or is in another bucket.
        """
        model = bucket[0]
        others = (self.lanes_in((model, n)) for n in range(self._newest.get(model, -1) + 1))
        elsewhere = {self.source_of[lane] for lanes in others for lane in lanes}
        known = {self.source_of[lane]: lane for lane in self.lanes_in(bucket)}
        asked = set(sources)
        if len(asked) < len(sources) or asked & (elsewhere - known.keys()):
            return None
        self._forget(bucket, [lane for source, lane in known.items() if source not in asked])
        new = [source for source in sources if source not in known]
        if new:
            known.update(zip(new, self._add([bucket] * len(new), new).tolist(), strict=True))
        self._lanes[bucket] = [known[source] for source in sources]
        return np.array(self._lanes[bucket], np.int64)

    def forget(self, model: int) -> list[Bucket]:
        """Forget the lanes of a model; return the buckets that it had."""
        buckets = [(model, number) for number in range(self._newest.pop(model, -1) + 1)]
        for bucket in buckets:
            self._forget(bucket, self._lanes.pop(bucket, []))
        return buckets

    def _forget(self, bucket: Bucket, lanes: Sequence[int]) -> None:
        for lane in lanes:
            source = self.source_of[lane]
            if self._sources[source].remove(bucket[0]):
                del self._sources[source]
        self._columns["model"][list(lanes)] = -1
        self._free += lanes
