"""Read what topics hold now, however much is added meanwhile."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import islice

from confluent_kafka import Message

from driftline.reader import Reader

_POLL_S = 0.2
_QUIET_S = 30.0


def snapshot(reader: Reader) -> Iterator[Message]:
    """Yield records from where a reader is to where its partitions end at the beginning.

    Raises
    ------
    TimeoutError
        If nothing came for half a minute, and the end is not reached.
    """
    ends: dict[tuple[str, int], int] = {}
    heard_s = time.monotonic()
    while True:
        for message in reader.messages(_POLL_S):
            heard_s = time.monotonic()
            yield message
        positions = reader.positions()
        ends = ends or (reader.ends() if positions else {})
        if ends and all(positions.get(place, -1) >= end for place, end in ends.items()):
            return
        if time.monotonic() - heard_s > _QUIET_S:
            left = [f"{topic}/{number}" for (topic, number) in islice(ends, 3)]
            what = ", ".join(left) or ", ".join(reader.topics)
            raise TimeoutError(f"{what}: nothing came for {_QUIET_S:.0f} s, before the end")
