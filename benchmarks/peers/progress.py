"""How far a job has come, seen from outside.

A job writes lines `P <seconds since the epoch> <consumed> <aggregated>` to its output: input
records that it has parsed, labelled predictions that it has added to a window. driftline writes no
such lines; what its consumer group has committed is asked of the broker.
"""

from collections import Counter
from pathlib import Path
from typing import NamedTuple, Protocol

from confluent_kafka import ConsumerGroupTopicPartitions
from confluent_kafka.admin import AdminClient

_TIMEOUT_S = 20.0


class Progress(NamedTuple):
    """How far a job was at a time (seconds since the epoch)."""

    time_s: float
    consumed: int
    aggregated: int


class Watch(Protocol):
    """Gives what is new since it was last asked."""

    def new(self, now_s: float) -> list[Progress]:
        """Return the progress since the last call, oldest first."""
        ...


class Lines:
    """Reads the lines of a job."""

    def __init__(self, path: Path) -> None:
        self._path, self._position = path, 0

    def new(self, now_s: float) -> list[Progress]:  # noqa: ARG002 - the lines say when
        """Return what whole lines have come since the last call."""
        with self._path.open("rb") as file:
            file.seek(self._position)
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._position += len(whole)
        words = [line.split() for line in whole.splitlines() if line.startswith(b"P ")]
        return [Progress(float(time), int(n), int(m)) for _, time, n, m in words]


class Commits:
    """Asks for the offsets that driftline's workers have committed.

    `aggregated` is known at the end only: `labelled`, once the workers are done with all outcomes.
    """

    def __init__(self, servers: str, prefix: str, *, labelled: int) -> None:
        self._admin = AdminClient({"bootstrap.servers": servers, "log_level": 0})
        self._prefix, self._labelled = prefix, labelled

    def new(self, now_s: float) -> list[Progress]:
        """Return what is committed now."""
        group = f"{self._prefix}-workers"
        request = [ConsumerGroupTopicPartitions(group)]
        answer = self._admin.list_consumer_group_offsets(request)[group].result(_TIMEOUT_S)
        counts: Counter[str] = Counter()
        for place in answer.topic_partitions or ():
            counts[place.topic.removeprefix(f"{self._prefix}.")] += max(place.offset, 0)
        consumed = counts["predictions"] + counts["labels"]
        return [Progress(now_s, consumed, self._labelled + counts["outcomes"])]


def when(progress: list[Progress], consumed: float) -> float | None:
    """Return when so much was consumed, between two lines in proportion; None if never."""
    before: Progress | None = None
    for now in progress:
        if now.consumed >= consumed:
            if before is None or now.consumed == before.consumed:
                return now.time_s
            share = (consumed - before.consumed) / (now.consumed - before.consumed)
            return before.time_s + share * (now.time_s - before.time_s)
        before = now
    return None


def settled(progress: list[Progress]) -> float:
    """Return since when nothing has changed."""
    final = progress[-1][1:]
    return next(now.time_s for now in progress if now[1:] == final)
