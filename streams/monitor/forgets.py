"""Orders to forget models: which wait for their time, and which are still to be observed.

An order takes effect at the first boundary of panes that the ordered stream passes at or after the
time that it carries. Of its models, only predictions that were made from then on count. Rows of
these that come before the boundary was passed are put off, so that nothing of the model is left
there but what goes; rows of predictions before it that come later are left out. After the time in
which labels may come, there are no such rows any more, and the order is done with.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np

from streams.features import choose
from streams.forget_record import Forget
from streams.model_keys import Models, Name, pack_names
from streams.monitor.orders import Orders
from streams.outcomes import FateRows, Ints, OutcomeRows, Outcomes, PredictionRows
from streams.shown import NEVER_MS


class Order(msgspec.Struct, frozen=True, array_like=True):
    """An order that waits, or is to be observed.

    Attributes
    ----------
    offset
        Of its record.
    from_ms
        Boundary at which it takes effect; -1 while that is not known.
    begun
        Whether it is in effect.
    """

    offset: int
    model: str
    version: str | None
    effective_ms: int
    from_ms: int = -1
    begun: bool = False

    def is_for(self, name: Name) -> bool:
        """Tell whether a model version is meant."""
        return self.model == name[0] and self.version in (None, name[1])


class Sorted(NamedTuple):
    """The rows of a record: what counts now, what is put off (`None`: nothing), how many go."""

    now: Outcomes
    later: Outcomes | None
    gone: int


class Forgets(Orders[Order]):
    """Orders of a partition.

    Attributes
    ----------
    past
        Those in effect that are still to be observed.
    put_off
        Offset of a record, and those of its rows that are put off.
    parts
        Of how many parts more of a record than one it is to be known that they are done with.
    """

    def __init__(self) -> None:
        super().__init__()
        self.past: list[Order] = []
        self.put_off: list[tuple[int, Outcomes]] = []
        self.parts = Counter[int]()

    # ------------------------------------------------------------------ coming, taking effect
    def add(self, offset: int, given: Forget) -> bool:
        """Let one wait until its boundary is known; tell whether there was room."""
        return self.let_wait(Order(offset, given.model, given.version, given.effective_ms))

    def begin(self, order: Order) -> list[tuple[int, Outcomes]]:
        """Let the next one be in effect; return all rows that were put off, to be sorted anew."""
        self._take_out(order.offset)
        self.past.append(msgspec.structs.replace(order, begun=True))
        self.changed.add(order.offset)
        put_off, self.put_off = self.put_off, []
        return put_off

    def settle(self, watermark_ms: int, *, keep_ms: int) -> None:
        """Be done with those of which no rows can come any more.

        Parameters
        ----------
        keep_ms
            Rows that are older count nowhere.
        """
        kept = [one for one in self.past if one.from_ms + keep_ms > watermark_ms]
        if len(kept) < len(self.past):
            self.changed.update({one.offset for one in self.past} - {one.offset for one in kept})
            self.past = kept

    # ------------------------------------------------------------------ rows
    def sort(self, record: Outcomes, known: Collection[Name]) -> Sorted | None:
        """Sort the rows of a record; `None` where all of them count now.

        Parameters
        ----------
        known
            Models of which something is known: fates of others, where they have no time, come of
            rows that are left out.
        """
        if not (self.past or self.waiting):
            return None
        names = record.models.names
        since_ms, until_ms = self._bounds(names)
        if since_ms is None or until_ms is None:
            return None
        p, o = record.predictions, record.outcomes
        counted = [rows.time_ms >= since_ms[rows.model] for rows in (p, o)]
        early = [rows.time_ms < until_ms[rows.model] for rows in (p, o)]
        now = [np.flatnonzero(c & e) for c, e in zip(counted, early, strict=True)]
        later = [np.flatnonzero(c & ~e) for c, e in zip(counted, early, strict=True)]
        f, fate_ms = record.fates.model, record.fates.time_ms
        own = np.isin(f, np.concatenate([p.model[now[0]], o.model[now[1]]]))
        there = np.array([name in known for name in names], np.bool_)
        untold = own | there[f] | (since_ms[f] < 0)
        kept = np.where(fate_ms < 0, untold, fate_ms >= since_ms[f])
        after = fate_ms >= until_ms[f]
        fates, fates_later = np.flatnonzero(kept & ~after), np.flatnonzero(kept & after)
        gone = sum(int(np.count_nonzero(~c)) for c in counted)
        if not gone and not any(map(len, later)) and len(fates) == len(f):
            return None
        waits = any(map(len, (*later, fates_later)))
        return Sorted(
            _chosen(record, names, now, fates),
            _chosen(record, names, later, fates_later) if waits else None,
            gone,
        )

    def bounds(self, name: Name) -> tuple[int, int]:
        """Return from when on rows of a model count, and until when they do now."""
        return _bounds_by((*self.past, *self.waiting), name)

    def _bounds(self, names: Sequence[Name]) -> tuple[Ints, Ints] | tuple[None, None]:
        """Return from when on rows of each model count, and until when they do now."""
        own: dict[str, list[Order]] = {}
        for one in (*self.past, *self.waiting):
            own.setdefault(one.model, []).append(one)
        places = [place for place, name in enumerate(names) if name[0] in own]
        if not places:
            return None, None
        since_ms, until_ms = np.full(len(names), -1), np.full(len(names), NEVER_MS)
        for place in places:
            name = names[place]
            since_ms[place], until_ms[place] = _bounds_by(own[name[0]], name)
        return since_ms, until_ms

    # ------------------------------------------------------------------ written down
    def changes(self) -> list[tuple[int, Any]]:
        """Return offset and content of every order that has changed, once; `None` deletes."""
        every = {one.offset: one for one in (*self.past, *self.waiting)}
        changed, self.changed = self.changed, set()
        return [
            (offset, msgspec.structs.astuple(every[offset])[1:] if offset in every else None)
            for offset in sorted(changed)
        ]

    def restore(self, offset: int, content: Sequence[Any] | None) -> None:
        """Put back what `changes` returned."""
        self.past = [one for one in self.past if one.offset != offset]
        self._take_out(offset)
        if content is None:
            return
        order = Order(offset, *content)
        if order.begun:
            self.past.append(order)
        else:
            self._put(order)


def _bounds_by(orders: Iterable[Order], name: Name) -> tuple[int, int]:
    """Return from when on rows of a model count by some orders, and until when they do now."""
    own = [one for one in orders if one.is_for(name)]
    since_ms = max((one.from_ms for one in own if one.begun), default=-1)
    until_ms = min((o.from_ms for o in own if not o.begun and o.from_ms >= 0), default=NEVER_MS)
    return since_ms, until_ms


def _chosen(record: Outcomes, names: Sequence[Name], rows: Sequence[Ints], fates: Ints) -> Outcomes:
    """Return some rows of a record, predictions and outcomes; it names no other models."""
    predictions, outcomes = rows
    p, o, f = record.predictions, record.outcomes, record.fates
    own = p.model[predictions], o.model[outcomes], f.model[fates]
    kept = np.unique(np.concatenate(own))
    number = np.zeros(len(names), np.int32)
    number[kept] = np.arange(len(kept))
    models = Models(
        record.models.keys[kept],
        record.models.checks[kept],
        pack_names([names[place] for place in kept.tolist()]),
    )
    columns = [
        [number[model], *(getattr(part, name)[chosen] for name in part.__struct_fields__[1:])]
        for part, model, chosen in zip((p, o, f), own, (*rows, fates), strict=True)
    ]
    return Outcomes(
        models,
        record.strings,
        record.segment_sets,
        PredictionRows(*columns[0]),
        choose(record.features, predictions, count=len(p.time_ms)),
        OutcomeRows(*columns[1]),
        FateRows(*columns[2]),
    )
