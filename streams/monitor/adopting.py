"""A step, as far as it is about orders to adopt a level that an alert is about."""

from streams.adoption_record import ADOPTED, Adoption, is_adoption, read_adoption
from streams.errors import RecordError
from streams.moments import time_text
from streams.monitor.adoptions import Waiting
from streams.monitor.ordered_forgetting import OrderedForgetting
from streams.monitor.orders import MOST_WAITING
from streams.partitioning import partition_of
from streams.scan.panes import PANE_MS
from streams.steps import Batch, DeadLetter

_LIMIT = (
    "its limit is that of the monitors file: change it there, or give a silence; only what"
    " detectors have found can be adopted"
)


class Adopting(OrderedForgetting):
    """What a step does about feedback; verdicts are for others."""

    def take_feedback(self, batch: Batch, *, partitions: int) -> None:
        """Take records of the topic of feedback; only the first partition writes a dead letter."""
        state = self.state
        for offset, key, value in zip(batch.offsets, batch.keys, batch.values, strict=True):
            if value is None or not is_adoption(key):
                continue
            try:
                given = read_adoption(value, key=key)
                own = partition_of(given.model, partitions) == state.partition
                if own and not state.adoptions.add(offset, given):
                    said = f"{MOST_WAITING:,} others wait for their time already"
                    raise RecordError("invalid_feedback", said)
            except RecordError as error:
                if state.partition == 0:
                    self.refused.append(
                        DeadLetter(
                            batch.topic, offset, key, value, None, error.reason, error.detail
                        )
                    )
                self._say(f"{batch.topic}@{offset} is refused: {error}")

    def schedule_adoptions(self) -> None:
        """Fix when orders take effect that have just come."""
        state = self.state
        for order in state.adoptions.unscheduled:
            wanted_ms = order.given.effective_ms
            from_ms = -(-max(wanted_ms, state.watermark_ms, 0) // PANE_MS) * PANE_MS
            state.adoptions.schedule(order, from_ms=from_ms)
            if from_ms >= wanted_ms + PANE_MS:
                self.remarks.append(
                    f"{self._place(order)} has come later than the records of its time: it takes"
                    f" effect at {time_text(from_ms)}, not at {time_text(wanted_ms)}"
                )

    def adopt(self, order: Waiting) -> None:
        """Take the level that an alert is about for the usual one: all before was taken in order.

        Of an alert that does not fire, nothing is done: it is over, or never was.
        """
        state, given = self.state, order.given
        state.adoptions.done(order)
        found = state.alerts.find(given.alert_id, given.model)
        if found is None:
            self.adoptions_left += 1
            self._say(f"{self._place(order)}: no alert {given.alert_id!r} of {given.model!r} fires")
            return
        code, key, alert = found
        if alert.kind != ADOPTED:
            self.adoptions_left += 1
            self._say(f"{self._place(order)}: {key[0]!r} cannot be adopted: {_LIMIT}")
            return
        keys = {key} | state.scan.adopt(given.model, key, at_ms=order.from_ms)
        message = _message(given)
        for each in sorted(keys):
            state.alerts.adopted(code, each, at_ms=order.from_ms, by=given.by, message=message)
        self.combine()
        self.adopted += 1

    def _place(self, order: Waiting) -> str:
        return f"{self.topics.feedback}@{order.offset}"


def _message(given: Adoption) -> str:
    return f"adopted by {given.by}" + (f": {given.note}" if given.note else "")
