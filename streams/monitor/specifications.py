"""Specifications of what to watch that have come while workers run: which holds, which wait.

One takes effect at the first boundary of panes that the ordered stream passes at or after the time
that it carries. Once it has come, that boundary is fixed, and written down: whoever reads the
state, or the same records again, finds the same.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from operator import attrgetter
from typing import Any, TypeVar

import msgspec

from streams.cells.comparing import Said
from streams.errors import ConfigError, StateError
from streams.monitors import Monitors
from streams.monitors_file import parse_monitors
from streams.shown import Order
from streams.specification import Specification, check_rules, completed
from streams.task import Task

Timed = TypeVar("Timed", "Told", "Compared")

MOST_WAITING = 16
"""More that wait for their time are refused."""


class Change(msgspec.Struct, frozen=True, array_like=True):
    """A specification that holds, or waits.

    Attributes
    ----------
    offset
        Of its record.
    from_ms
        Boundary from which on it holds; -1 while that is not known.
    """

    offset: int
    effective_ms: int
    content: bytes | None
    from_ms: int = -1


class Told(msgspec.Struct, frozen=True, array_like=True):
    """What models are told to be from a moment on; no tasks: what the worker was started with."""

    from_ms: int
    tasks: dict[str, tuple[str, str | None]] | None = None
    evaluate_ms: int = 0


class Compared(msgspec.Struct, frozen=True, array_like=True):
    """A specification by which windows that begin from a moment on are compared."""

    from_ms: int
    content: bytes | None = None


class Specifications:
    """Specifications of a partition.

    Parameters
    ----------
    own
        What the worker was started with.
    said
        What was said of specifications in this process, of any partition.

    Attributes
    ----------
    holding
        The one that holds; `None` if there was never any.
    waiting
        Those that have come and do not hold yet: first those whose boundary is known, in its
        order.
    told
        What models are told to be, of all times that a window may still be judged by.
    compared
        By what windows are compared, of all times at which one may begin that is still published.
    keys
        Under which the state of its detectors is written down, by their names.
    dirty
        Whether it is not written down as it is.
    restored
        Whether `holding` was read back, and nobody was told since.
    """

    def __init__(self, own: Monitors, said: set[str]) -> None:
        self.own, self.said = own, said
        self.holding: Change | None = None
        self.waiting: list[Change] = []
        self.told = [Told(-1)]
        self.compared = [Compared(-1)]
        self.keys: dict[str, str] = {}
        self.dirty = self.restored = False
        self._monitors: dict[bytes, Monitors] = {}

    @property
    def monitors(self) -> Monitors:
        """What is watched now."""
        return self.own if self.holding is None else self.of(self.holding)

    def of(self, change: Change) -> Monitors:
        """Return what a specification says.

        Raises
        ------
        StateError
            If this build refuses what another one has accepted.
        """
        return self._of(change.content, f"offset {change.offset} of its topic")

    def _of(self, content: bytes | None, place: str) -> Monitors:
        if content is None:
            return self.own
        if content not in self._monitors:
            try:
                parsed = parse_monitors(msgspec.json.decode(content), file="monitors")
                check_rules(parsed, self.own)
            except ConfigError as error:
                raise StateError(
                    f"the specification in the state, {place}, is refused by this build: {error}"
                ) from None
            self._monitors[content] = completed(parsed, self.own)
        return self._monitors[content]

    # ------------------------------------------------------------------ coming
    def add(self, offset: int, given: Specification) -> bool:
        """Let one wait until it is known from when on it holds; tell whether there was room."""
        if len(self.waiting) >= MOST_WAITING:
            return False
        self.waiting.append(Change(offset, given.effective_ms, given.content))
        self.dirty = True
        return True

    @property
    def changing(self) -> bool:
        """Whether models may be told different things at different times."""
        return len(self.told) > 1 or bool(self.waiting)

    @property
    def unscheduled(self) -> list[Change]:
        """Those of which it is not known from when on they hold."""
        return [one for one in self.waiting if one.from_ms < 0]

    def schedule(self, change: Change, *, from_ms: int) -> None:
        """Say from when on one holds; what came before it, to hold later, never does."""
        kept = [one for one in self.waiting if one.offset != change.offset]
        at = [one for one in kept if 0 <= one.from_ms < from_ms]
        later = [one for one in kept if one.from_ms < 0]
        self.waiting = [*at, msgspec.structs.replace(change, from_ms=from_ms), *later]
        self.dirty = True

    def due(self, until_ms: int) -> Iterator[Change]:
        """Yield those that come to hold until then, each to be put into effect before the next."""
        while self.waiting and 0 <= self.waiting[0].from_ms <= until_ms:
            yield self.waiting[0]

    def begin(self, change: Change, *, keep_ms: int, needed_ms: int) -> bool:
        """Let the next one hold; return whether it tells models something else.

        Parameters
        ----------
        keep_ms
            Nobody asks any more what models were told to be so long before.
        needed_ms
            When the first window begins that is still to be published.
        """
        self.waiting.remove(change)
        self.holding = change
        known = self._told(change)
        retold = not _alike(known, self.told[-1])
        if retold:
            self.told.append(known)
        if self.of(change).compared != self._of(self.compared[-1].content, "before").compared:
            self.compared.append(Compared(change.from_ms, change.content))
        oldest_ms = change.from_ms - keep_ms
        self.told = _since(self.told, oldest_ms)
        self.compared = _since(self.compared, min(oldest_ms, needed_ms))
        self.dirty = True
        return retold

    def _told(self, change: Change) -> Told:
        if change.content is None:
            return Told(change.from_ms)
        monitors = self.of(change)
        tasks = {name: (task.kind, task.positive) for name, task in monitors.models.items()}
        return Told(change.from_ms, tasks, monitors.evaluate_ms)

    def comparisons(self) -> list[Said]:
        """Return what windows of models are compared with, from when on."""
        return [
            Said(one.from_ms, self._of(one.content, "by which windows are compared").compared)
            for one in self.compared
        ]

    # ------------------------------------------------------------------ what models are told
    def orders(self, model: str) -> list[Order]:
        """Return what a model is told to be, from when on; the first holds from the beginning."""
        found: list[Order] = []
        for told in self.told:
            every_ms = self.own.evaluate_ms if told.tasks is None else told.evaluate_ms
            order = Order(told.from_ms, self._tasks(told).get(model, Task()), every_ms)
            if not found or order[1:] != found[-1][1:]:
                found.append(order)
        return [found[0]._replace(from_ms=-1), *found[1:]]

    def tasks(self) -> list[tuple[int, dict[str, Task]]]:
        """Return what models are told to be, by what held, holds and waits, each from when on."""
        every = [(told.from_ms, self._tasks(told)) for told in self.told]
        every += [(o.from_ms, self.of(o).models) for o in self.waiting if o.from_ms >= 0]
        found = every[:1]
        for from_ms, tasks in every[1:]:
            if tasks != found[-1][1]:
                found.append((from_ms, tasks))
        return found

    def _tasks(self, told: Told) -> dict[str, Task]:
        if told.tasks is None:
            return self.own.models
        return {name: Task(*task) for name, task in told.tasks.items()}

    # ------------------------------------------------------------------ written down
    def pack(self) -> list[Any]:
        """Return a form that msgpack can write."""
        holding = [] if self.holding is None else [self.holding]
        lists = (holding, self.waiting, self.told)
        found = [*([_plain(one) for one in some] for some in lists), self.keys]
        if self.compared != [Compared(-1)]:
            own = None if self.holding is None else self.holding.content
            found.append(
                [
                    (one.from_ms, True if one.content and one.content == own else one.content)
                    for one in self.compared
                ]
            )
        return found

    def restore(self, packed: Sequence[Any]) -> None:
        """Put back what `pack` returned."""
        holding, waiting, told, self.keys, *compared = packed
        self.holding = msgspec.convert(holding[0], Change) if holding else None
        self.waiting = [msgspec.convert(one, Change) for one in waiting]
        self.told = [msgspec.convert(one, Told) for one in told]
        self.restored = self.holding is not None
        for some in compared:
            own = None if self.holding is None else self.holding.content
            self.compared = [
                Compared(from_ms, own if content is True else content) for from_ms, content in some
            ]


def _since(some: list[Timed], oldest_ms: int) -> list[Timed]:
    """Return those that anybody still asks for who goes by a time from then on."""
    return some[max(bisect_right(some, oldest_ms, key=attrgetter("from_ms")) - 1, 0) :]


def _plain(one: Change | Told) -> tuple[Any, ...]:
    return msgspec.structs.astuple(one)


def _alike(one: Told, other: Told) -> bool:
    return (one.tasks, one.evaluate_ms) == (other.tasks, other.evaluate_ms)
