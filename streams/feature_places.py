"""Which features of a model have a place, where it has sent more than it may have.

The first of them in event time have, by name among those of one moment. At the first boundary of
panes after one more was sent, all rows before which were taken in order, these are known for good:
from then on others are left out of what is counted, of detectors and of rules. Until then all are
counted, since which come first may still change; windows that were counted in part before are
published without those that have got no place. What was sent when is known by model and life, see
`streams.shown`: nothing of it depends on partitions, batches or workers.

Most rows show nothing new: these are told in columns, by model and layout, and not looked at.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.cells.names import grown
from streams.columns.index import Index
from streams.events import ABSENT
from streams.features import Block
from streams.outcomes import Ints
from streams.shown import NEVER_MS, Shown
from streams.tables import Table

Mask = NDArray[np.bool_]

_LAYOUT_BITS = 24
_MOST_PAIRS = 1 << 18
"""With more models and layouts it is forgotten which rows show nothing new."""


class Full(NamedTuple):
    """Of a model with too many features, from when on, and which have a place."""

    from_ms: int
    names: frozenset[str]


class Filled(NamedTuple):
    """When features of which model begin to be left out."""

    from_ms: int
    model: int


class FeaturePlaces:
    """Features of the models of a partition.

    Attributes
    ----------
    full
        Models with too many features, as far as it is known.
    in_effect
        Those of them of which others are left out.
    """

    def __init__(self) -> None:
        self.full: dict[int, Full] = {}
        self.in_effect: set[int] = set()
        self._pairs = Index()
        self._newest_ms = np.empty(0, np.int64)
        self._layouts: dict[tuple[str, ...], int] = {}
        self._own: dict[int, list[int]] = {}

    # ------------------------------------------------------------------ what was sent
    def notice(self, table: Table, shown: Sequence[Shown], *, others: Mask | None) -> list[int]:
        """Let models show their features; return those of which anything is news.

        Parameters
        ----------
        shown
            By code of the model.
        others
            Predictions that are left out.
        """
        found = []
        for block in table.features:
            models = table.predictions.model[block.rows]
            times_ms = table.predictions.time_ms[block.rows]
            places = self._find(models.astype(np.int64), block.names)
            news = times_ms < self._newest_ms[places]
            if others is not None:
                news &= ~others[block.rows]
            for model, own in _by_model(models, news):
                if shown[model].see_features(_first(block, own, times_ms)):
                    found.append(model)
                self._newest_ms[places[own[0]]] = _newest_ms(shown[model], block.names)
        return sorted(set(found))

    def _find(self, models: Ints, names: tuple[str, ...]) -> NDArray[np.int32]:
        if len(self._pairs) > _MOST_PAIRS:
            self._pairs, self._layouts = Index(), {}
            self._own.clear()
        layout = self._layouts.setdefault(names, len(self._layouts))
        keys = models << _LAYOUT_BITS | layout
        places, new = self._pairs.find(keys, add=True)
        self._newest_ms = grown(self._newest_ms, len(self._pairs))
        self._newest_ms[places[new]] = NEVER_MS
        for key in keys[new].tolist():
            self._own.setdefault(key >> _LAYOUT_BITS, []).append(key)
        return places

    def judge(self, model: int, shown: Shown, *, pane_ms: int) -> None:
        """Find out whether a model has sent too many, after what is news, or another life began."""
        last_ms = shown.too_many_features_ms
        before = self.full.pop(model, None)
        if last_ms != NEVER_MS:
            known = shown.features
            last = max(known, key=lambda name: (known[name], name))
            from_ms = (last_ms // pane_ms + 1) * pane_ms
            self.full[model] = Full(from_ms, frozenset(known) - {last})
        if self.full.get(model) != before:
            self.in_effect.discard(model)

    def next(self, until_ms: int) -> Filled | None:
        """Return of which model features are left out next, until then."""
        waiting = self.full.keys() - self.in_effect
        found = min((Filled(self.full[model].from_ms, model) for model in waiting), default=None)
        return found if found is not None and found.from_ms <= until_ms else None

    def begin_anew(self, model: int) -> None:
        """Forget what a model has sent: it is another, or in another life."""
        self._pairs.drop(np.array(self._own.pop(model, []), np.int64))
        self.full.pop(model, None)
        self.in_effect.discard(model)

    # ------------------------------------------------------------------ what is left out
    def strip(self, table: Table, *, others: Mask | None = None) -> tuple[Table, int]:
        """Leave features out; return how many values were.

        Parameters
        ----------
        others
            Predictions of which none is left out.
        """
        if not self.in_effect:
            return table, 0
        models, blocks, left_out = table.predictions.model, list[Block](), 0
        full = np.isin(models, list(self.in_effect))
        if others is not None:
            full &= ~others
        for block in table.features:
            chosen = full[block.rows]
            kept = ~chosen
            for model, own in _by_model(models[block.rows], chosen):
                places = self.full[model].names
                inside = np.array([name in places for name in block.names])
                if inside.all():
                    kept[own] = True
                    continue
                values = block.values[own]
                left_out += int(np.count_nonzero(values[:, ~inside] != ABSENT))
                if inside.any():
                    names = tuple(name for name in block.names if name in places)
                    kept_values = np.ascontiguousarray(values[:, inside])
                    blocks.append(Block(names, block.rows[own], kept_values))
            if kept.all():
                blocks.append(block)
            elif kept.any():
                blocks.append(Block(block.names, block.rows[kept], block.values[kept]))
        return (table._replace(features=blocks), left_out) if left_out else (table, 0)


def show_features(table: Table, rows: Mask, shown: Shown) -> None:
    """Show the features of some predictions, which are of one model."""
    for block in table.features:
        own = np.flatnonzero(rows[block.rows])
        if len(own):
            shown.see_features(_first(block, own, table.predictions.time_ms[block.rows]))


def _by_model(models: NDArray[np.integer], chosen: Mask) -> list[tuple[int, Ints]]:
    """Return models and their rows among those that are chosen."""
    rows = np.flatnonzero(chosen)
    if not len(rows):
        return []
    order = np.argsort(models[rows], kind="stable")
    rows = rows[order]
    codes, starts = np.unique(models[rows], return_index=True)
    return list(zip(codes.tolist(), np.split(rows, starts[1:]), strict=True))


def _first(block: Block, rows: Ints, times_ms: Ints) -> list[tuple[int, str]]:
    """Return when every feature was sent first in some rows, and its name; rising."""
    named = block.values[rows] != ABSENT
    if named.all():
        first_ms = int(times_ms[rows].min())
        return [(first_ms, name) for name in sorted(block.names)]
    found = np.where(named, times_ms[rows][:, None], NEVER_MS).min(axis=0).tolist()
    return sorted((ms, name) for ms, name in zip(found, block.names, strict=True) if ms < NEVER_MS)


def _newest_ms(shown: Shown, names: Sequence[str]) -> int:
    """Return from when on rows that name these features show nothing new."""
    known: Mapping[str, int] = shown.features
    beyond_ms = shown.too_many_features_ms
    if beyond_ms != NEVER_MS:
        beyond_ms += 1  # of one moment, the name decides
    return max(known.get(name, beyond_ms) for name in names)
