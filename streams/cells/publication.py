"""Records of metrics: what families compute of windows, as one flat JSON object for each number."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from streams.cells.metric_sets import MetricSets
from streams.cells.siblings import SiblingsView
from streams.cells.view import CellView, Windows
from streams.chosen import Wanted
from streams.columns.joined import Bytes, Joined, Texts
from streams.families.family import (
    BINARY,
    EVERY_TASK,
    MULTICLASS,
    REGRESSION,
    TEXT,
    Across,
    Family,
    Reads,
)
from streams.families.judging import Judging
from streams.grouping import distinct

Ints = NDArray[np.int64]
Hashes = NDArray[np.uint64]
Floats = NDArray[np.float64]


class Numbers(NamedTuple):
    """Metrics of windows, as columns; windows rise.

    Attributes
    ----------
    window
        Place of the window.
    metric
        Code of the metric's whole name.
    low, high
        NaN where there is no interval.
    """

    window: Ints
    metric: Ints
    value: Floats
    low: Floats
    high: Floats
    counts: Ints

    def where(self, chosen: NDArray[np.bool_]) -> "Numbers":
        """Return some of them."""
        return Numbers(*(column[chosen] for column in self))  # type: ignore[arg-type]


class Publication(NamedTuple):
    """What was published.

    Attributes
    ----------
    records
        Code of the model, key and value of every record; no value deletes.
    windows
        Code of the model of every window.
    improper
        Model, and how many scores of a window are no probabilities and how many are; where the
        first are too many.
    """

    records: list[tuple[int, bytes, bytes | None]]
    windows: Ints
    improper: list[tuple[int, int, int]]


class Publisher:
    """Computes metrics of windows and writes their records.

    Parameters
    ----------
    names
        Of models and versions, by code.
    """

    def __init__(self, sets: MetricSets, names: Sequence[tuple[str, str]]) -> None:
        self.sets, self._models = sets, names
        self._texts = Texts.of([])
        self._parts: dict[tuple[str, int], Ints] = {}
        self._subjects: dict[int, tuple[bytes, bytes]] = {}

    def compute(
        self, windows: Windows, families: Sequence[Family], wanted: Wanted | None = None
    ) -> Numbers:
        """Compute what families say of windows.

        Parameters
        ----------
        wanted
            Which metrics are asked for; `None` for all.
        """
        found = []
        for family in families:
            if not _may_have(windows, family, wanted):
                continue
            seen = SiblingsView if family.across is Across.SEGMENTS else CellView
            view = seen(windows, family, wanted=None if wanted is None else wanted.names)
            if not view.groups:
                continue
            lacks = _silent(windows, family)
            for estimate in family.compute(view):
                there = np.flatnonzero(~np.isnan(estimate.value))
                if not len(there) or not view.wants(estimate.metric):
                    continue
                columns = self._numbers(view, estimate, there)
                if lacks is not None:
                    columns = tuple(column[~lacks[columns[0]]] for column in columns)
                if wanted is not None and estimate.metric in wanted.masks:
                    asked = wanted.masks[estimate.metric][columns[0]]
                    columns = tuple(column[asked] for column in columns)
                found.append(columns)
        if not found:
            none = np.empty(0, np.int64)
            nothing = np.empty(0)
            return Numbers(none, none, nothing, nothing, nothing, none)
        table = [np.concatenate(column) for column in zip(*found, strict=True)]
        order = np.argsort(table[0], kind="stable")
        return Numbers(*(column[order] for column in table))

    def _numbers(self, view: CellView, estimate: Any, there: Ints) -> tuple[Any, ...]:
        group = there if estimate.group is None else estimate.group[there]
        window = group if view.window is None else view.window[group]
        if isinstance(view, SiblingsView):
            window = view.place[group]
            code = self._of_parts(estimate.metric, view.keys, 2)[estimate.part[there]]
        elif estimate.part is not None:
            code = self._of_parts(estimate.metric, view.names, 0)[estimate.part[there]]
        elif view.feature is not None:
            texts = view.feature_names
            code = self._of_parts(estimate.metric, texts, 1)[view.feature[group]]
        else:
            code = np.full(len(there), self.sets.names.code(estimate.metric))
        bounds = [
            np.full(len(there), np.nan) if bound is None else bound[there]
            for bound in (estimate.low, estimate.high)
        ]
        return window, code, estimate.value[there], *bounds, estimate.count[there]

    def kept(
        self, windows: Windows, families: Sequence[Family], sets: tuple[Hashes, Hashes]
    ) -> Hashes:
        """Return what was published of windows, with what they lack now and had before.

        Parameters
        ----------
        sets
            Hashes of what was published of every window before, and of what is published now.
        """
        before, now = sets
        found, silent = now.copy(), dict[int, set[str]]()
        for family in families:
            lacks = windows.lacking(family)
            for place in [] if lacks is None else np.flatnonzero(lacks).tolist():
                silent.setdefault(place, set()).update(one.name for one in family.metrics)
        for place, metrics in silent.items():
            names = self.sets.names_of(int(before[place]))
            names = [name for name in names if name.partition(":")[0] in metrics]
            if names:
                found[place] = self.sets.add([*self.sets.names_of(int(now[place])), *names])
        return found

    def _of_parts(self, metric: str, parts: list[str], kind: int) -> Ints:
        """Return the codes of `metric:<part>`, by the code of the part."""
        known = self._parts.get((metric, kind), np.empty(0, np.int64))
        if len(known) < len(parts):
            more = self.sets.names.codes(f"{metric}:{part}" for part in parts[len(known) :])
            known = self._parts[metric, kind] = np.append(known, more)
        return known

    def forget(self, subjects: Ints) -> None:
        """Forget how models in segments are called: their numbers are given to others."""
        for subject in subjects.tolist():
            self._subjects.pop(subject, None)

    # ------------------------------------------------------------------ text
    def records(
        self,
        windows: Windows,
        numbers: Numbers,
        *,
        pane_ms: int,
        revision: NDArray[np.integer],
        final: NDArray[np.bool_],
        coverage: Floats,
    ) -> tuple[Ints, list[bytes], list[bytes]]:
        """Return, for every number, the place of its window, and key and value of its record."""
        self._write_names()
        used, own = distinct(numbers.window)
        heads = self._heads(windows, used, pane_ms)
        tails = Texts.of(_tails(coverage[used], revision[used], final[used]))
        keys, values = Joined(len(own)), Joined(len(own))
        keys.chosen(Texts.of([key for key, _ in heads]), own)
        keys.chosen(self._texts, numbers.metric)
        keys.same(b"]")
        values.chosen(Texts.of([head for _, head in heads]), own)
        values.chosen(self._texts, numbers.metric)
        for name, column in (
            (b',"value":', numbers.value),
            (b'"low":', numbers.low),
            (b'"high":', numbers.high),
            (b'"count":', numbers.counts),
        ):
            values.same(name)
            values.span(*_texts(column))
        values.chosen(tails, own)
        return numbers.window, keys.records(), values.records()

    def key(self, windows: Windows, place: int, metric: str, *, pane_ms: int) -> bytes:
        """Return the key of a metric of a window."""
        return self._heads(windows, np.array([place]), pane_ms)[0][0] + _encode(metric) + b"]"

    def _write_names(self) -> None:
        names = self.sets.names.texts
        known = len(self._texts.starts) - 1
        if len(names) > known:
            self._texts = self._texts.with_more(list(map(_encode, names[known:])))

    def _heads(self, windows: Windows, places: Ints, pane_ms: int) -> list[tuple[bytes, bytes]]:
        """Return how key and value of the records of windows begin."""
        starts = (windows.first[places] * pane_ms).tolist()
        length = windows.panes * pane_ms
        heads = []
        for subject, start in zip(windows.subject[places].tolist(), starts, strict=True):
            known = self._subjects.get(subject)
            if known is None:
                known = self._subjects[subject] = self._subject(windows, subject)
            key, head = known
            end = start + length
            heads.append(
                (
                    b"%b%d,%d," % (key, start, end),
                    b'%b,"window_start_ms":%d,"window_end_ms":%d,"metric":' % (head, start, end),
                )
            )
        return heads

    def _subject(self, windows: Windows, subject: int) -> tuple[bytes, bytes]:
        subjects = windows.grid.world.subjects
        model, version = self._models[int(subjects.models[subject])]
        segment = subjects.names.texts[int(subjects.segments[subject])]
        head = _encode({"model": model, "version": version, "segment": segment})
        return _encode([model, version, segment])[:-1] + b",", head[:-1]


def coverage_of(windows: Windows) -> Floats:
    """Return the coverage of windows; NaN where there is none."""
    predictions = windows.predictions
    with np.errstate(all="ignore"):
        return np.where(predictions != 0, windows.labels / predictions, np.nan)


def improper(
    windows: Windows, families: Sequence[Family], codes: Sequence[int]
) -> Iterator[tuple[int, int, int]]:
    """Yield model, and how many scores of a window are none and how many are probabilities.

    Parameters
    ----------
    codes
        Of the model of every window.
    """
    for family in families:
        if not isinstance(family, Judging):
            continue
        outside, inside = family.improper(CellView(windows, family))
        lacks = windows.lacking(family)
        if lacks is not None:
            outside = np.where(lacks, 0, outside)
        for place in np.flatnonzero(outside).tolist():
            yield codes[place], int(outside[place]), int(inside[place])


def _tails(
    coverage: Floats, revision: NDArray[np.integer], final: NDArray[np.bool_]
) -> list[bytes]:
    """Return how the values of a window's records end."""
    return [
        b'"coverage":%b,"revision":%d,"final":%b}' % (share, count, b"true" if end else b"false")
        for share, count, end in zip(
            map(_encode, coverage.tolist()), revision.tolist(), final.tolist(), strict=True
        )
    ]


_TASKS = (BINARY, BINARY, MULTICLASS, REGRESSION, TEXT)
"""Of every kind in `KINDS`, the task whose metrics it has."""


def _silent(windows: Windows, family: Family) -> NDArray[np.bool_] | None:
    """Tell which windows have no metric of a family, whatever it computes; `None` for none.

    What lacks panes of it; and of a window with readings of hosts alone, what is about models:
    that there were no predictions is said of models that had some.
    """
    lacks = windows.lacking(family)
    if family.reads is Reads.RESOURCES or windows.without_rows is None:
        return lacks
    return windows.without_rows if lacks is None else lacks | windows.without_rows


def _may_have(windows: Windows, family: Family, wanted: Wanted | None) -> bool:
    """Tell whether windows may have any metric of a family; to compute has a cost of its own."""
    if wanted is not None and wanted.names.isdisjoint(metric.name for metric in family.metrics):
        return False
    if family.reads is not Reads.PREDICTIONS:
        side = windows.grid.side(family.reads)
        if not side.table.live or not len(windows.rows(side)[0]):
            return False
    tasks = frozenset().union(*(metric.tasks for metric in family.metrics))
    if tasks >= EVERY_TASK:
        return True
    kinds = np.flatnonzero(np.bincount(windows.judged.kind, minlength=len(_TASKS)))
    return any(_TASKS[kind] in tasks for kind in kinds.tolist())


def _texts(column: NDArray[Any]) -> tuple[Bytes, Ints]:
    """Write numbers as JSON does, each with a comma, and where each begins; NaN is null."""
    data = np.frombuffer(bytearray(_encode(column.tolist())), np.uint8)[1:]
    data[-1] = _COMMA
    ends = np.flatnonzero(data == _COMMA)[: len(column)] + 1
    return data, np.concatenate([np.zeros(1, np.int64), ends])


_COMMA = ord(",")
_encode = msgspec.json.Encoder().encode
