"""What models have shown of themselves, and since when: what judgements rest on.

Each thing that can be shown (a class, a fraction, one more whole number) is remembered with the
earliest event time at which a labelled prediction showed it: the earliest of a set is the same in
any order, in any batches, from any partition, and read twice. So what was known at a boundary of
the ordered stream can be told at any time later, without rows being kept for it, and is the same
for a worker and a replay. What is taken back has been shown all the same.

A judgement changes at boundaries only (before the first, at once). Metrics of a window go by the
newest judgement while it is open, since it rests on all that is counted so far, and by that of the
moment at which it became final from then on. Rules go by the judgement of their boundary, and
detectors by that of the last boundary before each outcome.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.classes import binary_name
from streams.task import (
    CAPS,
    MOST_CLASSES,
    MOST_NUMBERS,
    Caps,
    Evidence,
    Judged,
    Task,
)

NEVER_MS = 2**62

SCORED, WORD, WORD_LABEL, INSIDE, CHANCE, REAL, SIGNS = 1, 2, 4, 8, 16, 32, 64

_CLASSES, _LABELS, _PREDICTED, _TRUE, _FLAGS, _NAMES, FEATURES, SEGMENTS = range(8)
_ALONE = (_CLASSES, _LABELS, _FLAGS)
_FROM_MS = itemgetter(0)
_MOST = (MOST_CLASSES + 1, MOST_CLASSES + 1, MOST_NUMBERS + 1, MOST_NUMBERS + 1, NEVER_MS)


class Order(NamedTuple):
    """What a model is told to be from a moment on, and how far boundaries are apart then."""

    from_ms: int
    task: Task
    every_ms: int


class Shown:
    """What one model version has shown, and what follows from it.

    Parameters
    ----------
    every_ms
        How far boundaries are apart.
    caps
        How much of it is watched, see `streams.places`.

    Attributes
    ----------
    task
        What it is told to be last, see `tell`.
    told
        What was said last that it is.
    dirty
        Whether it is not written down as it is.
    """

    __slots__ = (
        "_changes",
        "_first_ms",
        "_most",
        "_orders",
        "_since_ms",
        "_starts",
        "dirty",
        "task",
        "told",
    )

    def __init__(
        self,
        task: Task,
        *,
        every_ms: int,
        caps: Caps = CAPS,
    ) -> None:
        self.task = task
        self._orders = [Order(-1, task, every_ms)]
        self._most = *_MOST, *(most + 1 for most in caps)
        self._first_ms: list[dict[str, int]] = [{} for _ in self._most]
        self.told, self.dirty = "", False
        self._judge()

    def see(self, predicted: str, true: str, signs: int, *, at_ms: int) -> bool:
        """Take into account what a labelled prediction shows; tell whether that is news."""
        if signs & REAL:
            return self._take(_FLAGS, "real", at_ms)
        bare = not signs & (SCORED | WORD | WORD_LABEL)
        two = binary_name(true)
        news = [self._take(_LABELS, two, at_ms), self._take(_CLASSES, two, at_ms)]
        if signs & CHANCE:
            news += [self._take(kind, "chance", at_ms) for kind in (_FLAGS, _CLASSES)]
            if bare:
                news.append(self._take(_FLAGS, "bare", at_ms))
            return any(news)
        news.append(self._take(_CLASSES, binary_name(predicted), at_ms))
        if not signs & INSIDE:
            news.append(self._take(_FLAGS, "beyond", at_ms))
        if bare:
            news += [self._take(_PREDICTED, predicted, at_ms), self._take(_TRUE, true, at_ms)]
        return any(news)

    def see_classes(self, found: Sequence[tuple[int, str]]) -> bool:
        """Take classes into account that are not 0 or 1; tell whether it is text now, or sooner.

        Parameters
        ----------
        found
            When each was seen, and its hash; they rise.
        """
        before = self._text_ms()
        self._take_earliest(_NAMES, found)
        return self._text_ms() < before

    def see_names(self, kind: int, found: Sequence[tuple[int, str]]) -> bool:
        """Take into account when features or segments were sent; tell if it is news.

        Of predictions, with a label or without.

        Parameters
        ----------
        kind
            `FEATURES` or `SEGMENTS`.
        found
            When each was sent, and its name; they rise.
        """
        return self._take_earliest(kind, found)

    def _take_earliest(self, kind: int, found: Sequence[tuple[int, str]]) -> bool:
        known, latest, news = self._first_ms[kind], None, False
        for one in found:
            if len(known) >= self._most[kind]:
                if latest is None:
                    latest = max((ms, name) for name, ms in known.items())
                if one >= latest:
                    break
            if self._take(kind, one[1], one[0]):
                latest, news = None, True
        return news

    def names(self, kind: int) -> Mapping[str, int]:
        """Features or segments, and when each was sent first; of many, the earliest."""
        return self._first_ms[kind]

    def too_many_ms(self, kind: int) -> int:
        """When one more had been sent than have a place."""
        first_ms = self._first_ms[kind]
        return max(first_ms.values()) if len(first_ms) >= self._most[kind] else NEVER_MS

    @property
    def classes(self) -> Mapping[str, int]:
        """Hashes of classes, and when each was seen first; of many, the earliest."""
        return self._first_ms[_NAMES]

    @property
    def names_ms(self) -> int:
        """From when on names of classes show nothing new."""
        return self._text_ms() if self.task.kind == "auto" else -1

    def _take(self, kind: int, name: str, at_ms: int) -> bool:
        """Remember when something was shown; of many, the earliest: they tell when it was many."""
        first_ms = self._first_ms[kind]
        known = first_ms.get(name)
        if known is not None:
            if known <= at_ms:
                return False
        elif len(first_ms) >= self._most[kind]:
            latest = max(first_ms, key=lambda one: (first_ms[one], one))
            if (first_ms[latest], latest) <= (at_ms, name):
                return False
            del first_ms[latest]
        first_ms[name] = at_ms
        self.dirty = True
        return True

    def absorb(self, other: "Shown") -> None:
        """Take everything into account that another has seen of the same model."""
        for kind, first_ms in enumerate(other._first_ms):
            for name, at_ms in first_ms.items():
                self._take(kind, name, at_ms)
        self.told = self.told or other.told

    def tell(self, orders: Sequence[Order]) -> bool:
        """Judge by what the model is told to be from when on; see `judge`.

        Parameters
        ----------
        orders
            In the order of time; the first holds from the beginning.
        """
        self._orders = list(orders)
        self.task = orders[-1].task
        return self.judge()

    # ------------------------------------------------------------------ what follows from it
    def judge(self) -> bool:
        """Judge anew, after what is news; tell whether the newest judgement is another."""
        before = self.newest
        self._judge()
        return self.newest.differs(before)

    @property
    def newest(self) -> Judged:
        """The judgement by everything that was shown."""
        return self._changes[-1]

    @property
    def since_ms(self) -> int:
        """From when on the newest judgement counts."""
        return self._since_ms

    @property
    def changes(self) -> bool:
        """Whether it was ever judged to be of another kind."""
        return len(self._starts) > 1

    def at(self, time_ms: int) -> Judged:
        """Return the judgement of a moment, by the last boundary that is not after it."""
        return self._changes[max(bisect_right(self._starts, time_ms) - 1, 0)]

    def spans(self, times_ms: NDArray[np.int64]) -> list[tuple[slice, Judged]]:
        """Cut rising times where the judgement changes."""
        if len(self._starts) == 1:
            return [(slice(0, len(times_ms)), self._changes[0])]
        ends = [*np.searchsorted(times_ms, self._starts[1:]).tolist(), len(times_ms)]
        found, start = [], 0
        for end, judged in zip(ends, self._changes, strict=True):
            if end > start:
                found.append((slice(start, end), judged))
                start = end
        return found

    def decided(self, time_ms: int) -> Judged | None:
        """Return the judgement of a moment, `None` before the first boundary."""
        return self.at(time_ms) if time_ms >= self._boundary_ms() else None

    def decided_ms(self, time_ms: int) -> int:
        """Return from when on the judgement of a moment counts, from the first boundary on."""
        return max(self._starts[bisect_right(self._starts, time_ms) - 1], self._boundary_ms())

    def as_of(self, time_ms: int) -> tuple[int, Judged, list[str]] | None:
        """Return the last boundary by a time, the judgement of it, and names of its classes.

        By what was shown before that boundary alone, the reason, too; `None` where that was
        nothing. Of three classes and more, there are no names.
        """
        order, boundary_ms = self._order(time_ms), self._boundary_ms()
        at_ms = time_ms // order.every_ms * order.every_ms
        if at_ms < boundary_ms:
            told = order.task.kind != "auto"
            return (at_ms, order.task.judge(Evidence()), []) if told else None
        known, judged = self._evidence(at_ms), self._judged(at_ms, boundary_ms)
        classes = sorted(known.labels if known.chance else known.classes)
        few = len(classes) <= MOST_CLASSES and not judged.is_last
        return at_ms, judged, classes if few else []

    @property
    def settled_ms(self) -> int:
        """From when on nothing can change any more: a regression stays one, and so does text."""
        return self._since_ms if self.newest.is_last else NEVER_MS

    @property
    def full_ms(self) -> int:
        """After when rows with a text or a score, and no chance, show nothing new."""
        classes, labels, flags = (self._first_ms[kind] for kind in (_CLASSES, _LABELS, _FLAGS))
        if min(len(classes), len(labels)) <= MOST_CLASSES:
            return NEVER_MS
        return max(*classes.values(), *labels.values(), flags.get("beyond", NEVER_MS))

    def _boundary_ms(self) -> int:
        kinds = self._first_ms[:_NAMES]
        first_ms = min((ms for kind in kinds for ms in kind.values()), default=NEVER_MS)
        return self._boundary_after_ms(first_ms)

    def _boundary_after_ms(self, time_ms: int) -> int:
        every_ms = self._order(time_ms).every_ms
        return (time_ms // every_ms + 1) * every_ms

    def _order(self, time_ms: int) -> Order:
        """Return what the model is told to be at a moment."""
        if len(self._orders) == 1:
            return self._orders[0]
        return self._orders[bisect_right(self._orders, time_ms, key=_FROM_MS) - 1]

    def _many_ms(self) -> int:
        """When there had been many different whole numbers on both sides."""
        sides = self._first_ms[_PREDICTED], self._first_ms[_TRUE]
        if min(map(len, sides)) <= MOST_NUMBERS:
            return NEVER_MS
        return max(max(side.values()) for side in sides)

    def _text_ms(self) -> int:
        """When there had been more different classes than a classifier has."""
        first_ms = self._first_ms[_NAMES]
        return max(first_ms.values()) if len(first_ms) >= self._most[_NAMES] else NEVER_MS

    def _judge(self) -> None:
        boundary_ms, first = self._boundary_ms(), self._orders[0]
        found = {-1: first.task.judge(Evidence())}
        times_ms = {ms for kind in _ALONE for ms in self._first_ms[kind].values()}
        for ms in (times_ms | {self._many_ms(), self._text_ms()}) - {NEVER_MS}:
            start_ms = ms if ms < boundary_ms else self._boundary_after_ms(ms)
            found[start_ms] = self._judged(start_ms, boundary_ms)
        for order in self._orders[1:]:
            found[order.from_ms] = self._judged(order.from_ms, boundary_ms)
        self._starts: list[int] = []
        self._changes: list[Judged] = []
        self._since_ms = -1
        for start_ms, judged in sorted(found.items()):
            if self._changes and not judged.differs(self._changes[-1]):
                self._changes[-1] = judged
                continue
            self._starts.append(start_ms)
            self._changes.append(judged)
            self._since_ms = start_ms

    def _judged(self, start_ms: int, boundary_ms: int) -> Judged:
        until_ms = start_ms + 1 if start_ms < boundary_ms else start_ms
        task, text_ms = self._order(start_ms).task, self._text_ms()
        if task.kind == "auto" and text_ms < until_ms:
            # What text shows from then on is not even looked at.
            before = text_ms + 1 if text_ms < boundary_ms else self._boundary_after_ms(text_ms)
            until_ms = min(until_ms, before)
        return task.judge(self._evidence(until_ms))

    def _evidence(self, until_ms: int) -> Evidence:
        classes, labels, flags = (
            frozenset(name for name, ms in self._first_ms[kind].items() if ms < until_ms)
            for kind in _ALONE
        )
        many = self._many_ms() < until_ms
        text = self._text_ms() < until_ms
        return Evidence(classes, labels, many, text, **dict.fromkeys(flags, True))

    # ------------------------------------------------------------------ written down
    def pack(self) -> list[Any]:
        """Return a form that msgpack can write."""
        return [self._first_ms, self.told]

    def restore(self, packed: Sequence[Any]) -> None:
        """Continue from what `pack` returned."""
        first_ms, self.told = packed
        self._first_ms = [*first_ms, *({} for _ in self._most[len(first_ms) :])]
        for kind in (_NAMES, FEATURES, SEGMENTS):
            if len(self._first_ms[kind]) > self._most[kind]:
                earliest = sorted(self._first_ms[kind].items(), key=lambda one: (one[1], one[0]))
                self._first_ms[kind] = dict(earliest[: self._most[kind]])
        self._judge()
