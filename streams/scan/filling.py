"""The pane that is being filled: what rows add to the sums of lanes, in any order.

What came since it was last asked is handed out to be written down, so that a step writes as much
as it has taken, however many lanes there are.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.grouping import distinct
from streams.scan.inputs import BY_NAME, Input, Ranked
from streams.scan.lanes import Floats, Ints, Lanes
from streams.scan.panes import UNIT
from streams.scan.ranks import Hashes, Tables, mixed
from streams.scan.samples import Samples

_PLAIN = "<i4", "<i8", "<i8", "<f8"
_DRAWN = "<i4", "<u8", "<f8"
_OPEN = "open_rows", "open_sum", "open_squares"

_PIECE = 20_000
"""A piece of what came in a step has about so many entries."""

Part = tuple[Any, ...]
"""Columns of the same length."""


class Numbers(NamedTuple):
    """Numbers of models.

    Attributes
    ----------
    groups
        Numbers of the models, each once.
    runs
        Of every value, which of them it is of.
    ties
        Numbers of rows, by which some are drawn for tables of ranks.
    """

    groups: Ints
    runs: Ints
    ties: Ints
    values: Floats

    def kept(self, mask: NDArray[np.bool_]) -> "Numbers":
        """Return the values for which a mask is set."""
        if mask.all():
            return self
        own, runs = distinct(self.runs[mask])
        return Numbers(self.groups[own], runs, self.ties[mask], self.values[mask])


class Filling:
    """Sums of the pane under way, and values that ranks may go by.

    Parameters
    ----------
    begin
        Gives the lane of a model's number that has none, or -1 if nobody looks at it.
    """

    def __init__(
        self,
        lanes: Lanes,
        samples: Samples,
        tables: Tables,
        *,
        begin: Callable[[int, int, str], int],
    ) -> None:
        self._lanes, self._samples, self._tables, self._begin = lanes, samples, tables, begin
        self._sums: list[Part] = []
        self._drawn: list[Part] = []
        self._noted: list[Ints] = []

    def lanes_of(self, one: Input, name: str, groups: Ints) -> Ints:
        """Return the lanes of an input of models; new ones begin."""
        place = BY_NAME[one.name]
        found = self._lanes.find(place, name, groups)
        for at in np.flatnonzero(found < 0).tolist():
            found[at] = self._begin(int(groups[at]), place, name)
        return found

    def has_table(self, ranked: Ranked, name: str, groups: Ints) -> NDArray[np.bool_]:
        """Tell of which models numbers have ranks."""
        lanes = self._lanes.find(BY_NAME[ranked.level.name], name, groups)
        return (lanes >= 0) & (self._lanes["table"][lanes] >= 0)

    def add(self, lanes: Ints, rows: Ints, sums: Ints, squares: Floats | None = None) -> None:
        """Add to lanes, each of which comes once; -1 is nobody's."""
        some = lanes >= 0
        if not some.any():
            return
        more = np.zeros(len(lanes)) if squares is None else squares
        own = tuple(column[some] for column in (lanes, rows, sums, more))
        for name, column in zip(_OPEN, own[1:], strict=True):
            self._lanes[name][own[0]] += column
        self._sums.append(own)

    def add_values(self, lanes: Ints, runs: Ints, parts: Ints) -> None:
        """Add values, each in parts of a whole, to the lane that `runs` says."""
        size = len(lanes)
        weights = parts.astype(np.float64)
        sums = np.bincount(runs, weights=weights, minlength=size).astype(np.int64)
        share = weights / UNIT
        more = np.rint(share**2 * UNIT)
        squares = np.bincount(runs, weights=more, minlength=size).astype(np.float64)
        self.add(lanes, np.bincount(runs, minlength=size), sums, squares)

    def add_ranked(self, ranked: Ranked, name: str, given: Numbers) -> None:
        """Add numbers by their ranks; those of a model without a last table may become one."""
        lanes = self.lanes_of(ranked.level, name, given.groups)
        kept = (lanes >= 0)[given.runs] & np.isfinite(given.values)
        if not kept.any():
            return
        given = given.kept(kept)
        lanes = self.lanes_of(ranked.level, name, given.groups)
        drawn = (self._lanes["final"][lanes] == 0)[given.runs]
        if drawn.any():
            values = given.values[drawn]
            self._draw(lanes[given.runs[drawn]], mixed(given.ties[drawn]), values)
        given = given.kept((self._lanes["table"][lanes] >= 0)[given.runs])
        if len(given.values):
            self._add_ranks(ranked, name, given)

    def _add_ranks(self, ranked: Ranked, name: str, given: Numbers) -> None:
        groups, runs = given.groups, given.runs
        lanes = self.lanes_of(ranked.level, name, groups)
        rows = self._lanes["table"][lanes][runs]
        ranks = self._tables.ranks(rows, given.values)
        self.add_values(lanes, runs, ranks)
        size = len(groups)
        parts = self._tables.parts(rows, given.values).astype(np.float64)
        sums = np.bincount(runs, weights=parts, minlength=size).astype(np.int64)
        kept = self.lanes_of(ranked.value, name, groups)
        self.add(kept, np.bincount(runs, minlength=size), sums)
        if ranked.spread is not None:
            flags = self._tables.few[self._lanes["table"][lanes]]
            self._add_spreads(ranked.spread, name, given=given, ranks=ranks, own=~flags)

    def _add_spreads(
        self, one: Input, name: str, *, given: Numbers, ranks: Ints, own: NDArray[np.bool_]
    ) -> None:
        """Add how far ranks are from the middle, but for flags: a share has no other spread."""
        if own.all():
            lanes, runs = self.lanes_of(one, name, given.groups), given.runs
        elif own.any():
            chosen = own[given.runs]
            places, runs = distinct(given.runs[chosen])
            lanes, ranks = self.lanes_of(one, name, given.groups[places]), ranks[chosen]
        else:
            return
        self.add_values(lanes, runs, np.abs(2 * ranks - UNIT))

    def _draw(self, lanes: Ints, hashes: Hashes, values: Floats) -> None:
        taken = self._samples.add(lanes, hashes, values)
        if taken.any():
            self._drawn.append((lanes[taken], hashes[taken], values[taken]))

    # ------------------------------------------------------------------ written down
    def changes(self) -> list[list[list[bytes]]]:
        """Return what came since this was last asked, in pieces."""
        sums, drawn = self._sums, self._drawn
        self._sums, self._drawn = [], []
        self._noted += [lanes for lanes, *_ in drawn]
        none = _packed([], _PLAIN), _packed([], _DRAWN)
        return [
            *([_packed(some, _PLAIN), none[1]] for some in _pieces(sums)),
            *([none[0], _packed(some, _DRAWN)] for some in _pieces(drawn)),
        ]

    def whole(self) -> list[list[list[bytes]]]:
        """Return all of the pane, in pieces; what was drawn is written with its lanes."""
        self.changes()
        own, lanes = self._lanes, self._lanes.used()
        lanes = lanes[(own["open_rows"][lanes] != 0) | (own["open_sum"][lanes] != 0)]
        for start in range(0, len(lanes), _PIECE):
            some = lanes[start : start + _PIECE]
            columns = (own[name][some] for name in _OPEN)
            self._sums.append((some, *columns))
        return self.changes()

    def restore(self, packed: Sequence[Sequence[bytes]]) -> None:
        """Add what `changes` or `whole` returned, a piece."""
        sums, drawn = (
            list(_read(part, kinds)) for part, kinds in zip(packed, (_PLAIN, _DRAWN), strict=True)
        )
        for name, column in zip(_OPEN, sums[1:], strict=True):
            np.add.at(self._lanes[name], sums[0], column)
        if len(drawn[0]):
            self._samples.add(*drawn)
            self._noted.append(drawn[0])

    def clear(self) -> None:
        """Forget what came: the pane is over."""
        self._noted += [lanes for lanes, *_ in self._drawn]
        self._sums, self._drawn = [], []

    def take_drawn(self) -> list[int]:
        """Return the lanes of which anything was drawn since this was last asked."""
        noted, self._noted = self._noted, []
        found: list[int] = np.unique(np.concatenate(noted)).tolist() if noted else []
        return found


def _pieces(parts: Sequence[Part]) -> Iterator[list[Part]]:
    """Yield parts together, as long as they are no more than a piece."""
    some: list[Part] = []
    size = 0
    for one in parts:
        if some and size + len(one[0]) > _PIECE:
            yield some
            some, size = [], 0
        some.append(one)
        size += len(one[0])
    if some:
        yield some


def _packed(parts: Sequence[Part], kinds: Sequence[str]) -> list[bytes]:
    if not parts:
        return [b""] * len(kinds)
    columns = (np.concatenate(own) for own in zip(*parts, strict=True))
    return [column.astype(kind).tobytes() for column, kind in zip(columns, kinds, strict=True)]


def _read(packed: Sequence[bytes], kinds: Sequence[str]) -> Iterator[Any]:
    for one, kind in zip(packed, kinds, strict=True):
        column = np.frombuffer(one, kind)
        yield column.astype(np.int64) if kind[1] == "i" else column.astype(kind[1:])
