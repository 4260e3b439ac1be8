"""What hours, and what they are compared with, look like: bins and counts of every series."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
from xxhash import xxh3_64_hexdigest

from streams.cells.comparing import Comparing, Name
from streams.cells.hour_windows import view_of
from streams.cells.levels import Places
from streams.cells.store import Cells
from streams.cells.summed import FIRST_PROFILE
from streams.cells.view import CellView, Judgements, Rows, Windows
from streams.distributions import Series
from streams.edges import MOST_BINS, binned, cuts_of, score_edges, value_edges
from streams.families.answers import Answers
from streams.families.calibration import BINS, UNIT, Calibration, reliability
from streams.families.classification import Classification, by_name, pairs_of
from streams.families.distribution import Distribution
from streams.families.family import KINDS, Floats, Ints, labelled
from streams.families.missing_rate import MissingRate
from streams.families.prediction_share import PredictionShare
from streams.models_told import TEXT

MOST_PAIRS = 256
"""So many pairs of classes of a confusion are told."""

_MOST_CLASSES = 20
"""Predictions with more different values are numbers, whatever the model is."""


_Edges = Callable[[Ints], Floats]


class Drawn(NamedTuple):
    """A series of a window.

    Attributes
    ----------
    window
        Its place among the windows.
    content
        The rest of the record.
    """

    window: int
    series: Series
    feature: str
    content: dict[str, Any]


class _Side(NamedTuple):
    """Bins and counts of one group."""

    numbers: Ints
    counts: Ints

    @property
    def size(self) -> int:
        return int(self.counts.sum())


class _Entries:
    """Bins and counts of all groups, of which each can be taken."""

    def __init__(self, entries: tuple[Ints, Ints, Ints]) -> None:
        there = entries[2] > 0
        self._group, self._numbers, self._counts = (column[there] for column in entries)

    def of(self, group: int) -> _Side:
        """Return those of a group."""
        own = slice(*np.searchsorted(self._group, [group, group + 1]).tolist())
        return _Side(self._numbers[own], self._counts[own])


class _References(Windows):
    """What windows are compared with, as windows: the panes of each may be of several models."""

    def __init__(self, windows: Windows, owners: Ints, whose: Ints, places: Places) -> None:
        kind, words, positive = windows.judged
        judged = Judgements(kind[owners], words[owners], positive[owners])
        super().__init__(
            windows.grid,
            windows.subject[owners],
            windows.first[owners],
            panes=windows.panes,
            judged=judged,
            places=places,
        )
        self._whose = whose

    def rows(self, side: Cells) -> tuple[Rows, Ints]:
        rows = side.find(self._whose, self.places.numbers)
        there = np.flatnonzero(rows >= 0)
        return rows[there], self.places.owners[there]


def references_of(windows: Windows, wanted: Sequence[int]) -> Windows | None:
    """Return what some windows are compared with, each of them with something."""
    known = windows.compared
    if known is None or not len(wanted):
        return None
    own = np.isin(known.owners, wanted) & (known.numbers >= 0)
    owners, places = np.unique(known.owners[own], return_inverse=True)
    return _References(windows, owners, known.whose[own], Places(known.numbers[own], places))


def reference_names(windows: Windows, names: Sequence[Name], comparing: Comparing) -> list[str]:
    """Return, for every window, what names that which it is compared with; empty for nothing."""
    known, found = windows.compared, [""] * len(windows)
    if known is None:
        return found
    there = known.numbers >= 0
    versions = [
        names[code][1] for code in windows.grid.world.subjects.models[known.whose[there]].tolist()
    ]
    parts: dict[int, list[object]] = {}
    for owner, version, number in zip(
        known.owners[there].tolist(), versions, known.numbers[there].tolist(), strict=True
    ):
        # Profiles are numbered in the order in which this process has read them.
        told = (
            [version, number]
            if number < FIRST_PROFILE
            else str(comparing.now(windows.model[owner]))
        )
        parts.setdefault(owner, []).append(told)
    for owner, told in parts.items():
        found[owner] = xxh3_64_hexdigest(msgspec.json.encode(told))
    return found


# --- of predictions


class Telling(NamedTuple):
    """How much is told of features.

    Attributes
    ----------
    kinds
        Returns the kinds of a model's features, by its code.
    hides
        Tells whether nothing of the values of a feature is told, but how many there are.
    categories
        What texts are called, by their hashes.
    """

    kinds: Callable[[int], Mapping[str, str]]
    hides: Callable[[str], bool]
    categories: Sequence[str]


def of_predictions(windows: Windows, telling: Telling) -> Iterator[Drawn]:
    """Yield features, scores and predictions."""
    for drawn in _features(windows, telling):
        if telling.hides(drawn.feature):
            count, missing = drawn.content["count"], drawn.content["missing"]
            yield drawn._replace(content={"count": count, "missing": missing, "other": count})
        else:
            yield drawn
    view = view_of(windows, Answers, "score_bins")
    if view is None:
        return
    said = _said(windows)
    every: tuple[tuple[Series, _Edges], ...] = (
        ("score", score_edges),
        ("prediction", value_edges),
    )
    for series, edges_of in every:
        now, before = _sides(view, f"{series}_bins")
        for window in range(view.groups):
            if series == "prediction" and window in said:
                yield Drawn(window, "prediction", "", said[window])
                continue
            content = _numbers(now.of(window), before(window), edges_of)
            if content["count"]:
                content["missing"] = int(view.answered[window]) - content["count"]
                yield Drawn(window, series, "", content)


def _features(windows: Windows, telling: Telling) -> Iterator[Drawn]:
    view, named = (view_of(windows, *of) for of in ((Distribution, "bins"), (MissingRate, "named")))
    if view is None or view.window is None or view.feature is None:
        return
    (numbers, numbers_before), (texts, texts_before) = _sides(view, "bins"), _sides(view, "texts")
    there = None if named is None else named.counts("named")[:, 1].tolist()
    models, answered = windows.model.tolist(), view.answered.tolist()
    places = zip(view.window.tolist(), view.feature.tolist(), strict=True)
    for group, (window, feature) in enumerate(places):
        name = view.feature_names[feature]
        content = _numbers(numbers.of(group), numbers_before(group), value_edges)
        told = telling.kinds(models[window]).get(name) != TEXT
        names = telling.categories if told else ()
        words = _categories(texts.of(group), texts_before(group), names)
        count = content.pop("count") + words.pop("count")
        missing = None if there is None or not answered[group] else answered[group] - there[group]
        if count:
            more = {"count": count, "missing": missing}
            yield Drawn(window, "feature", name, content | words | more)


_Before = Callable[[int], _Side | None]


def _sides(view: CellView, column: str) -> tuple[_Entries, _Before]:
    """Return what was counted of groups, and a function that returns that of their baselines."""
    now = _Entries(view.entries(column))
    if view.baseline is None:
        return now, lambda _: None
    before = _Entries(view.baseline.entries(column))
    return now, before.of


def _numbers(now: _Side, before: _Side | None, edges_of: _Edges) -> dict[str, Any]:
    size = now.size
    cut = before if before is not None and len(before.numbers) else now
    if not size:
        return {"count": 0}
    cuts = cuts_of(cut.numbers, cut.counts)
    counts, below, above = binned(*now, cuts)
    edges = edges_of(cuts).tolist()
    return {"count": size, "edges": edges, "counts": counts, "below": below, "above": above}


def _categories(now: _Side, before: _Side | None, called: Sequence[str]) -> dict[str, Any]:
    """Return the most frequent texts of a baseline and of now, if they are called anything."""
    found = dict(zip(now.numbers.tolist(), now.counts.tolist(), strict=True))
    size = now.size
    if not called or not size:
        return {"count": size, "other": size}
    chosen = _most(found, MOST_BINS)
    if before is not None and len(before.numbers):
        known = dict(zip(before.numbers.tolist(), before.counts.tolist(), strict=True))
        half = MOST_BINS // 2
        chosen = list(dict.fromkeys([*_most(known, half), *_most(found, half)]))
    counts = [found.get(code, 0) for code in chosen]
    names = [called[code] for code in chosen]
    other = size - sum(counts)
    return {"count": size, "categories": names, "category_counts": counts, "other": other}


def _most(counts: Mapping[Any, int], most: int) -> list[Any]:
    return sorted(counts, key=lambda one: (-counts[one], one))[:most]


def _said(windows: Windows) -> dict[int, dict[str, Any]]:
    """Return the classes that were predicted, of windows of classifiers."""
    view = view_of(windows, PredictionShare, "said")
    if view is None or isinstance(windows, _References):
        return {}
    group, code, count = view.entries("said")
    names = view.names
    known: dict[int, dict[str, int]] = {}
    for window, name, many in zip(
        group.tolist(), view.classes(group, code).tolist(), count.tolist(), strict=True
    ):
        counts = known.setdefault(window, {})
        counts[names[name]] = counts.get(names[name], 0) + many
    classifies = np.isin(view.kind, [KINDS.index(kind) for kind in ("binary", "multiclass")])
    found = {}
    for window, counts in known.items():
        if not classifies[window] or len(counts) > _MOST_CLASSES:
            continue
        shown = _most(counts, MOST_BINS)
        many = [counts[name] for name in shown]
        found[window] = {"count": sum(many), "categories": shown, "category_counts": many}
    return found


# --- of outcomes


def of_outcomes(windows: Windows) -> Iterator[Drawn]:
    """Yield confusions, and how often what was predicted came true."""
    view = view_of(windows, Classification, "confusion")
    if view is not None:
        yield from _confusions(view)
    view = view_of(windows, Calibration, "reliability")
    found = None if view is None else reliability(view)
    if found is None:
        return
    edges = (np.arange(BINS + 1) / BINS).tolist()
    for window in np.flatnonzero(found.size > 0).tolist():
        rows = found.rows[window].sum(axis=1).tolist()
        sums = (found.chances[window] / UNIT).tolist()
        means = [total / many if many else None for total, many in zip(sums, rows, strict=True)]
        content = {"count": int(found.size[window]), "edges": edges, "counts": rows}
        content |= {"positives": found.rows[window][:, 1].tolist(), "probabilities": means}
        yield Drawn(window, "reliability", "", content)


def _confusions(view: CellView) -> Iterator[Drawn]:
    own = labelled(view, "binary") | labelled(view, "multiclass")
    pairs = by_name(pairs_of(view, own), view.names)
    pairs = pairs.only(pairs.counts > 0)
    names = view.names
    for window in np.unique(pairs.group).tolist():
        here = pairs.only(pairs.group == window)
        every: dict[tuple[str, str], int] = {}
        for predicted, true, count in zip(
            here.predicted.tolist(), here.true.tolist(), here.counts.tolist(), strict=True
        ):
            pair = names[predicted], names[true]
            every[pair] = every.get(pair, 0) + count
        shown = _most(every, MOST_PAIRS)
        counts, size = [every[pair] for pair in shown], sum(every.values())
        content = {
            "count": size,
            "predicted_classes": [predicted for predicted, _ in shown],
            "true_classes": [true for _, true in shown],
            "counts": counts,
            "other": size - sum(counts),
        }
        yield Drawn(window, "confusion", "", content)
