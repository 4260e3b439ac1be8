"""Which features and segments of a model have a place, where it has sent more than it may have.

The first of them in event time have, by name among those of one moment. At the first boundary of
panes after one more was sent, all rows before which were taken in order, these are known for good:
from then on others are left out of what is counted, of detectors and of rules. Until then all are
counted, since which come first may still change; windows that were counted in part before are
published without those that have got no place. What was sent when is known by model and life, see
`streams.shown`: nothing of it depends on partitions, batches or workers.

Most rows show nothing new: these are told in columns, by model and what they name together (the
features of a block, the segments of a row), and not looked at.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from streams.cells.names import grown
from streams.columns.index import Index
from streams.events import ABSENT
from streams.features import Block
from streams.outcomes import Ints
from streams.shown import FEATURES, NEVER_MS, SEGMENTS, Shown
from streams.tables import Table

Mask = NDArray[np.bool_]

Names: TypeAlias = tuple[str, ...]

Later: TypeAlias = tuple[Mask | None, Mask | None]
"""Which predictions, and which outcomes, are of a later life of their model; `None`: none."""

_TOGETHER_BITS = 24
_MOST_PAIRS = 1 << 18
"""With more models and names together it is forgotten which rows show nothing new."""


class Full(NamedTuple):
    """Of a model with too many names, from when on, and which have a place."""

    from_ms: int
    names: frozenset[str]


class Filled(NamedTuple):
    """When names of which model begin to be left out, and of what."""

    from_ms: int
    model: int
    kind: int


class Places(ABC):
    """Names of one kind that the models of a partition have sent.

    Attributes
    ----------
    full
        Models with too many, as far as it is known.
    in_effect
        Those of them of which others are left out.
    """

    kind: ClassVar[int]
    what: ClassVar[str]

    def __init__(self) -> None:
        self.full: dict[int, Full] = {}
        self.in_effect: set[int] = set()
        self._pairs = Index()
        self._newest_ms = np.empty(0, np.int64)
        self._together: dict[Names, int] = {}
        self._own: dict[int, list[int]] = {}

    # ------------------------------------------------------------------ what was sent
    @abstractmethod
    def _sent(self, table: Table) -> Iterator["Sent"]:
        """Yield what predictions name."""

    def notice(self, table: Table, shown: Sequence[Shown], *, others: Mask | None) -> list[int]:
        """Let models show what they name; return those of which anything is news.

        Parameters
        ----------
        shown
            By code of the model.
        others
            Predictions that are left out.
        """
        found = set[int]()
        for sent in self._sent(table):
            models = table.predictions.model[sent.rows].astype(np.int64)
            times_ms = table.predictions.time_ms[sent.rows]
            places = self._find(models, sent)
            news = times_ms < self._newest_ms[places]
            if others is not None:
                news &= ~others[sent.rows]
            for model, own in _by_code(models, news):
                for _, here in _by_code(sent.place_of, own):
                    names = sent.first(here, times_ms)
                    if shown[model].see_names(self.kind, names):
                        found.add(model)
                    together = sent.names(int(here[0]))
                    self._newest_ms[places[here[0]]] = self._shows_until(shown[model], together)
        return sorted(found)

    def _find(self, models: Ints, sent: "Sent") -> NDArray[np.int32]:
        if len(self._pairs) > _MOST_PAIRS:
            self._pairs, self._together = Index(), {}
            self._own.clear()
        known = self._together
        codes = np.array([known.setdefault(names, len(known)) for names in sent.together])
        keys = models << _TOGETHER_BITS | codes[sent.place_of]
        places, new = self._pairs.find(keys, add=True)
        self._newest_ms = grown(self._newest_ms, len(self._pairs))
        self._newest_ms[places[new]] = NEVER_MS
        for key in keys[new].tolist():
            self._own.setdefault(key >> _TOGETHER_BITS, []).append(key)
        return places

    def _shows_until(self, shown: Shown, names: Names) -> int:
        """Return from when on rows that name these show nothing new."""
        known: Mapping[str, int] = shown.names(self.kind)
        beyond_ms = shown.too_many_ms(self.kind)
        if beyond_ms != NEVER_MS:
            beyond_ms += 1  # of one moment, the name decides
        return max(known.get(name, beyond_ms) for name in names)

    def show(self, table: Table, rows: Mask, shown: Shown) -> None:
        """Let a model show what some predictions name, which are all its own."""
        for sent in self._sent(table):
            own = np.flatnonzero(rows[sent.rows])
            if len(own):
                names = sent.first(own, table.predictions.time_ms[sent.rows])
                shown.see_names(self.kind, names)

    def judge(self, model: int, shown: Shown, *, pane_ms: int) -> None:
        """Find out whether a model has sent too many, after what is news, or another life began."""
        last_ms = shown.too_many_ms(self.kind)
        before = self.full.pop(model, None)
        if last_ms != NEVER_MS:
            known = shown.names(self.kind)
            last = max(known, key=lambda name: (known[name], name))
            from_ms = (last_ms // pane_ms + 1) * pane_ms
            self.full[model] = Full(from_ms, frozenset(known) - {last})
        if self.full.get(model) != before:
            self.in_effect.discard(model)

    def next(self, until_ms: int) -> Filled | None:
        """Return of which model names are left out next, until then."""
        waiting = self.full.keys() - self.in_effect
        found = min(
            (Filled(self.full[model].from_ms, model, self.kind) for model in waiting), default=None
        )
        return found if found is not None and found.from_ms <= until_ms else None

    def begin_anew(self, model: int) -> None:
        """Forget what a model has sent: it is another, or in another life."""
        self._pairs.drop(np.array(self._own.pop(model, []), np.int64))
        self.full.pop(model, None)
        self.in_effect.discard(model)

    # ------------------------------------------------------------------ what is left out
    @abstractmethod
    def strip(self, table: Table, *, later: Later = (None, None)) -> tuple[Table, int]:
        """Leave out what has no place; return how much was.

        Parameters
        ----------
        later
            Rows of which nothing is left out.
        """

    def _are_full(self, models: NDArray[np.integer], others: Mask | None) -> Mask:
        full: Mask = np.isin(models, list(self.in_effect))
        return full if others is None else full & ~others


class Sent(NamedTuple):
    """Predictions, and what each of them names.

    Attributes
    ----------
    rows
        Which predictions.
    together, place_of
        What is named together, and what of it by which row.
    values
        Where a row names not all of that, `ABSENT` for what it does not; `None` if all name all.
    """

    rows: Ints
    together: Sequence[Names]
    place_of: Ints
    values: NDArray[np.float64] | None = None

    def names(self, row: int) -> Names:
        """Return what is named together by one of the rows."""
        return self.together[int(self.place_of[row])]

    def first(self, own: Ints, times_ms: Ints) -> list[tuple[int, str]]:
        """Return when everything was named first in some rows, and its name; rising."""
        first_ms: dict[str, int] = {}
        for place, here in _by_code(self.place_of, own):
            names = self.together[place]
            named = None if self.values is None else self.values[here] != ABSENT
            if named is None or named.all():
                each = [int(times_ms[here].min())] * len(names)
            else:
                each = np.where(named, times_ms[here][:, None], NEVER_MS).min(axis=0).tolist()
            for name, ms in zip(names, each, strict=True):
                first_ms[name] = min(ms, first_ms.get(name, NEVER_MS))
        return sorted((ms, name) for name, ms in first_ms.items() if ms < NEVER_MS)


class FeaturePlaces(Places):
    """Features of the models of a partition."""

    kind, what = FEATURES, "features"

    def _sent(self, table: Table) -> Iterator[Sent]:
        for block in table.features:
            place_of = np.zeros(len(block.rows), np.int64)
            yield Sent(block.rows, [block.names], place_of, block.values)

    def strip(self, table: Table, *, later: Later = (None, None)) -> tuple[Table, int]:
        """Leave features out; return how many values were."""
        if not self.in_effect:
            return table, 0
        models, blocks, left_out = table.predictions.model, list[Block](), 0
        full = self._are_full(models, later[0])
        for block in table.features:
            chosen = full[block.rows]
            kept = ~chosen
            for model, own in _by_code(models[block.rows], chosen):
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


class SegmentPlaces(Places):
    """Segments of the models of a partition."""

    kind, what = SEGMENTS, "segments"

    def _sent(self, table: Table) -> Iterator[Sent]:
        sets = table.segment_sets
        if any(sets):
            inside = np.array([len(names) > 0 for names in sets])
            rows = np.flatnonzero(inside[table.predictions.segments])
            if len(rows):
                yield Sent(rows, sets, table.predictions.segments[rows].astype(np.int64))

    def strip(self, table: Table, *, later: Later = (None, None)) -> tuple[Table, int]:
        """Leave segments out; return how many were, of predictions."""
        if not self.in_effect or not any(table.segment_sets):
            return table, 0
        index = {names: place for place, names in enumerate(table.segment_sets)}
        changed: dict[str, Any] = {}
        left_out = 0
        for side, rows, others in (
            ("predictions", table.predictions, later[0]),
            ("outcomes", table.outcomes, later[1]),
            ("fates", table.fates, None),
        ):
            segments = rows.segments.astype(np.int64)
            for model, own in _by_code(rows.model, self._are_full(rows.model, others)):
                places = self.full[model].names
                for place, here in _by_code(segments, own):
                    names = table.segment_sets[place]
                    kept = tuple(name for name in names if name in places)
                    if len(kept) == len(names):
                        continue
                    segments[here] = index.setdefault(kept, len(index))
                    left_out += len(here) * (len(names) - len(kept))
                    changed[side] = segments
        if not changed:
            return table, 0
        fields = {
            side: _with_segments(getattr(table, side), segments)
            for side, segments in changed.items()
        }
        return table._replace(segment_sets=list(index), **fields), left_out


def _with_segments(rows: Any, segments: Ints) -> Any:
    columns = {name: getattr(rows, name) for name in rows.__struct_fields__}
    return type(rows)(**columns | {"segments": segments})


def _by_code(codes: NDArray[np.integer], chosen: Mask | Ints) -> list[tuple[int, Ints]]:
    """Return codes and their rows among those that are chosen."""
    rows = np.flatnonzero(chosen) if chosen.dtype == np.bool_ else chosen
    if not len(rows):
        return []
    order = np.argsort(codes[rows], kind="stable")
    rows = rows[order]
    found, starts = np.unique(codes[rows], return_index=True)
    return list(zip(found.tolist(), np.split(rows, starts[1:]), strict=True))
