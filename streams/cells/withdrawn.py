"""Keys of what was published of windows that are gone: whoever reads the topic must lose them."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from streams.cells.book import Due
from streams.cells.view import Windows

if TYPE_CHECKING:
    from streams.cells.grid import Grid
    from streams.cells.judging import Judges
    from streams.cells.metric_sets import MetricSets
    from streams.cells.publication import Publisher
    from streams.cells.windows import WindowCells


def keys_of(
    due: Due, sets: MetricSets, *, grid: Grid, publisher: Publisher, judges: Judges
) -> Iterator[tuple[int, bytes]]:
    """Yield code of the model, and key, of every metric that was published of windows."""
    pages, rows = due
    models = grid.world.subjects.models[due.subject]
    windows = Windows(grid, due.subject, due.first, panes=pages.panes, judged=judges.newest(models))
    for place, model in enumerate(models.tolist()):
        for name in sets.names_of(int(pages.published[rows[place]])):
            yield model, publisher.key(windows, place, name, pane_ms=pages.pane_ms)


def published_keys(windows: WindowCells, models: Collection[int], *, clock_ms: int) -> list[bytes]:
    """Return the keys of all that was published of models, as far as that is known for sure.

    Windows that ended long ago are forgotten by and by, as steps come to it: of which of them
    something is still known depends on how the stream is cut, so none of them is among these.
    """
    after_ms = clock_ms - windows.windowing.keep_ms
    found = []
    for pages in windows.pages:
        rows = pages.published_rows(models, after_ms=after_ms)
        if len(rows):
            every = keys_of(
                Due(pages, rows),
                windows.sets,
                grid=windows.grid,
                publisher=windows.publisher,
                judges=windows.judges,
            )
            found += [key for _, key in every]
    return found
