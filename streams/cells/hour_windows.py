"""Whole models in an hour, as windows that no metric is published of."""

import numpy as np

from streams import families
from streams.cells.hours import hour_ms
from streams.cells.view import CellView, Windows
from streams.cells.windows import WindowCells
from streams.families.classification import Classification, pairs_of
from streams.families.distribution import Distribution
from streams.families.family import Family, labelled
from streams.families.histograms import group_sums
from streams.models_told import CATEGORY, NUMBER, TEXT
from streams.outcomes import Ints

ENOUGH = 30
"""Of an hour with fewer predictions, nothing is told."""

_MOST_CATEGORIES = 100
_FEW = 20


def hour_windows(cells: WindowCells, models: Ints, from_ms: int, *, final: bool) -> Windows:
    """Return the hour that begins then, of whole models with enough predictions.

    Parameters
    ----------
    final
        Whether what they are judged to be is that of when labels were complete.
    """
    way, world = cells.windowing, cells.grid.world
    pane_ms = way.pane_ms
    span_ms = hour_ms(pane_ms)
    subject = world.subjects.of(models, world.subjects.names.code(""))
    starts_ms = np.full(len(subject), from_ms)
    at_ms = from_ms + span_ms + (way.horizon_ms if final else 0)
    found = Windows(
        cells.grid,
        subject,
        starts_ms // pane_ms,
        panes=span_ms // pane_ms,
        judged=cells.judges.at(models, np.full(len(models), at_ms)),
        places=cells.coarse.places(starts_ms, starts_ms + span_ms, pane_ms=pane_ms),
        compared=cells.baselines.of(subject, starts_ms),
    )
    enough = found.predictions >= ENOUGH
    return found if enough.all() else hour_windows(cells, models[enough], from_ms, final=final)


def view_of(windows: Windows, of: type[Family], column: str) -> CellView | None:
    """Return what a family sees of windows; `None` where it is not counted."""
    family, name = _FAMILIES[of.name], of.name
    side = windows.grid.side(family.reads)
    columns = [side.table.columns]
    if side is windows.grid.predictions:
        columns.append(windows.grid.predictions.units.columns)
    if not any((name, column) in one for one in columns):
        return None
    view = CellView(windows, family)
    return view if view.groups else None


_FAMILIES: dict[str, Family] = {one.name: one for one in families.CATALOGUE.families}


def kinds_of(windows: Windows) -> dict[int, dict[str, str]]:
    """Return the kinds of features, by the code of their model."""
    view = view_of(windows, Distribution, "bins")
    found: dict[int, dict[str, str]] = {}
    if view is None or view.window is None or view.feature is None:
        return found
    (of_numbers, _, numbers), (of_texts, _, texts) = view.entries("bins"), view.entries("texts")
    many = group_sums(of_numbers, numbers, view.groups).tolist()
    words = group_sums(of_texts, texts, view.groups).tolist()
    distinct = np.bincount(of_texts[texts > 0], minlength=view.groups).tolist()
    models = windows.model[view.window].tolist()
    for place, feature in enumerate(view.feature.tolist()):
        kind = kind_of(many[place], words[place], distinct=distinct[place])
        if kind is not None:
            found.setdefault(models[place], {})[view.feature_names[feature]] = kind
    return found


def kind_of(numbers: int, texts: int, *, distinct: int) -> str | None:
    """Return the kind of a feature with so many numbers, texts, and different texts.

    Examples
    --------
    >>> [kind_of(90, 10, distinct=5), kind_of(0, 500, distinct=40), kind_of(0, 50, distinct=49)]
    ['number', 'category', 'text']
    """
    if numbers > texts:
        return NUMBER
    if not texts:
        return None
    varied = distinct > _FEW and 2 * distinct > texts
    return TEXT if varied or distinct > _MOST_CATEGORIES else CATEGORY


def classes_of(windows: Windows) -> dict[int, list[str]]:
    """Return names of classes that were predicted or true, by the code of their model."""
    view = view_of(windows, Classification, "confusion")
    found: dict[int, list[str]] = {}
    if view is None:
        return found
    pairs = pairs_of(view, labelled(view, "multiclass"))
    there = pairs.counts > 0
    for side in (pairs.predicted[there], pairs.true[there]):
        for window, code in {*zip(pairs.group[there].tolist(), side.tolist(), strict=True)}:
            found.setdefault(int(windows.model[window]), []).append(view.names[code])
    return found
