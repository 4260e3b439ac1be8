"""What all models of a partition have shown, and which rows show nothing new.

Most rows show what others have shown before: these are told in columns, and not looked at.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from streams.class_filter import ClassFilter
from streams.classes import binary_name
from streams.grouping import distinct
from streams.shown import (
    CHANCE,
    INSIDE,
    NEVER_MS,
    REAL,
    SCORED,
    SIGNS,
    WORD,
    WORD_LABEL,
    Shown,
)
from streams.tables import OutcomeColumns
from streams.task import TEXT

_PLAIN = {"0": 0, "1": 1}
_PLAIN_KINDS = 32


class Noticed:
    """Of all models, by code, what they have shown, and which rows show nothing new.

    Attributes
    ----------
    plain_ms
        By model and kind of a plain row (classes 0 and 1), the earliest that was seen.
    settled_ms, full_ms
        From when on a model's rows, and after when some of them, show nothing new.
    names_ms
        From when on names of classes show nothing new.
    since_ms, way
        When the newest judgement begins, and how the loss is measured from then on.
    text
        Models that are taken for text now.
    untold
        Models of which it is to be said what they are.
    """

    def __init__(self) -> None:
        self.shown: list[Shown] = []
        self.plain_ms = np.empty((0, _PLAIN_KINDS), np.int64)
        self.settled_ms, self.full_ms, self.since_ms, self.way = np.empty((4, 0), np.int64)
        self.names_ms = np.empty(0, np.int64)
        self._classes = ClassFilter()
        self.text: set[int] = set()
        self.untold: set[int] = set()

    def put(self, code: int, shown: Shown) -> None:
        """Begin with a model, or anew; codes are given out in their order."""
        if code == len(self.shown):
            self.shown.append(shown)
        else:
            self._classes.forget(code, self.shown[code].classes)
        self.shown[code] = shown
        if code >= len(self.settled_ms):
            size = 2 * code + 16
            before = (
                *(self.plain_ms, self.settled_ms, self.full_ms, self.since_ms, self.way),
                self.names_ms,
            )
            shapes = (size, _PLAIN_KINDS), size, size, size, size, size
            after = [np.full(shape, NEVER_MS, np.int64) for shape in shapes]
            for small, large in zip(before, after, strict=True):
                large[:code] = small[:code]
            self.plain_ms, self.settled_ms, self.full_ms, self.since_ms, self.way = after[:5]
            self.names_ms = after[5]
        self.plain_ms[code] = NEVER_MS
        self.settle(code)

    def settle(self, code: int) -> None:
        """Note from when on a model shows nothing new, and what it is judged to be."""
        shown = self.shown[code]
        self.settled_ms[code], self.full_ms[code] = shown.settled_ms, shown.full_ms
        self.since_ms[code], self.way[code] = shown.since_ms, shown.newest.loss_way
        self.names_ms[code] = shown.names_ms
        if shown.newest.kind == TEXT:
            self.text.add(code)
        else:
            self.text.discard(code)

    def take(self, c: OutcomeColumns, *, others: NDArray[np.bool_] | None = None) -> list[int]:
        """Take rows into account; return the models whose newest judgement is another.

        Parameters
        ----------
        others
            Rows that are left out, see `show`.
        """
        rows = c.rows
        plain, kind = _plain(c)
        new = (rows.weight > 0) & (rows.at_ms < self.settled_ms[rows.model])
        classes = ~plain & c.classed & new & (rows.at_ms < self.names_ms[rows.model])
        if others is not None:
            new &= ~others
            classes &= ~others
        changed = self._see_classes(c, np.flatnonzero(classes)) if classes.any() else []
        self.untold.update(changed)
        new &= ~plain | (rows.at_ms < self.plain_ms[rows.model, kind])
        usual = (c.scored | c.text | c.text_label) & ~c.chance
        new &= ~usual | (rows.at_ms <= self.full_ms[rows.model])
        chosen = np.flatnonzero(new)
        if not len(chosen):
            return changed
        own = chosen[plain[chosen]]
        np.minimum.at(self.plain_ms, (rows.model[own], kind[own]), rows.at_ms[own])
        news = _see(c, chosen, self.shown.__getitem__)
        changed = [*changed, *(code for code in sorted(news) if self.shown[code].judge())]
        for code in news:
            self.settle(code)
        self.untold.update(changed, (code for code in news if not self.shown[code].told))
        return list(dict.fromkeys(changed))

    def _see_classes(self, c: OutcomeColumns, rows: NDArray[np.int64]) -> list[int]:
        """Show classes that are new; return the models that are something else now."""
        changed = []
        for model, found in self._classes.news(c, rows):
            shown = self.shown[model]
            if shown.see_classes(found):
                changed += [model] if shown.judge() else []
                self.settle(model)
            known = shown.classes
            self._classes.remember(model, {name: known[name] for _, name in found if name in known})
        return changed


def show(c: OutcomeColumns, rows: NDArray[np.bool_], shown: Shown) -> None:
    """Show something rows of one model."""
    counted = rows & (c.rows.weight > 0)
    _see(c, np.flatnonzero(counted), lambda _: shown)
    named = counted & ~_plain(c)[0] & c.classed & (c.rows.at_ms < shown.names_ms)
    for _, found in ClassFilter().news(c, np.flatnonzero(named)):
        shown.see_classes(found)


def _see(
    c: OutcomeColumns, chosen: NDArray[np.int64], shown_of: Callable[[int], Shown]
) -> set[int]:
    """Show the models what is different among rows; return those for which any is news."""
    size, rows = len(c.classes), c.rows
    # Each probability would be one of its own, and of what is a regression, nothing is asked.
    predicted = np.where(c.chance | c.no_chance, 0, c.predicted)[chosen]
    true = np.where(c.no_chance, 0, c.true)[chosen]
    keys = (rows.model[chosen] * size + predicted) * size + true
    values, places = distinct(keys * SIGNS + _signs(c, chosen))
    first_ms = np.full(len(values), NEVER_MS)
    np.minimum.at(first_ms, places, rows.at_ms[chosen])
    news = set()
    for key, at_ms in zip(values.tolist(), first_ms.tolist(), strict=True):
        rest, signs = divmod(key, SIGNS)
        rest, true = divmod(rest, size)
        model, predicted = divmod(rest, size)
        names = c.classes[predicted], c.classes[true]
        if shown_of(model).see(*names, signs, at_ms=at_ms):
            news.add(model)
    return news


def _plain(c: OutcomeColumns) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Tell which rows have the classes 0 and 1 only, and number their kinds."""
    place = np.array([_PLAIN.get(binary_name(name), -1) for name in c.classes], np.int64)
    predicted, true = place[c.predicted], place[c.true]
    kind = predicted + 2 * true + 4 * c.scored + 8 * c.text + 16 * c.text_label
    plain = (predicted >= 0) & (true >= 0)
    return plain, np.where(plain, kind, 0)


def _signs(c: OutcomeColumns, chosen: NDArray[np.int64]) -> NDArray[np.int64]:
    number = c.rows.number[chosen]
    inside = (number >= 0) & (number <= 1)
    signs: NDArray[np.int64] = (
        SCORED * c.scored[chosen]
        + WORD * c.text[chosen]
        + WORD_LABEL * c.text_label[chosen]
        + INSIDE * inside
        + CHANCE * c.chance[chosen]
        + REAL * c.no_chance[chosen]
    )
    return signs
