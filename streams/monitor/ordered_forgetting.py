"""Models are forgotten by an order, at the boundary at which it takes effect.

All goes that is known of such a model, and what was published of it is deleted, as far as that is
known. Rows from then on were put off until here: with them, the model is a new one.
"""

from collections.abc import Callable, Collection

import numpy as np

from streams.cells.withdrawn import published_keys
from streams.moments import time_text
from streams.monitor.changing import counted_places
from streams.monitor.counting_readings import CountingReadings
from streams.monitor.forgets import Order
from streams.places import Filled
from streams.probabilities import Oddity
from streams.steps import Record
from streams.tables import Table, without

_NOBODY = -1
"""Code under which deletions are published: theirs may be another model's by the end of a step."""


class OrderedForgetting(CountingReadings):
    """A step, as far as it is about orders to forget models."""

    def schedule_forgets(self) -> None:
        """Fix when orders take effect that have just come: nothing is counted beyond."""
        state, known = self.state, self.state.forgets
        pane_ms = state.windows.windowing.pane_ms
        for order in known.unscheduled:
            codes = self._meant(order)
            owners, panes = counted_places(state) if codes else (np.empty(0),) * 2
            newest = int(panes[np.isin(owners, codes)].max(initial=-1)) if codes else -1
            come_ms = max(state.watermark_ms, (newest + 1) * pane_ms, order.effective_ms, 0)
            from_ms = -(-come_ms // pane_ms) * pane_ms
            known.schedule(order, from_ms=from_ms)
            if codes and from_ms >= order.effective_ms + pane_ms:
                self.remarks.append(
                    f"{self.topics.monitors}@{order.offset} has come later than the records of its"
                    f" time: model {order.model!r} is forgotten at {time_text(from_ms)}, not at"
                    f" {time_text(order.effective_ms)}"
                )

    def _meant(self, order: Order) -> list[int]:
        return [code for name, code in self.state.codes.items() if order.is_for(name)]

    def forget_ordered(self, order: Order) -> None:
        """Forget the models of an order, all rows before which were taken in order."""
        state, codes = self.state, self._meant(order)
        if codes:
            for code in codes:
                state.alerts.end(code, at_ms=order.from_ms, message="the model is forgotten")
                self._say_forgotten(code, f"{self.topics.monitors}@{order.offset} says so")
            self._leave_waiting(codes)
            # Of windows that ended long ago, what is published stays: the whole of it, then.
            self._publish_rest(codes, order.from_ms)
            keys = published_keys(state.windows, codes, clock_ms=order.from_ms)
            self.published += ((_NOBODY, Record(self.topics.metrics, k, None)) for k in keys)
            with self._left_by(codes):
                self._forget(codes)
        put_off = state.forgets.begin(order)
        if put_off:
            self._take_in(put_off)
        self.count_readings()

    def _leave_waiting(self, codes: Collection[int]) -> None:
        """Let no rows of models wait: they are of predictions before the order."""
        self._wait_without(lambda table: without(table, codes))

    def fill(self, filled: Filled) -> None:
        """Let others than the first features or segments of a model be left out from now on."""
        state, code = self.state, filled.model
        state.fill(filled.kind, code)
        self._wait_without(self._stripped)
        state.windows.revise(code, clock_ms=filled.from_ms)
        places = state.places[filled.kind]
        most = len(places.full[code].names)
        self._oddity(_too_many(*state.names[code], most=most, what=places.what))

    def _stripped(self, table: Table) -> tuple[Table, int]:
        table, left_out = self.strip(table)
        return table, left_out.total()

    def _wait_without(self, left: Callable[[Table], tuple[Table, int]]) -> None:
        """Let what is left of tables wait, and be seen by rules."""
        state, waiting = self.state, self.state.waiting
        state.waiting = []
        for one in waiting:
            table, gone = left(one.table)
            if not gone:
                state.waiting.append(one)
            elif not self._let_wait(self._observed(table), one.offsets):
                self.done(one.offsets)


def _too_many(model: str, version: str, *, most: int, what: str) -> Oddity:
    shown = f"model {model!r}" + (f", version {version!r}," if version else "")
    text = f"{shown} has more than {most:,} {what}: all beyond the first are left out"
    return Oddity(model, version, what, text)
