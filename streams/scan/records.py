"""How the scan is written down: chunks of lanes in parts of bounded size, and steps of a pane.

Sums of panes and hours are written once they are over. Of the pane under way, each step writes what
it has added, under a number of its own: put back, in any order, that is the pane again. Once it is
over, the steps are deleted. Where a lane is forgotten meanwhile, they are replaced by what is left.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import numpy as np

from streams.errors import StateError
from streams.scan.filling import Filling
from streams.scan.growing import forget_moments, take_kinds
from streams.scan.inputs import INPUTS, RANKED_BY_NAME
from streams.scan.lanes import CHUNK, PARTS, Ints, Lanes, Name
from streams.scan.life import Life, Open
from streams.scan.panes import DAY_HOURS, HOUR_PANES, KEPT_HOURS, KEPT_PANES
from streams.scan.ranks import Tables
from streams.scan.river import River
from streams.scan.samples import Samples
from streams.scan.sets import Sets
from streams.scan.tally import Tally

Key = tuple[Any, ...]

_STEP, _RANKS, _OPEN, _TALLY, _RIVER = "step", "ranks", "open", "tally", "river"


class Written:
    """What of the scan is not written down as it is."""

    def __init__(
        self,
        lanes: Lanes,
        samples: Samples,
        tables: Tables,
        sets: Sets,
        *,
        life: Life,
        filling: Filling,
        tally: Tally,
    ) -> None:
        self._lanes, self._samples, self._tables, self.sets = lanes, samples, tables, sets
        self._life, self._filling, self.tally = life, filling, tally
        self.river = River()
        self._changed: dict[tuple[str, int, int], None] = {}
        self._steps: dict[int, Any] = {}  # None once it is in the lanes
        self._gone: set[int] = set()
        self._anew = False
        self._settled = True

    # ------------------------------------------------------------------ what changes
    def drawn(self, lane: int) -> None:
        """Note that a lane has another table; with its last, it has begun anew."""
        self._changed[_RANKS, lane // CHUNK, 0] = None
        name = self._lanes.names[lane]
        if self._lanes["final"][lane] and name is not None:
            ranked = RANKED_BY_NAME.get(INPUTS[name[1]].name)
            own = [lane] if ranked is None else self._lanes.alongside(lane, ranked)
            self._everything([one // CHUNK for one in own])

    def begun(self, lane: int) -> None:
        """Note that a lane begins with sums."""
        self._everything([lane // CHUNK])

    def named(self, lanes: Ints) -> None:
        """Note that lanes belong to somebody, or have learnt."""
        for chunk in np.unique(lanes // CHUNK).tolist():
            self._changed["facts", chunk, 0] = None

    def seen_by_river(self, lanes: Ints) -> None:
        """Note that detectors have seen more of lanes."""
        for chunk in np.unique(lanes // CHUNK).tolist():
            self._changed[_RIVER, chunk, 0] = None

    def forgotten(self, lane: int) -> None:
        """Note that a lane is forgotten: nothing of it may come back."""
        self._changed[_RIVER, lane // CHUNK, 0] = None
        self._everything([lane // CHUNK])
        self._changed[_RANKS, lane // CHUNK, 0] = None
        self._changed[_OPEN, lane // CHUNK, 0] = None
        self._anew = True

    def _everything(self, chunks: Sequence[int]) -> None:
        for chunk in chunks:
            for part in ("facts", "totals"):
                self._changed[part, chunk, 0] = None
            for part, count in (
                ("panes", KEPT_PANES // HOUR_PANES),
                ("hours", KEPT_HOURS // DAY_HOURS),
                ("moments", DAY_HOURS),
            ):
                for slot in range(count):
                    self._changed[part, chunk, slot] = None

    def counted(self, found: Sequence[tuple[int, int]]) -> None:
        """Note that hours of lanes which are over have more."""
        for chunk, slot in {(lane // CHUNK, hour // DAY_HOURS) for lane, hour in found}:
            self._changed["hours", chunk, slot] = None

    def closed(self, pane: int) -> None:
        """Note that a pane is over."""
        self._gone.update(self._steps)
        self._steps.clear()
        self._anew = False
        chunks = np.unique(self._lanes.used() // CHUNK).tolist()
        slots = [("totals", 0), ("panes", pane % KEPT_PANES // HOUR_PANES)]
        if (pane + 1) % HOUR_PANES == 0:
            hour = pane // HOUR_PANES
            slots.append(("hours", hour % KEPT_HOURS // DAY_HOURS))
        for chunk in chunks:
            for part, slot in slots:
                self._changed[part, chunk, slot] = None
        for lane in self._filling.take_drawn():
            self._changed[_RANKS, lane // CHUNK, 0] = None

    def measured(self, hour: int) -> None:
        """Note that lanes that learn have the moments of an hour."""
        for chunk in np.unique(self._lanes.moments.lanes // CHUNK).tolist():
            self._changed["moments", chunk, hour % DAY_HOURS] = None

    # ------------------------------------------------------------------ writing
    def changes(self) -> Iterator[tuple[Key, Any]]:
        """Yield what is to be written down, and what to be deleted, since this was last asked."""
        for lane in self._life.changed:
            self._changed[_OPEN, lane // CHUNK, 0] = None
        self._everything(sorted({lane // CHUNK for lane in self._life.begun_anew}))
        self._life.changed.clear()
        self._life.begun_anew.clear()
        changed, self._changed = sorted(self._changed), {}
        ranks = [range(c * CHUNK, (c + 1) * CHUNK) for part, c, _ in changed if part == _RANKS]
        self._samples.settle(lane for lanes in ranks for lane in lanes)
        for part, chunk, slot in changed:
            yield (part, chunk, slot), self._content(part, chunk, slot)
        for model, place in sorted(self.tally.changed):
            yield (_TALLY, model, place), self.tally.pack(model, place)
        self.tally.changed.clear()
        if self._anew:
            self._anew = False
            self._gone.update(self._steps)
            self._steps.clear()
            steps = self._filling.whole()
            for chunk in sorted({lane // CHUNK for lane in self._filling.take_drawn()}):
                yield (_RANKS, chunk, 0), self._content(_RANKS, chunk, 0)
        else:
            steps = self._filling.changes()
        first = max([-1, *self._steps, *self._gone]) + 1
        for number, step in enumerate(steps, start=first):
            self._steps[number] = None
            yield (_STEP, number, 0), step
        for gone in sorted(self._gone):
            yield (_STEP, gone, 0), None
        self._gone.clear()

    def _content(self, part: str, chunk: int, slot: int) -> Any:
        lanes = range(chunk * CHUNK, (chunk + 1) * CHUNK)
        if part == _RANKS:
            return [
                [
                    self._samples.pack(one),
                    self._tables.pack(int(self._lanes["table"][one])),
                    *([codes] if (codes := self.sets.pack(one)) else []),
                ]
                for one in lanes
            ]
        if part == _RIVER:
            return self.river.pack(lanes)
        if part == _OPEN:
            some = ((one, self._life.open.get(one)) for one in lanes)
            return [
                [lane, *msgspec.structs.astuple(known)] for lane, known in some if known is not None
            ]
        packed = self._lanes.pack(part, chunk, slot)
        return [self._lanes.names[lanes.start : lanes.stop], packed] if part == "facts" else packed

    # ------------------------------------------------------------------ reading
    def fold(self, key: Sequence[Any], content: Any) -> None:
        """Put back what `changes` yielded, whatever was put back before.

        Raises
        ------
        StateError
            If it is something else.
        """
        self._settled = False
        part, place, slot = key
        if part == _STEP:
            if content is None:
                self._steps.pop(place, None)
            else:
                self._steps[place] = content
            return
        if part == _TALLY:
            self.tally.restore(str(place), int(slot), content)
            return
        if content is None:
            return
        if part == _RANKS:
            self._fold_ranks(place, content)
        elif part == _OPEN:
            self._fold_open(place, content)
        elif part == _RIVER:
            self.river.restore(range(place * CHUNK, (place + 1) * CHUNK), content)
        elif part in PARTS:
            self._fold_columns(part, place, slot, content)
        else:
            raise StateError(f"the scan knows no {part!r:.20}")

    def _fold_columns(self, part: str, chunk: int, slot: int, content: Any) -> None:
        packed = content
        if part == "facts":
            names, packed = content
            self._lanes.name_chunk(chunk, [None if one is None else _name(one) for one in names])
        if not self._lanes.restore(part, chunk, slot, packed):
            raise StateError(f"the scan's {part} of chunk {chunk} are damaged")

    def _fold_ranks(self, chunk: int, content: Any) -> None:
        self._lanes.reserve(chunk)
        for lane, (sample, table, *codes) in enumerate(content, start=chunk * CHUNK):
            self._samples.restore(lane, sample)
            self.sets.restore(lane, codes[0] if codes else b"")
            row = int(self._lanes["table"][lane])
            if table:
                row = self._tables.put(np.frombuffer(table, "<f8").astype(np.float64), row=row)
            else:
                self._tables.forget(row)
                row = -1
            self._lanes["table"][lane] = row

    def _fold_open(self, chunk: int, content: Any) -> None:
        for lane in [lane for lane in self._life.open if lane // CHUNK == chunk]:
            del self._life.open[lane]
        for lane, *known in content:
            self._life.open[lane] = Open(*known)

    @property
    def is_settled(self) -> bool:
        """Whether nothing was put back since `settle`."""
        return self._settled

    def settle(self) -> bool:
        """After all was put back, add the steps of the pane under way; tell whether it was so."""
        if self._settled:
            return False
        self._settled = True
        self._lanes.settle()
        take_kinds(self._lanes, self._tables, self._lanes.used())
        forget_moments(self._lanes, self._lanes.moments.lanes)
        for number in sorted(self._steps):
            if self._steps[number] is not None:
                self._filling.restore(self._steps[number])
                self._steps[number] = None
        return True


def _name(packed: Sequence[Any]) -> Name:
    model, place, what = packed
    return str(model), int(place), str(what)
