"""Cells of one kind of rows: found by subject and pane, dropped by pane, bucket and model.

A cell is a model in a segment (a subject) and a pane. What columns a cell has is what families
declare, and how many rows were counted.
"""

from collections.abc import Collection, Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streams.cells.lacking import Lacking
from streams.cells.names import Classes, ClassNames, Subjects, Texts, grown
from streams.columns import Column, Table, counts_column, sparse_column, sums_column, totals_column
from streams.families.family import Counts, Family, Sparse, Totals
from streams.grouping import distinct
from streams.shown import FEATURES, SEGMENTS

Ints = NDArray[np.int64]

PANE_BITS = 41
BUCKET_BITS = 9
ROWS = ("", "rows")
"""Name of the column that every cell has: how many rows were counted, by their weights."""

NONE = -1
_NONE: dict[int, list[NDArray[np.int32]]] = {}


class World:
    """The names that all grids of a partition share, and where their models are kept.

    Attributes
    ----------
    bucket_of
        By the code of a model.
    only
        Of models with too many features, and with too many segments, codes of those that have a
        place, rising; see `streams.places`.
    """

    def __init__(self) -> None:
        self.subjects = Subjects()
        self.class_names = ClassNames()
        self.classes = Classes(self.class_names)
        self.features = Texts()
        self.keys = Texts()
        self.bucket_of = np.empty(0, np.int64)
        self.only: dict[int, dict[int, Ints]] = {FEATURES: {}, SEGMENTS: {}}

    def add_model(self, code: int, *, bucket: int) -> None:
        """Add the next model."""
        self.bucket_of = grown(self.bucket_of, code + 1)
        self.bucket_of[code] = bucket

    def key_codes(self, segments: Ints) -> Ints:
        """Return the codes of the keys of segments, by the codes of their names."""
        different, places = np.unique(segments, return_inverse=True)
        texts = self.subjects.names.texts
        keys = self.keys.codes(texts[code].partition("=")[0] for code in different.tolist())
        found: Ints = keys[places]
        return found

    def leave_out(self, kind: int, model: int, names: Sequence[str]) -> None:
        """Let a model have only these features or segments, beside the whole of it."""
        texts = self.features if kind == FEATURES else self.subjects.names
        self.only[kind][model] = np.sort(texts.codes([*names, ""]))

    def have_a_place(self, kind: int, models: Ints, codes: Ints) -> NDArray[np.bool_]:
        """Tell of features or segments of models whether they have a place."""
        kept, known = np.ones(len(models), np.bool_), self.only[kind]
        for model in known.keys() & set(np.unique(models).tolist()) if known else ():
            own = models == model
            kept[own] = np.isin(codes[own], known[model])
        return kept


class Cells:
    """Cells of one kind of rows, and which of them belong to a pane and bucket.

    Attributes
    ----------
    members
        Rows of the table, by number of the pane, then by bucket.
    dirty
        Panes and buckets that are not written down as they are.
    lacking
        Families that cells lack.
    """

    def __init__(self, families: Sequence[Family], world: World) -> None:
        self.families, self.world = families, world
        self.table = Table({ROWS: counts_column(), **columns_of(families)})
        self.members: dict[int, dict[int, list[NDArray[np.int32]]]] = {}
        self.dirty: set[tuple[int, int]] = set()
        self.lacking = Lacking()

    def lack(self, number: int, bucket: int, names: Iterable[str]) -> None:
        """Note what families a pane and bucket lacks, which may have no cell."""
        self.lacking.add((number, bucket), names)
        if self.lacking.of((number, bucket)):
            self.members.setdefault(number, {}).setdefault(bucket, [])

    def find(self, subjects: Ints, numbers: Ints, *, add: bool = False) -> NDArray[np.int32]:
        """Return the rows of cells, -1 where there is none; new ones if need be."""
        keys = np.where(numbers >= 0, subjects << PANE_BITS | numbers, NONE)
        rows, fresh = self.table.find(keys, add=add)
        if len(fresh):
            keys = self.table.key[fresh]
            buckets = self.world.bucket_of[self.world.subjects.models[keys >> PANE_BITS]]
            places = (keys & ((1 << PANE_BITS) - 1)) << BUCKET_BITS | buckets
            order = np.argsort(places, kind="stable")
            values, starts = np.unique(places[order], return_index=True)
            fresh, bounds = fresh[order], [*starts.tolist(), len(fresh)]
            for place, (start, end) in zip(values.tolist(), pairwise(bounds), strict=True):
                pane = self.members.setdefault(place >> BUCKET_BITS, {})
                pane.setdefault(place & ((1 << BUCKET_BITS) - 1), []).append(fresh[start:end])
        return rows

    def touch(self, models: NDArray[np.integer], numbers: Ints) -> list[tuple[int, int]]:
        """Note that cells of these models and panes change; return these panes and buckets."""
        if not len(models):
            return []
        places, _ = distinct(numbers << BUCKET_BITS | self.world.bucket_of[models])
        low = (1 << BUCKET_BITS) - 1
        found = [(place >> BUCKET_BITS, place & low) for place in places.tolist()]
        self.dirty.update(found)
        return found

    def rows_of(self, number: int, bucket: int) -> NDArray[np.int32]:
        """Return the rows of a pane and bucket."""
        return self.rows_at([(number, bucket)])

    def rows_by(self, places: Sequence[tuple[int, int]]) -> tuple[NDArray[np.int32], Ints]:
        """Return the rows of panes and buckets, and where those of each begin."""
        sizes, every = [0], list[NDArray[np.int32]]()
        for number, bucket in places:
            parts = self.members.get(number, _NONE).get(bucket, [])
            if len(parts) > 1:  # a step that finds new cells adds a part, and most steps look here
                parts[:] = [np.concatenate(parts)]
            every += parts
            sizes.append(len(parts[0]) if parts else 0)
        rows = np.concatenate(every) if every else np.empty(0, np.int32)
        return rows, np.cumsum(np.array(sizes, np.int64))

    def every_row(self) -> NDArray[np.int32]:
        """Return the rows of all cells."""
        parts = [r for pane in self.members.values() for found in pane.values() for r in found]
        return np.concatenate(parts) if parts else np.empty(0, np.int32)

    def drop_bucket(self, number: int, bucket: int) -> None:
        """Forget the cells of a pane and bucket."""
        self.drop_places([(number, bucket)])

    def drop_places(self, places: Sequence[tuple[int, int]]) -> None:
        """Forget the cells of panes and buckets.

        All at once: to drop a few rows costs about as much as to drop hundreds.
        """
        rows = self.rows_at(places)
        if len(rows):
            self.before_drop(rows)
            self.table.drop(self.table.key[rows])
        self.dirty.difference_update(places)
        for number, bucket in places:
            self.lacking.drop((number, bucket))
            pane = self.members.get(number, {})
            pane.pop(bucket, None)
            if not pane:
                self.members.pop(number, None)

    def gather(self, places: Sequence[tuple[int, int]], number: int, bucket: int) -> int:
        """Add cells of panes of a bucket to those of another; return how many were added."""
        rows = self.rows_at(places)
        for place in places if self.lacking else ():
            self.lack(number, bucket, self.lacking.of(place))
        if self.lacking.of((number, bucket)):
            self.dirty.add((number, bucket))
        if not len(rows):
            return 0
        subjects = self.table.key[rows] >> PANE_BITS
        target = self.find(subjects, np.full(len(rows), number), add=True)
        self.merge(target, self, rows)
        self.dirty.add((number, bucket))
        return len(rows)

    def rows_at(self, places: Sequence[tuple[int, int]]) -> NDArray[np.int32]:
        """Return the rows of panes and buckets."""
        parts = [rows for n, bucket in places for rows in self.members.get(n, {}).get(bucket, [])]
        return np.concatenate(parts) if parts else np.empty(0, np.int32)

    def drop_models(self, models: Collection[int], *, first: int = 0) -> NDArray[np.int32]:
        """Forget all cells of models; return their rows, which are of no cell now.

        Parameters
        ----------
        first
            Cells of panes with smaller numbers stay.
        """
        codes = np.array(list(models), np.int64)
        rows = self.rows_in(set(self.world.bucket_of[codes].tolist()))
        keys = self.table.key[rows]
        own = np.isin(self.world.subjects.models[keys >> PANE_BITS], codes)
        rows = rows[own & (keys & ((1 << PANE_BITS) - 1) >= first)]
        if not len(rows):
            return rows
        keys = self.table.key[rows]
        places = self.touch(
            self.world.subjects.models[keys >> PANE_BITS], keys & ((1 << PANE_BITS) - 1)
        )
        self.before_drop(rows)
        self.table.drop(keys)
        gone = np.zeros(len(self.table.key), np.bool_)
        gone[rows] = True
        for number, bucket in places:
            pane = self.members[number]
            pane[bucket] = [own[~gone[own]] for own in pane[bucket]]
        return rows

    def rows_in(self, buckets: Collection[int]) -> NDArray[np.int32]:
        """Return the rows of some buckets in all panes."""
        parts = [r for pane in self.members.values() for b in buckets for r in pane.get(b, ())]
        return np.concatenate(parts) if parts else np.empty(0, np.int32)

    def before_drop(self, rows: NDArray[np.int32]) -> None:
        """Forget what hangs on cells."""

    def counted(self, rows: NDArray[np.int32]) -> Ints:
        """Return how many rows were counted in cells, by their weights."""
        places = np.arange(len(rows))
        found: Ints = self.table.columns[ROWS].merged(rows, places, len(rows))[:, 0]
        return found

    def merge(self, rows: NDArray[np.int32], other: "Cells", others: NDArray[np.int32]) -> None:
        """Add cells of another table to cells of this, which lack from then on what those lack."""
        self.table.merge(rows, other.table, others)
        if other.lacking:
            places = zip(self._places(rows), other._places(others), strict=True)
            for place, whence in set(places):
                self.lack(*place, other.lacking.of(whence))

    def _places(self, rows: NDArray[np.int32]) -> list[tuple[int, int]]:
        """Return pane and bucket of cells."""
        keys = self.table.key[rows]
        buckets = self.world.bucket_of[self.world.subjects.models[keys >> PANE_BITS]]
        return list(zip((keys & ((1 << PANE_BITS) - 1)).tolist(), buckets.tolist(), strict=True))


def columns_of(families: Sequence[Family]) -> dict[tuple[str, str], Column]:
    """Return what families declare, as columns without any rows."""
    return {
        (family.name, name): _column(declared)
        for family in families
        for name, declared in family.columns.items()
    }


def _column(declared: Any) -> Column:
    if isinstance(declared, Counts):
        return counts_column(declared.width)
    if isinstance(declared, Totals):
        return totals_column(declared.width)
    return sparse_column() if isinstance(declared, Sparse) else sums_column()
