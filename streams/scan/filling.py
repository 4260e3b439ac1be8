"""The pane that is being filled: what rows add to the sums of lanes, in any order.

What came since it was last asked is handed out to be written down, so that a step writes as much
as it has taken, however many lanes there are.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.categories import CATEGORIES
from streams.grouping import distinct
from streams.scan.inputs import BY_NAME, UNSEEN, Input, Ranked
from streams.scan.lanes import Floats, Ints, Lanes, Mask
from streams.scan.panes import KEPT_HOURS, UNIT
from streams.scan.ranks import Hashes, Tables, mixed
from streams.scan.samples import Samples
from streams.scan.sets import Sets

_PLAIN = "<i4", "<i8", "<i8", "<f8"
_DRAWN = "<i4", "<u8", "<f8"
_EARLIER = "<i4", "<i8", "<i8"
_KINDS = _PLAIN, _DRAWN, _EARLIER
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
        Gives the lanes of numbers of models that have none, or -1 where nobody looks at it.
    tally
        Counts rows of a name of a model's number that has no lane.
    """

    def __init__(
        self,
        lanes: Lanes,
        samples: Samples,
        tables: Tables,
        sets: Sets,
        *,
        begin: Callable[[Ints, int, str], Ints],
        tally: Callable[[int, int, str, int], None],
    ) -> None:
        self._lanes, self._samples, self._tables, self._begin = lanes, samples, tables, begin
        self._tally, self._sets = tally, sets
        self._sums: list[Part] = []
        self._drawn: list[Part] = []
        self._earlier: list[Part] = []
        self._said = 0
        self._noted: list[Ints] = []

    def lanes_of(self, one: Input, name: str, groups: Ints) -> Ints:
        """Return the lanes of an input of models; new ones begin."""
        place = BY_NAME[one.name]
        found = self._lanes.find(place, name, groups)
        new = found < 0
        if new.any():
            found[new] = self._begin(groups[new], place, name)
        return found

    def named(self, one: Input, name: str, groups: Ints, counts: Ints) -> Ints:
        """Return the lanes of a name of models; where it has none, its rows are counted."""
        place = BY_NAME[one.name]
        found = self._lanes.find(place, name, groups)
        for at in np.flatnonzero(found < 0).tolist():
            self._tally(int(groups[at]), place, name, int(counts[at]))
        return found

    def known(self, one: Input, name: str, groups: Ints) -> Ints:
        """Return the lanes of an input of models, -1 where there are none; none begin."""
        return self._lanes.find(BY_NAME[one.name], name, groups)

    def is_final(self, one: Input, name: str, groups: Ints) -> Mask:
        """Tell of which models what an input goes by is there for good."""
        lanes = self.known(one, name, groups)
        found: Mask = (lanes >= 0) & (self._lanes["final"][lanes] == 1)
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

    def add_to_hours(self, lanes: Ints, hours: Ints, counts: Ints) -> None:
        """Add to hours before the one under way, once the pane is over; -1 is nobody's."""
        some = lanes >= 0
        if some.any():
            self._earlier.append((lanes[some], hours[some], counts[some]))

    def forget(self, lane: int) -> None:
        """Forget what is to be added to a lane once the pane is over."""
        kept = ((one, one[0] != lane) for one in self._earlier)
        self._earlier = [tuple(column[some] for column in one) for one, some in kept]

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

    def add_categories(self, one: Input, name: str, given: Numbers) -> None:
        """Add hashes of texts, -1 for what is none; a first day's are known from then on."""
        lanes = self.lanes_of(one, name, given.groups)
        given = given.kept((lanes >= 0)[given.runs])
        lanes = lanes[lanes >= 0]
        if not len(lanes):
            return
        keys, places = distinct(given.runs * (CATEGORIES + 1) + given.values.astype(np.int64) + 1)
        own, codes = lanes[keys // (CATEGORIES + 1)], keys % (CATEGORIES + 1) - 1
        final, texts = self._lanes["final"][own] == 1, codes >= 0
        learning = ~final & texts
        if learning.any():
            new = self._sets.add(own[learning], codes[learning])
            drawn = own[learning][new], codes[learning][new].astype(np.uint64), np.zeros(new.sum())
            self._drawn.append(drawn)
        unseen = final & ~(texts & self._sets.have(own, np.maximum(codes, 0)))
        counts = np.bincount(given.runs, weights=unseen[places], minlength=len(lanes))
        rows = np.bincount(given.runs, minlength=len(lanes))
        self.add(lanes, rows, counts.astype(np.int64) * UNIT)

    def _draw(self, lanes: Ints, hashes: Hashes, values: Floats) -> None:
        taken = self._samples.add(lanes, hashes, values)
        if taken.any():
            self._drawn.append((lanes[taken], hashes[taken], values[taken]))

    # ------------------------------------------------------------------ written down
    def changes(self) -> list[list[list[bytes]]]:
        """Return what came since this was last asked, in pieces."""
        sums, drawn, earlier = self._sums, self._drawn, self._earlier[self._said :]
        self._sums, self._drawn, self._said = [], [], len(self._earlier)
        self._noted += [lanes for lanes, *_ in drawn]
        found = []
        for place, parts in enumerate((sums, drawn, earlier)):
            for some in _pieces(parts):
                empty = [_packed([], kinds) for kinds in _KINDS]
                empty[place] = _packed(some, _KINDS[place])
                found.append(empty)
        return found

    def whole(self) -> list[list[list[bytes]]]:
        """Return all of the pane, in pieces; what was drawn is written with its lanes."""
        self.changes()
        self._said = 0
        own, lanes = self._lanes, self._lanes.used()
        lanes = lanes[(own["open_rows"][lanes] != 0) | (own["open_sum"][lanes] != 0)]
        for start in range(0, len(lanes), _PIECE):
            some = lanes[start : start + _PIECE]
            columns = (own[name][some] for name in _OPEN)
            self._sums.append((some, *columns))
        return self.changes()

    def restore(self, packed: Sequence[Sequence[bytes]]) -> None:
        """Add what `changes` or `whole` returned, a piece."""
        sums, drawn, *earlier = (
            list(_read(part, kinds)) for part, kinds in zip(packed, _KINDS, strict=False)
        )
        if earlier and len(earlier[0][0]):
            self._earlier.append(tuple(earlier[0]))
            self._said = len(self._earlier)
        for name, column in zip(_OPEN, sums[1:], strict=True):
            np.add.at(self._lanes[name], sums[0], column)
        if len(drawn[0]):
            of_sets = self._lanes["place"][drawn[0]] == BY_NAME[UNSEEN.name]
            self._sets.add(drawn[0][of_sets], drawn[1][of_sets].astype(np.int64))
            self._samples.add(*(column[~of_sets] for column in drawn))
            self._noted.append(drawn[0])

    def clear(self) -> None:
        """Forget what came: the pane is over."""
        self._noted += [lanes for lanes, *_ in self._drawn]
        self._sums, self._drawn, self._earlier, self._said = [], [], [], 0

    def take_earlier(self) -> list[tuple[int, int]]:
        """Add to hours that are over; return of which lanes and hours."""
        if not self._earlier:
            return []
        lanes, hours, counts = (np.concatenate(own) for own in zip(*self._earlier, strict=True))
        some = self._lanes["used"][lanes]
        slots = hours[some] % KEPT_HOURS
        np.add.at(self._lanes["hour_sum"], (slots, lanes[some]), counts[some])
        return list(zip(lanes[some].tolist(), slots.tolist(), strict=True))

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
