"""What rules know, as records of the state topic."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from streams.cells.records import CellRecords, Name
from streams.rules.lengths import PACES, Pace
from streams.rules.watch import RuleWatch

_CELLS, _REFERENCE = "rule", "reference"
_COURSE, _FLOORS = "course", "floors"
KINDS = tuple(f"{pace.name}{kind}" for pace in PACES for kind in (_CELLS, _REFERENCE, _COURSE))
FLOORS = tuple(f"{pace.name}{_FLOORS}" for pace in PACES)
"""First part of the key of every record."""
OF_MODELS = tuple(f"{pace.name}{kind}" for pace in PACES for kind in (_COURSE, _FLOORS))
"""Those of one model alone."""

Key = tuple[Any, ...]
Place = tuple[int, int, int]


class RuleRecords:
    """Writes what rules of one pace know down, and reads it back.

    Parameters
    ----------
    names
        Of models and versions, by code; the list grows.
    """

    def __init__(self, watch: RuleWatch, names: Sequence[Name], *, pace: Pace) -> None:
        self._watch, self._names = watch, names
        kinds = (_CELLS, _REFERENCE, _COURSE, _FLOORS)
        self._cells_key, self._reference_key, self._course_key, self._floors_key = (
            f"{pace.name}{kind}" for kind in kinds
        )
        self._known: dict[tuple[int, int], CellRecords] = {}
        self._references = [CellRecords(side, names) for side in watch.references.grid.sides]

    def _cells(self, pane_ms: int, side: int) -> CellRecords:
        known = self._known.get((pane_ms, side))
        if known is None:
            cells = self._watch.grid(pane_ms).sides[side]
            known = self._known[pane_ms, side] = CellRecords(cells, self._names)
        return known

    def write(self, *, limit_bytes: int) -> Iterator[tuple[Key, Any]]:
        """Yield key and content of everything that has changed since."""
        for pane_ms, grid in self._watch.grids.items():
            for side in range(len(grid.sides)):
                for one in self._cells(pane_ms, side).write(limit_bytes=limit_bytes):
                    yield (self._cells_key, pane_ms, side, *one[:3]), one.content
        for side, records in enumerate(self._references):
            for one in records.write(limit_bytes=limit_bytes):
                yield (self._reference_key, side, *one[:3]), one.content
        for code in sorted(self._watch.changed):
            yield (self._course_key, *self._names[code]), self._watch.pack(code)
        self._watch.changed.clear()
        for code, floors in self._watch.floors.changes():
            yield (self._floors_key, *self._names[code]), floors

    def drop(self, pane_ms: int, numbers: Sequence[int]) -> Iterator[tuple[Key, None]]:
        """Forget panes of one length, all at once; yield what deletes their records."""
        for side in range(len(self._references)):
            cells = self._cells(pane_ms, side)
            members = cells.side.members
            places = [(number, bucket) for number in numbers for bucket in members.get(number, ())]
            for one in cells.drop_places(places):
                yield (self._cells_key, pane_ms, side, *one[:3]), None

    def drop_references(self) -> Iterator[tuple[Key, None]]:
        """Forget all references; yield what deletes their records."""
        for side, records in enumerate(self._references):
            for number in list(records.side.members):
                for one in records.drop(number):
                    yield (self._reference_key, side, *one[:3]), None

    def take_too_large(self) -> dict[int, tuple[str, int]]:
        """Return models with a cell that did not fit into a record: what it counts, its size."""
        found: dict[int, tuple[str, int]] = {}
        for kind, every in (
            (self._cells_key, self._known.values()),
            (self._reference_key, self._references),
        ):
            for records in every:
                for model, size in records.too_large.items():
                    found.setdefault(model, (kind, size))
                records.too_large.clear()
        return found

    # ------------------------------------------------------------------ reading back
    def fold(self, key: Sequence[Any], content: Any, code_of: Callable[[Name], int]) -> set[str]:
        """Fold a record; return the families in it of a version that is not known."""
        kind, *place = key
        if kind == self._course_key:
            if content is not None:
                self._watch.restore(code_of((place[0], place[1])), content)
            return set()
        if kind == self._floors_key:
            if content is not None:
                self._watch.floors.restore(code_of((place[0], place[1])), content)
            return set()
        records, where = self._records(kind, place)
        if content is None:
            records.delete(*where)
            return set()
        return records.restore(where, content, code_of)

    def lose(self, key: Sequence[Any]) -> None:
        """Note that a record cannot be read: where there were cells, nothing is known."""
        kind, *place = key
        if kind in (self._cells_key, self._reference_key):
            records, where = self._records(kind, place)
            records.lose(where)

    def _records(self, kind: str, place: Sequence[Any]) -> tuple[CellRecords, Place]:
        """Return what a record of cells is of, and where among these it is."""
        if kind == self._cells_key:
            pane_ms, side, number, bucket, part = place
            return self._cells(pane_ms, side), (number, bucket, part)
        side, number, bucket, part = place
        return self._references[side], (number, bucket, part)
