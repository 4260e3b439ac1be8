"""Finished panes become coarser ones: hours, later days, and hours of the week.

A pane is finished once no row can come into it any more and every window that needs it is final
and published. An hour is merged when all its panes are finished, a bucket of models after the
other, and never again: its record is written once, in the transaction that deletes those of its
panes. Days are merged from hours in the same way.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from streams.cells.grid import Grid
from streams.cells.levels import (
    BASELINES,
    DAYS,
    HOURS,
    Level,
    Places,
    between,
    fine,
    hour_of_week,
    hours_of_week,
    pane_end_ms,
)
from streams.cells.records import CellRecords, Written
from streams.outcomes import Ints


class Finished(NamedTuple):
    """Until when panes of each length are not needed as such any more.

    Attributes
    ----------
    hours_of_week
        Whether these are added up.
    """

    panes_ms: int
    hours_ms: int
    days_ms: int
    hours_of_week: bool


class _Unit(NamedTuple):
    """Panes of a bucket that are merged into one."""

    into: int
    bucket: int
    numbers: list[int]


class CoarsePanes:
    """Merges the panes of a grid.

    Parameters
    ----------
    records
        Of its cells, by kind.

    Attributes
    ----------
    behind
        Whether the last call left something to be merged.
    """

    def __init__(self, grid: Grid, records: Sequence[tuple[str, CellRecords]]) -> None:
        self._grid, self._records = grid, records
        self.behind = False

    @property
    def numbers(self) -> dict[int, Any]:
        """Numbers of all panes that there are."""
        first, *others = (side.members for side in self._grid.sides)
        if all(other.keys() <= first.keys() for other in others):
            return first
        return dict.fromkeys(number for members in (first, *others) for number in members)

    def places(self, starts_ms: Ints, ends_ms: Ints, *, pane_ms: int) -> Places | None:
        """Return the panes of spans of time, see `streams.cells.levels.between`."""
        return between(starts_ms, ends_ms, pane_ms=pane_ms, numbers=self.numbers)

    def merge(
        self, finished: Finished, *, pane_ms: int, most: int
    ) -> Iterator[tuple[tuple[Any, ...], None]]:
        """Merge panes, and forget the oldest; yield what deletes their records.

        Parameters
        ----------
        most
            No more than about so many cells are merged.
        """
        self.behind, left = False, most
        for unit in self._due(finished, pane_ms):
            if left <= 0:
                self.behind = True
                return
            left -= sum(self._gathered(unit, finished))
            places = [(number, unit.bucket) for number in unit.numbers]
            for kind, records in self._records:
                yield from deletions(kind, records.drop_places(places))
        for number in self._outlived(finished):
            for kind, records in self._records:
                yield from deletions(kind, records.drop(number))

    def _gathered(self, unit: _Unit, finished: Finished) -> Iterator[int]:
        """Add up the panes of a unit; yield how many cells these are."""
        for side in self._grid.sides:
            if finished.hours_of_week and unit.into >= DAYS.first:
                for number in unit.numbers:
                    into = hour_of_week(number - HOURS.first)
                    side.gather([(number, unit.bucket)], into, unit.bucket)
            places = [(number, unit.bucket) for number in unit.numbers]
            yield side.gather(places, unit.into, unit.bucket)

    def _due(self, finished: Finished, pane_ms: int) -> Iterator[_Unit]:
        """Yield what can be merged, the oldest first; what is merged meanwhile is gone."""
        yield from self._units(fine(pane_ms), HOURS, until_ms=finished.panes_ms)
        yield from self._units(HOURS, DAYS, until_ms=finished.hours_ms)

    def _units(self, level: Level, target: Level, *, until_ms: int) -> Iterator[_Unit]:
        before = until_ms // target.length_ms
        share = target.length_ms // level.length_ms
        due = [own for own in level.known(self.numbers) if own // share < before]
        for into, found in groupby(due, lambda own: own // share):
            numbers = [own + level.first for own in found]
            for bucket in self._buckets(numbers):
                yield _Unit(into + target.first, bucket, numbers)

    def _buckets(self, numbers: Iterable[int]) -> list[int]:
        members = [side.members.get(n, {}) for side in self._grid.sides for n in numbers]
        return sorted({bucket for pane in members for bucket in pane})

    def _outlived(self, finished: Finished) -> list[int]:
        """Return days that nobody needs any more, and hours of the week of five such weeks."""
        days = DAYS.known(self.numbers)
        found = [own + DAYS.first for own in days if (own + 1) * DAYS.length_ms <= finished.days_ms]
        weeks = hours_of_week(self.numbers)
        return found + [number for number, end_ms in weeks if end_ms <= finished.days_ms]


def deletions(kind: str, written: Iterable[Written]) -> Iterator[tuple[tuple[Any, ...], None]]:
    """Yield what deletes records of a kind."""
    for one in written:
        yield (kind, *one[:3]), None


def lacking_ms(grid: Grid, *, pane_ms: int) -> dict[str, int]:
    """Return the families that panes lack, and when the last pane ends that lacks each."""
    last: dict[str, int] = {}
    for side in grid.sides:
        for name, number in side.lacking:
            if number >= BASELINES.first:
                continue
            ends_ms = pane_end_ms(number, pane_ms=pane_ms)
            last[name] = max(ends_ms, last.get(name, ends_ms))
    return last
