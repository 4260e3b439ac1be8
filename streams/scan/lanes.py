"""Sums of all lanes of a partition, in columns: a lane is one input of one model, by its name.

Lanes have numbers; those of forgotten models are given to others. Sixty-four neighbours are a
*chunk*, which is written down together, whoever they belong to.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streams.scan.inputs import BY_NAME, INPUTS, Ranked
from streams.scan.moments import Moments
from streams.scan.panes import (
    DAY_HOURS,
    DAYS,
    HOUR_PANES,
    KEPT_HOURS,
    KEPT_PANES,
)
from streams.scan.reference import Reference

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

CHUNK = 64
_NO_TABLE = -1

Name = tuple[str, int, str]
"""Model, place of the input in `INPUTS`, and name of the feature or class."""

_FACTS: dict[str, tuple[Any, tuple[int, ...]]] = {
    "first_hour": (np.int64, ()),  # the first whole one after which the lane's reference begins
    "first_pane": (np.int64, ()),
    "final": (np.int8, ()),  # whether ranks go by their last table
    "days": (np.int32, ()),  # that the reference has, 0 for none
    "level": (np.float64, ()),
    "weekend": (np.float64, ()),
    "base": (np.float64, ()),
    "variance": (np.float64, ()),
    "total": (np.float64, ()),
    "profile": (np.float64, (DAY_HOURS,)),
    "phi": (np.float64, (len(DAYS),)),
    "degrees": (np.float64, (len(DAYS),)),
}
_TOTALS: dict[str, tuple[Any, tuple[int, ...]]] = {
    "total_rows": (np.int64, ()),  # until the reference is frozen
    "total_sum": (np.int64, ()),
    "total_squares": (np.float64, ()),
    "held": (np.int64, (2,)),  # windows with rows, of one pane and of three
}
_PANES: dict[str, tuple[Any, tuple[int, ...]]] = {
    "pane_rows": (np.int32, (KEPT_PANES,)),
    "pane_sum": (np.int64, (KEPT_PANES,)),
}
_HOURS: dict[str, tuple[Any, tuple[int, ...]]] = {
    "hour_rows": (np.int32, (KEPT_HOURS,)),
    "hour_sum": (np.int64, (KEPT_HOURS,)),
}
_OPEN: dict[str, tuple[Any, tuple[int, ...]]] = {
    "open_rows": (np.int64, ()),
    "open_sum": (np.int64, ()),
    "open_squares": (np.float64, ()),
}
_PLACES: dict[str, tuple[Any, tuple[int, ...]]] = {
    "used": (np.bool_, ()),
    "place": (np.int64, ()),  # in INPUTS
    "kind": (np.int64, ()),
    "least": (np.float64, ()),
    "group": (np.int64, ()),
    "table": (np.int64, ()),  # of ranks, -1 for none
}
_COLUMNS = {**_FACTS, **_TOTALS, **_PANES, **_HOURS, **_OPEN, **_PLACES}

_SLOTS = {
    "panes": (_PANES, HOUR_PANES, KEPT_PANES // HOUR_PANES),
    "hours": (_HOURS, DAY_HOURS, KEPT_HOURS // DAY_HOURS),
}
"""Columns that are written in parts: by name, columns, entries of a part, and how many parts."""

_MOMENTS = "moments"
PARTS = "facts", "totals", *_SLOTS, _MOMENTS


class Lanes:
    """Lanes as columns; the last axis of each is the lane.

    Attributes
    ----------
    names
        By lane; `None` where it belongs to nobody.
    groups, models
        Numbers of models by name, and names by number.
    """

    def __init__(self) -> None:
        self.names: list[Name | None] = []
        self.groups: dict[str, int] = {}
        self.models: list[str] = []
        self._columns = {
            name: np.zeros((*shape, 0), kind) for name, (kind, shape) in _COLUMNS.items()
        }
        self.moments = Moments()
        self._free: list[int] = []
        self._lane_of: dict[tuple[int, str], Ints] = {}
        self._many: Counter[tuple[int, int]] = Counter()

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self._columns[name]

    def group(self, model: str) -> int:
        """Return the number of a model."""
        if model not in self.groups:
            self.groups[model] = len(self.models)
            self.models.append(model)
        return self.groups[model]

    # ------------------------------------------------------------------ numbers
    def find(self, place: int, name: str, groups: Ints) -> Ints:
        """Return the lanes of an input of models, by their numbers; -1 where there is none."""
        known = self._lane_of.get((place, name))
        if known is None:
            return np.full(len(groups), -1)
        inside = groups < len(known)
        return np.where(inside, known[np.where(inside, groups, 0)], -1)

    def add(self, groups: Ints, place: int, name: str, *, pane: int) -> Ints:
        """Begin with lanes of an input of models, by their numbers, from a pane on."""
        many = len(groups)
        if len(self._free) < many:
            before, self._free = self._free, []
            self.reserve((len(self.names) + many - len(before) - 1) // CHUNK)
            self._free += before
        lanes = np.array(self._free[: -many - 1 : -1], np.int64)
        del self._free[len(self._free) - many :]
        self._take(lanes, groups, place, name)
        self["first_pane"][lanes] = pane
        self["first_hour"][lanes] = -(-pane // HOUR_PANES)
        return lanes

    def reserve(self, chunk: int) -> None:
        """Have room for a chunk, and for those before it."""
        size = len(self.names)
        more = (chunk + 1) * CHUNK - size
        if more <= 0:
            return
        room = self._columns["used"].shape[-1]
        if size + more > room:
            wanted = max(size + more, room + room // 2)
            for name, column in self._columns.items():
                self._columns[name] = np.zeros((*column.shape[:-1], wanted), column.dtype)
                _copy(column, self._columns[name])
        self.names += [None] * more
        self["table"][size : size + more] = _NO_TABLE
        self._free += range(size + more - 1, size - 1, -1)

    def _take(self, lanes: Ints, groups: Ints, place: int, what: str) -> None:
        one, most = INPUTS[place], int(groups.max(initial=-1))
        self["used"][lanes], self["place"][lanes], self["group"][lanes] = True, place, groups
        self["kind"][lanes], self["least"][lanes] = one.kind, one.least
        known = self._lane_of.get((place, what), np.empty(0, np.int64))
        if most >= len(known):
            more = np.full(most + 1 + len(known) // 2 - len(known), -1)
            known = self._lane_of[place, what] = np.concatenate([known, more])
        known[groups] = lanes
        for lane, group in zip(lanes.tolist(), groups.tolist(), strict=True):
            self.names[lane] = self.models[group], place, what
            self._many[group, place] += 1

    def _leave(self, lane: int, name: Name) -> None:
        group = int(self["group"][lane])
        self._lane_of[name[1:]][group] = -1
        self._many[group, name[1]] -= 1

    def many(self, group: int, place: int) -> int:
        """Return how many lanes of an input a model has, by its number."""
        return self._many[group, place]

    def forget(self, lane: int) -> None:
        """Give a lane up; its numbers are 0 from now on."""
        name = self.names[lane]
        if name is None:
            return
        self._leave(lane, name)
        self.names[lane] = None
        for column in self._columns.values():
            column[..., lane] = 0
        self.moments.forget([lane])
        self["table"][lane] = _NO_TABLE
        self._free.append(lane)

    def begin_anew(self, lane: int, *, pane: int) -> None:
        """Let a lane that is known forget its sums."""
        keep = {name: self[name][..., lane].copy() for name in (*_PLACES, "final")}
        for column in self._columns.values():
            column[..., lane] = 0
        self.moments.forget([lane])
        for name, value in keep.items():
            self[name][..., lane] = value
        self["first_pane"][lane] = pane
        self["first_hour"][lane] = -(-pane // HOUR_PANES)

    def leave_out(self, lane: int, panes: int, *, pane: int) -> None:
        """Take the newest panes out of a lane's totals."""
        some = np.arange(pane + 1 - panes, pane + 1) % KEPT_PANES
        self["total_rows"][lane] -= self["pane_rows"][some, lane].sum(dtype=np.int64)
        self["total_sum"][lane] -= self["pane_sum"][some, lane].sum()

    def alongside(self, lane: int, ranked: Ranked) -> list[int]:
        """Return the lanes of an input of numbers: of levels, of numbers, and of spreads."""
        name, group = self.names[lane], self["group"][[lane]]
        assert name is not None
        places = [BY_NAME[one.name] for one in ranked if one is not None]
        found = [int(self.find(place, name[2], group)[0]) for place in places]
        return [one for one in found if one >= 0]

    def of(self, model: str) -> list[int]:
        """Return the lanes of a model."""
        group = self.groups.get(model, -1)
        found: list[int] = np.flatnonzero(self["used"] & (self["group"] == group)).tolist()
        return found

    def used(self) -> Ints:
        """Return all lanes, but those of nobody."""
        return np.flatnonzero(self["used"])

    # ------------------------------------------------------------------ references
    def reference(self, lanes: Ints) -> Reference:
        """Return what is usual for lanes."""
        return Reference(*(self[name][..., lanes] for name in Reference._fields))

    def learn(self, lanes: Ints, found: Reference, *, days: int) -> None:
        """Take what was learnt of lanes."""
        self["days"][lanes] = days
        for name, column in found._asdict().items():
            self[name][..., lanes] = column

    # ------------------------------------------------------------------ written down
    def pack(self, part: str, chunk: int, slot: int = 0) -> list[bytes]:
        """Return columns of a chunk, or a part of them."""
        own = slice(chunk * CHUNK, (chunk + 1) * CHUNK)
        if part == _MOMENTS:
            return [_packed(self.moments.at(slot, np.arange(own.start, own.stop)))]
        if part in _SLOTS:
            columns, length, _ = _SLOTS[part]
            some = slice(slot * length, (slot + 1) * length)
            return [_packed(self[name][some, ..., own]) for name in columns]
        columns = _FACTS if part == "facts" else _TOTALS
        return [_packed(self[name][..., own]) for name in columns]

    def restore(self, part: str, chunk: int, slot: int, packed: Sequence[bytes]) -> bool:
        """Put back what `pack` returned; tell whether it is that."""
        self.reserve(chunk)
        own, some = slice(chunk * CHUNK, (chunk + 1) * CHUNK), slice(None)
        if part == _MOMENTS:
            lanes = np.arange(own.start, own.stop)
            return len(packed) == 1 and self.moments.restore(slot, lanes, packed[0])
        columns = _FACTS if part == "facts" else _TOTALS
        if part in _SLOTS:
            columns, length, count = _SLOTS[part]
            some = slice(slot * length, (slot + 1) * length)
            if not 0 <= slot < count:
                return False
        if len(packed) != len(columns):
            return False
        for (name, (kind, _)), one in zip(columns.items(), packed, strict=True):
            target = self[name][some, ..., own] if part in _SLOTS else self[name][..., own]
            if len(one) != target.nbytes:
                return False
            target[...] = np.frombuffer(one, np.dtype(kind).newbyteorder("<")).reshape(target.shape)
        return True

    def name_chunk(self, chunk: int, names: Sequence[Name | None]) -> None:
        """Say whose the lanes of a chunk are; their columns are left as they are."""
        self.reserve(chunk)
        for lane, name in enumerate(names, start=chunk * CHUNK):
            before = self.names[lane]
            if before is not None:
                self._leave(lane, before)
            self.names[lane], self["used"][lane] = None, False
            if name is not None:
                model, place, what = name
                self._take(np.array([lane]), np.array([self.group(model)]), place, what)

    def settle(self) -> None:
        """After all was put back, find out which lanes are free."""
        self._free = [lane for lane, name in enumerate(self.names) if name is None][::-1]


def _copy(column: NDArray[Any], larger: NDArray[Any]) -> None:
    """Copy what is there; where nothing is, as in hours to come, it takes no memory yet."""
    room, size = column.shape[-1], larger.shape[-1]
    if not room:
        return
    for old, new in zip(column.reshape(-1, room), larger.reshape(-1, size), strict=True):
        if old.any():
            new[:room] = old


def _packed(column: NDArray[Any]) -> bytes:
    return column.astype(column.dtype.newbyteorder("<")).tobytes()
