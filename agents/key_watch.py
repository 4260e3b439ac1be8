"""Watch whether predictions and their labels are sent to the same partitions, by a few keys.

Labels that are sent with another partitioner than predictions meet them by luck: coverage falls to
one over the number of partitions, and every other number stays plausible. No result depends on what
is looked at here. A finding must come twice, of keys that were not looked at before: after
partitions were added to topics, old records of one may be behind new ones of the other for a while.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agents.exits import say
from agents.health import Health
from streams.partitioning import MURMUR2, Placement, misplaced
from streams.steps import Batch

# A key costs some microseconds.
_RECORDS_A_KEY, _MOST_KEYS = 256, 8

HOW = (
    "give the producer partitioner=murmur2_random (librdkafka's setting: Python, Go, .NET; Java"
    " clients have it by default)"
)


class KeyWatch:
    """Look at keys of two inputs that must be partitioned alike.

    Parameters
    ----------
    partitions
        How many each has.
    """

    def __init__(self, topics: tuple[str, str], *, partitions: int, health: Health) -> None:
        self._placements = {topic: Placement(partitions) for topic in topics}
        self._health = health
        self._suspected = self._said = False

    def look(self, batch: Batch, partition: int) -> None:
        """Look at a few keys of a batch."""
        placement = self._placements.get(batch.topic)
        if placement is None or placement.partitions == 1:
            return
        count = min(1 + len(batch.keys) // _RECORDS_A_KEY, _MOST_KEYS)
        for index in range(0, len(batch.keys), max(1, len(batch.keys) // count)):
            key = batch.keys[index]
            if key is not None:
                placement.add(key, partition)
        self._judge()

    def _judge(self) -> None:
        one, other = self._placements.values()
        if one.partitioner is None or other.partitioner is None:
            return
        if not misplaced(one, other):
            if self._said:
                say("keys of predictions and labels are partitioned alike again")
            self._suspected = self._said = False
            return
        if self._suspected:
            self._report()
        self._suspected = True
        self._placements = {name: Placement(one.partitions) for name in self._placements}

    def _report(self) -> None:
        for topic, placement in self._placements.items():
            if placement.partitioner != MURMUR2:
                self._health.mispartitioned(topic, placement.strays)
        if not self._said:
            say(describe_misplaced(self._placements))
            self._said = True


def describe_misplaced(placements: dict[str, Placement]) -> str:
    """Say which keys are where they should not be, and what to do."""
    wrong = [topic for topic, one in placements.items() if one.partitioner != MURMUR2]
    right = [topic for topic in placements if topic not in wrong]
    parts = [_describe_topic(topic, placements[topic]) for topic in wrong]
    parts += [f"those of {topic} all are" for topic in right]
    return f"{', '.join(parts)}: predictions and their labels meet by luck only; {HOW}"


def _describe_topic(topic: str, placement: Placement) -> str:
    by = placement.partitioner
    how = f", but where {by} does, librdkafka's default" if by else ""
    return (
        f"{topic}: {placement.strays} of {len(placement)} keys are not in the partition where"
        f" murmur2 puts them{how}"
    )


def check(samples: Mapping[str, Sequence[tuple[bytes, int]]], *, partitions: int) -> str | None:
    """Judge keys and their partitions, of two topics; return what is wrong, `None` if nothing."""
    placements = {topic: Placement(partitions) for topic in samples}
    for topic, keys in samples.items():
        for key, partition in keys:
            placements[topic].add(key, partition)
    return describe_misplaced(placements) if misplaced(*placements.values()) else None
