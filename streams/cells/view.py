"""Windows put together from the cells of their panes: what families compute from.

All windows of a call are computed together, whatever their models are; every array has the
windows, or for families of features the windows and their features, as its first axis.
"""

from collections.abc import Mapping
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.cells.grid import Grid
from streams.cells.levels import Places
from streams.cells.prediction_cells import PredictionCells
from streams.cells.store import ROWS, Cells
from streams.families.error_rate import FAILED
from streams.families.family import Family, Reads, Scope
from streams.shown import FEATURES

Ints = NDArray[np.int64]
Rows = NDArray[np.int32]


class Judgements(NamedTuple):
    """What kind of model each window's is, see `streams.task.Judged`.

    Attributes
    ----------
    kind
        Place in `KINDS`.
    positive
        Code of the positive class's name.
    """

    kind: NDArray[np.int8]
    words: NDArray[np.bool_]
    positive: Ints


class Compared(NamedTuple):
    """What windows are compared with.

    Attributes
    ----------
    side
        Cells, some of which are baselines.
    whose, numbers
        Of every pane, the model in a segment, and its number; -1: there is none.
    owners
        The window that each is for; these do not fall.
    """

    side: PredictionCells
    whose: Ints
    numbers: Ints
    owners: Ints


class Windows:
    """Windows of subjects, of the same number of panes each.

    Parameters
    ----------
    subject, first
        Of every window, the number of its model in a segment, and of its first pane.
    panes
        How many panes each has.
    places
        Which panes these are, where some are of another length.
    compared
        What they are compared with; `None` for nothing.

    Attributes
    ----------
    merged
        Columns that are merged already, by family and name: several families read one.
    """

    def __init__(
        self,
        grid: Grid,
        subject: Ints,
        first: Ints,
        *,
        panes: int,
        judged: Judgements,
        places: Places | None = None,
        compared: Compared | None = None,
    ) -> None:
        self.grid, self.subject, self.first = grid, subject, first
        self.compared = compared
        self.panes, self.judged = panes, judged
        self._places = places
        self._rows: dict[int, tuple[Rows, Ints]] = {}
        self.merged: dict[tuple[str, str], Any] = {}

    def __len__(self) -> int:
        return len(self.subject)

    @property
    def model(self) -> Ints:
        """Of every window, the code of its model."""
        return self.grid.world.subjects.models[self.subject]

    def rows(self, side: Cells) -> tuple[Rows, Ints]:
        """Return the rows of the windows' cells, and of each the place of its window."""
        known = self._rows.get(id(side))
        if known is None:
            numbers, owners = self.places
            rows = side.find(self.subject[owners], numbers)
            there = np.flatnonzero(rows >= 0)
            known = self._rows[id(side)] = rows[there], owners[there]
        return known

    def lacking(self, family: Family) -> NDArray[np.bool_] | None:
        """Tell which windows have panes that lack what a family reads; `None` if there are none."""
        sides = [side for side in self.grid.sides if side.lacking]
        if not sides or not len(self):
            return None
        names = family.holders()
        numbers, owners = self.places
        buckets = self.grid.world.bucket_of[self.model][owners]
        found = [side.lacking.among(names, numbers=numbers, buckets=buckets) for side in sides]
        lacks = np.bincount(owners[np.logical_or.reduce(found)], minlength=len(self)) > 0
        return lacks if lacks.any() else None

    @cached_property
    def places(self) -> Places:
        """Which panes the windows have."""
        if self._places is not None:
            return self._places
        numbers = self.first[:, None] + np.arange(self.panes)
        return Places(numbers.ravel(), np.repeat(np.arange(len(self)), self.panes))

    @cached_property
    def predictions(self) -> Ints:
        """How many predictions every window has."""
        return self._counted(self.grid.predictions)

    @cached_property
    def answered(self) -> Ints:
        """How many of these are no requests that failed."""
        side = self.grid.predictions
        failed = side.table.columns.get(FAILED)
        if failed is None:
            return self.predictions
        found: Ints = failed.merged(*self.rows(side), len(self))[:, 0]
        return self.predictions - found

    @cached_property
    def labels(self) -> Ints:
        """How many labels took effect."""
        return self._counted(self.grid.outcomes)

    @cached_property
    def without_rows(self) -> NDArray[np.bool_] | None:
        """Tell which windows have readings of hosts and nothing else; `None` for none."""
        hosts = self.grid.resources
        if not hosts.table.live or not len(self.rows(hosts)[0]):
            return None
        found = np.zeros(len(self), np.bool_)
        found[self.rows(hosts)[1]] = True
        for side in (self.grid.predictions, self.grid.outcomes):
            found[self.rows(side)[1]] = False
        return found if found.any() else None

    def _counted(self, side: Cells) -> Ints:
        found: Ints = side.table.columns[ROWS].merged(*self.rows(side), len(self))[:, 0]
        return found

    def baseline_rows(self, family: Family) -> tuple[Rows, Ints] | None:
        """Return the cells that windows are compared with, and their windows; `None` for none."""
        if self.compared is None:
            return None
        side, whose, numbers, owners = self.compared
        rows = side.find(whose, numbers)
        there = rows >= 0
        if side.lacking:
            world = self.grid.world
            names = family.holders()
            buckets = world.bucket_of[world.subjects.models[whose]]
            lacks = side.lacking.among(names, numbers=numbers, buckets=buckets)
            there &= ~np.isin(owners, owners[lacks])
        return (rows[there], owners[there]) if there.any() else None

    @cached_property
    def units(self) -> tuple[Rows, Ints, Ints, Ints]:
        """Rows of features, the group of each; and of every group its window and its feature."""
        width = len(self.grid.world.features.texts)
        every, keys = _units(self.grid.predictions, *self.rows(self.grid.predictions), width)
        world = self.grid.world
        if world.only[FEATURES] and len(keys):
            kept = world.have_a_place(FEATURES, self.model[keys // width], keys % width)
            every, keys = every[kept], keys[kept]
        news = np.diff(keys, prepend=-1) != 0
        starts: Ints = keys[news]
        group: Ints = np.cumsum(news) - 1
        return every, group, starts // width, starts % width


def _units(side: PredictionCells, cells: Rows, window: Ints, width: int) -> tuple[Rows, Ints]:
    """Return rows of the features of cells, and window and feature of each, rising.

    Parameters
    ----------
    window
        Of every cell.
    width
        How many features there are.
    """
    rows, owners = [], []
    for layout, places, first in side.units_of(cells):
        size = len(side.layouts[layout])
        rows.append((first[:, None] + np.arange(size, dtype=np.int32)).ravel())
        owners.append(np.repeat(window[places], size))
    if not rows:
        return np.empty(0, np.int32), np.empty(0, np.int64)
    every: Rows = np.concatenate(rows)
    keys = np.concatenate(owners) * width + side.feature_of[every]
    order = np.argsort(keys, kind="stable")
    return every[order], keys[order]


class CellView:
    """What a family sees of windows; see the contract in `streams.families.family`."""

    def __init__(
        self, windows: Windows, family: Family, *, wanted: frozenset[str] | None = None
    ) -> None:
        self._windows, self._family, self._wanted = windows, family, wanted
        self._side: Cells = windows.grid.side(family.reads)
        self._of_features = family.scope is Scope.FEATURE
        self.names: list[str] = windows.grid.world.class_names.texts
        self._columns: Mapping[Any, Any]
        self.window: Ints | None
        self.feature: Ints | None
        if self._of_features:
            self._columns = windows.grid.predictions.units.columns
            self._rows, self._group, self.window, self.feature = windows.units
            self.groups = len(self.window)
        else:
            self._columns = self._side.table.columns
            self._rows, self._group = windows.rows(self._side)
            self.window, self.feature = None, None
            self.groups = len(windows)

    def _merged(self, name: str) -> Any:
        key, known = (self._family.holder(name), name), self._windows.merged
        if key not in known:
            known[key] = self._columns[key].merged(self._rows, self._group, self.groups)
        return known[key]

    counts = entries = sums = _merged

    def features(self, name: str) -> tuple[Ints, Ints, Ints]:
        """Return group, feature and number of values of what is in a sparse column of features."""
        rows, unit, window, feature = self._windows.units
        key, known = (self._family.holder(name), name), self._windows.merged
        if key not in known:
            column = self._windows.grid.predictions.units.columns[key]
            known[key] = column.merged(rows, unit, len(window))
        return window, feature, _values(known[key], len(window))

    def of_feature(self, name: str) -> "OtherView | None":
        """Return what windows have of a feature; `None` where none has it."""
        code = self._windows.grid.world.features.find(name)
        if code < 0:
            return None
        rows, unit, window, feature = self._windows.units
        own = feature[unit] == code
        if not own.any():
            return None
        columns = self._windows.grid.predictions.units.columns
        place = rows[own], window[unit[own]]
        return OtherView(self._family, columns, place, self._windows, len(self._windows))

    @cached_property
    def baseline(self) -> "OtherView | None":
        """The same columns of what every group is compared with; `None` where none has that."""
        compared, known = self._windows.compared, self._windows.baseline_rows(self._family)
        if compared is None or known is None or self._family.reads is not Reads.PREDICTIONS:
            return None
        side, columns = compared.side, compared.side.table.columns
        rows, found = known
        if self.window is not None and self.feature is not None:
            width = len(self.feature_names)
            rows, keys = _units(side, rows, found, width)
            own = self.window * width + self.feature
            found = np.minimum(np.searchsorted(own, keys), len(own) - 1)
            there = own[found] == keys
            rows, found = rows[there], found[there]
            columns = side.units.columns
        return OtherView(self._family, columns, (rows, found), self._windows, self.groups)

    def _of_groups(self, column: Any) -> Any:
        return column[self.window] if self._of_features else column

    @property
    def predictions(self) -> Ints:
        """How many predictions the window of every group has."""
        return self._of_groups(self._windows.predictions)  # type: ignore[no-any-return]

    @property
    def answered(self) -> Ints:
        """How many of these are no requests that failed."""
        return self._of_groups(self._windows.answered)  # type: ignore[no-any-return]

    @property
    def labels(self) -> Ints:
        """How many labels took effect in the window of every group."""
        return self._of_groups(self._windows.labels)  # type: ignore[no-any-return]

    @property
    def kind(self) -> NDArray[np.int8]:
        """What kind of model that of every group is."""
        return self._of_groups(self._windows.judged.kind)  # type: ignore[no-any-return]

    @property
    def words(self) -> NDArray[np.bool_]:
        """Whether it has a third class, beside which words stay words."""
        return self._of_groups(self._windows.judged.words)  # type: ignore[no-any-return]

    @property
    def positive(self) -> Ints:
        """Code of the name of its positive class."""
        return self._of_groups(self._windows.judged.positive)  # type: ignore[no-any-return]

    @property
    def feature_names(self) -> list[str]:
        """Names of features, by code."""
        return self._windows.grid.world.features.texts

    @property
    def two(self) -> Ints:
        """For every name, the code of what it is among two classes."""
        return self._windows.grid.world.class_names.two

    def classes(self, group: Ints, code: Ints) -> Ints:
        """Return codes of names for codes of classes within their model."""
        models = self._of_groups(self._windows.model)[group]
        return self._windows.grid.world.classes.name_codes(models, code)

    def wants(self, *metrics: str) -> bool:
        """Tell whether any of some metrics is asked for."""
        return self._wanted is None or not self._wanted.isdisjoint(metrics)


class OtherView:
    """What a family sees of baselines, or of one feature: groups are those of the windows."""

    def __init__(
        self,
        family: Family,
        columns: Mapping[Any, Any],
        rows: tuple[Rows, Ints],
        windows: Windows,
        groups: int,
    ) -> None:
        self._family, self._columns, self._rows = family, columns, rows
        self._windows, self.groups = windows, groups

    def _merged(self, name: str) -> Any:
        column = self._columns[self._family.holder(name), name]
        return column.merged(*self._rows, self.groups)

    counts = entries = sums = _merged

    def features(self, name: str) -> tuple[Ints, Ints, Ints]:
        """Return group, feature and number of values of what is in a sparse column of features."""
        side, world = self._windows.grid.predictions, self._windows.grid.world
        width = len(world.features.texts)
        rows, keys = _units(side, *self._rows, width)
        if world.only[FEATURES] and len(keys):
            kept = world.have_a_place(FEATURES, self._windows.model[keys // width], keys % width)
            rows, keys = rows[kept], keys[kept]
        units, places = np.unique(keys, return_inverse=True)
        column = side.units.columns[self._family.holder(name), name]
        merged = column.merged(rows, places, len(units))
        return units // width, units % width, _values(merged, len(units))


def _values(entries: tuple[Ints, Ints, Ints], groups: int) -> Ints:
    """Return how many values there are in all bins of each group."""
    return np.bincount(entries[0], entries[2], groups).astype(np.int64)
