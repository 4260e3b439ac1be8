"""Say who is ahead of the clock: which input, by how much, and a model that it came from.

Nothing of this is written down: after a restart it is said once more.
"""

from collections.abc import Iterator

import msgspec
import numpy as np

from streams.durations import format_duration
from streams.input_clock import InputClock, Seen

WORTH_SAYING_MS = 60_000


class Ahead(msgspec.Struct, frozen=True):
    """Records of an input that the clock does not follow.

    Attributes
    ----------
    records
        How many of the last ones, of different ids.
    ahead_ms
        How far the furthest is ahead of the clock.
    model
        Of one of them; empty if nobody knows it, as of a label without prediction.
    """

    topic: str
    partition: int
    records: int
    ahead_ms: int
    model: str = ""

    def __str__(self) -> str:
        of = f", the latest of model {self.model!r}" if self.model else ""
        records = f"{self.records} records are" if self.records > 1 else "a record is"
        return (
            f"{self.topic}/{self.partition}: {records} up to {format_duration(self.ahead_ms)} ahead"
            f" of the others{of}; the clock does not follow"
        )


class FastClocks:
    """What is known of it in one partition."""

    def __init__(self, partition: int) -> None:
        self._partition = partition
        self._models: dict[str, str] = {}
        self._told: set[str] = set()

    def ahead(self, topic: str, clock: InputClock) -> Ahead:
        """Return what is ahead of an input's clock now."""
        records, ahead_ms = clock.lead()
        model = self._models.get(topic, "") if records else ""
        return Ahead(topic, self._partition, records, ahead_ms, model)

    def look(self, topic: str, clock: InputClock, seen: Seen) -> Iterator[str]:
        """Yield what is new, after an input's clock has followed a batch."""
        followed, where = clock.followed, f"clock of {topic}/{self._partition}"
        if followed is None and not clock.ahead:
            self._told.discard(topic)
            return
        before = self._models.get(topic, "")
        if clock.fresh:
            self._models[topic] = _model(clock, seen) or before
        model = self._models.get(topic, "")
        of = f" of model {model!r}" if model else ""
        if followed is not None and followed[2] >= WORTH_SAYING_MS:
            records, length, jump_ms = followed
            yield (
                f"{where} follows its fast records{of}: {records} of the last {length} are"
                f" {format_duration(jump_ms)} ahead of the others; labels of the others may be lost"
            )
        _, ahead_ms = clock.lead()
        if ahead_ms >= WORTH_SAYING_MS and topic not in self._told:
            self._told.add(topic)
            yield (
                f"{where} does not follow a record{of} that is {format_duration(ahead_ms)} ahead of"
                " the others: is a producer's clock fast?"
            )


def _model(clock: InputClock, seen: Seen) -> str | None:
    """Name the model of the latest record of a batch that was ahead."""
    fresh = np.fromiter(clock.fresh, np.uint64, len(clock.fresh))
    found = np.flatnonzero(np.isin(seen.ids, fresh))
    ahead = found[seen.times_ms[found] > clock.newest_ms] if clock.followed is None else found
    return seen.model_of(int(ahead[-1])) if len(ahead) else None
