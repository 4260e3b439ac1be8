"""What open alerts of rules rest on, as records of the state topic."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from streams.cells.records import CellRecords, Name
from streams.rules.grounds import Grounds

CELLS, OPENED = "ground", "opened"
GROUNDS = CELLS, OPENED
"""First part of the key of every record."""


class GroundRecords:
    """Writes down what open alerts rest on, and reads it back.

    Parameters
    ----------
    names
        Of models and versions, by code; the list grows.
    """

    def __init__(self, grounds: Grounds, names: Sequence[Name]) -> None:
        self._grounds, self._names = grounds, names
        self._sides = [CellRecords(side, names) for side in grounds.grid.sides]

    def write(self, *, limit_bytes: int) -> Iterator[tuple[tuple[Any, ...], Any]]:
        """Yield key and content of everything that has changed since."""
        gone, self._grounds.gone = self._grounds.gone, []
        for side, records in enumerate(self._sides):
            for one in records.drop_places(gone):
                yield (CELLS, side, *one[:3]), None
            for one in records.write(limit_bytes=limit_bytes):
                yield (CELLS, side, *one[:3]), one.content
        for code, content in self._grounds.changes():
            yield (OPENED, *self._names[code]), content

    def take_too_large(self) -> dict[int, tuple[str, int]]:
        """Return models with a cell that did not fit into a record: what it counts, its size."""
        found: dict[int, tuple[str, int]] = {}
        for records in self._sides:
            found |= {model: (CELLS, size) for model, size in records.too_large.items()}
            records.too_large.clear()
        return found

    # ------------------------------------------------------------------ reading back
    def fold(self, key: Sequence[Any], content: Any, code_of: Callable[[Name], int]) -> set[str]:
        """Fold a record; return the families in it of a version that is not known."""
        kind, *place = key
        if kind == OPENED:
            if content is not None:
                self._grounds.restore(code_of((place[0], place[1])), content)
            return set()
        side, number, bucket, part = place
        self._grounds.number_is_taken(number)
        if content is None:
            self._sides[side].delete(number, bucket, part)
            return set()
        records: CellRecords = self._sides[side]
        return records.restore((number, bucket, part), content, code_of)

    def lose(self, key: Sequence[Any]) -> None:
        """Note that a record cannot be read: of such a window nothing can be said."""
        kind, *place = key
        if kind == CELLS:
            side, number, bucket, part = place
            self._sides[side].lose((number, bucket, part))
