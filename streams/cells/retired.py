"""Windows that a state has and the settings do not say any more: they end."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from streams.cells.book import Due, Pages
from streams.cells.grid import Grid
from streams.cells.judging import Judges
from streams.cells.metric_sets import MetricSets
from streams.cells.page_records import PageRecords
from streams.cells.publication import Publisher
from streams.cells.records import Name
from streams.cells.store import World
from streams.cells.withdrawn import keys_of
from streams.monitors import Window


class Ended(NamedTuple):
    """Windows that have ended.

    Attributes
    ----------
    deletions
        What deletes their records of the state.
    keys
        Code of the model, and key, of every metric that is not final.
    """

    deletions: list[tuple[tuple[Any, ...], None]]
    keys: list[tuple[int, bytes]]


class Retired:
    """Reads what is known of such windows, of any size.

    Parameters
    ----------
    names
        Of models and versions, by code; the list grows.
    """

    def __init__(self, sets: MetricSets, world: World, names: Sequence[Name]) -> None:
        self._sets, self._world, self._names = sets, world, names
        self._known: dict[Window, PageRecords] = {}

    @property
    def pages(self) -> list[Pages]:
        """All windows that were read."""
        return [known.pages for known in self._known.values()]

    def records(self, window: Window, *, pane_ms: int) -> PageRecords:
        """Return what reads records of windows of a size and hop."""
        if window not in self._known:
            pages = Pages(window, self._world, pane_ms=pane_ms)
            self._known[window] = PageRecords(pages, self._sets, self._names)
        return self._known[window]

    def end(self, grid: Grid, publisher: Publisher, judges: Judges) -> Iterator[Ended]:
        """Forget all; yield what deletes them, with the metrics that nobody revises any more."""
        for known in self._known.values():
            pages = known.pages
            for number, pane in pages.cells.members.items():
                for bucket in pane:
                    rows = pages.cells.rows_of(number, bucket)
                    open_rows = rows[~pages.final[rows] & (pages.published[rows] != 0)]
                    keys = keys_of(
                        Due(pages, open_rows),
                        self._sets,
                        grid=grid,
                        publisher=publisher,
                        judges=judges,
                    )
                    yield Ended(list(known.deletions(number, bucket)), list(keys))
        self._known.clear()
