"""Read topics of results, batch by batch: the one consumer loop of all that reads them.

Rules of this file:

* Only what was committed is seen (`isolation.level=read_committed`).
* Offsets are committed when the caller says so, never before: what was read and not confirmed
  comes again.
* Brokers and topics that are not there yet are waited for, with pauses that grow. What waiting
  does not heal (no access, a wrong password) is raised.
* Where the log begins later than wanted, that is a `Gap`, never a silent skip.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_END,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from driftline.closing import Closing
from driftline.places import Gap, Place, Position
from driftline.reader_client import (
    UNKNOWN,
    ask_offsets,
    ask_topic,
    client_settings,
    is_hopeless,
    send_offsets,
    store_offsets,
)

logger = logging.getLogger("driftline.reader")

# A request waits behind the fetch before it, which takes brokers up to half a second.
_SHORTEST_REQUEST_S = 1.0
_REQUEST_S = 10.0
_METADATA_INTERVAL_S = 60.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 5.0
_MOST = 10_000


class Entry(NamedTuple):
    """A record of a topic; a `value` of None is a tombstone: its key is deleted."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None


class Reader(Closing):
    """Read committed records of topics, in batches.

    Nothing touches the network before the first `read`. A reader belongs to one thread.

    Parameters
    ----------
    servers
        Kafka brokers, ``host:port[,host:port]``.
    topics
        What to read. Topics that do not exist yet are waited for.
    group_id
        Consumer group that shares the partitions among its members, and remembers what `commit`
        was called for. None reads every partition, and remembers nothing.
    start
        Where partitions begin of which the group remembers nothing: ``"earliest"`` (all that the
        topic still holds) or ``"latest"`` (what comes after the first `read`; partitions that are
        added later, from their beginning). A mapping of (topic, partition) to offset is for those
        who remember by themselves: every partition is read, from that offset on, and those that are
        not in it from the earliest; with a `group_id`, `commit` writes there how far this is.
    kafka
        More librdkafka settings, such as TLS or SASL.
    client_id
        How the brokers' logs and quotas name this reader.

    Attributes
    ----------
    gaps : list[Gap]
        Where the log began later than wanted, and records that were not read are gone.

    Raises
    ------
    ValueError
        If `start` is none of these, or the list of brokers is malformed.
    confluent_kafka.KafkaException
        From the constructor: a Kafka setting does not exist or does not parse. From the other
        methods: the brokers refuse access, or the client broke for good.

    Examples
    --------
    >>> with Reader("localhost:9092", ["driftline.alerts"], start="earliest") as reader:
    ...     for entry in reader.read(0.1):
    ...         print(entry.key, entry.value)
    ...     reader.commit()
    """

    def __init__(
        self,
        servers: str,
        topics: Sequence[str],
        *,
        group_id: str | None = None,
        start: Literal["earliest", "latest"] | Mapping[Place, int] = "earliest",
        kafka: Mapping[str, object] | None = None,
        client_id: str = "driftline-reader",
    ) -> None:
        if not isinstance(start, Mapping) and start not in ("latest", "earliest"):
            raise ValueError(f"start must be 'latest' or 'earliest', got {start!r}")
        self.gaps: list[Gap] = []
        self.topics = tuple(topics)
        self._wanted = start if isinstance(start, Mapping) else {}
        self._latest = start == "latest"
        self._grouped = group_id is not None
        self._subscribes = self._grouped and not isinstance(start, Mapping)
        self._positions: dict[Place, Position] = {}
        self._seen: set[str] = set()
        self._metadata_due_s = self._retry_s = 0.0
        self._pause_s = _FIRST_PAUSE_S
        self._refusal: KafkaError | None = None
        self._closed = False
        settings = client_settings(servers, group_id=group_id, client_id=client_id, kafka=kafka)
        self._consumer = Consumer({**settings, "error_cb": self._on_error}, logger=logger)
        if self._subscribes:
            self._consumer.subscribe(
                list(self.topics), on_assign=self._on_assign, on_revoke=self._on_revoke
            )

    # ------------------------------------------------------------------ what users call
    def read(self, timeout_s: float, most: int = _MOST) -> list[Entry]:
        """Return the next records, at most `most`; empty if none came within `timeout_s` seconds.

        It returns as soon as there is a record. Records of one partition come in their order.
        """
        return [
            Entry(topic, partition, offset, one.timestamp()[1], one.key(), one.value())
            for one in self.messages(timeout_s, most)
            if (topic := one.topic()) is not None
            and (partition := one.partition()) is not None
            and (offset := one.offset()) is not None
        ]

    def messages(self, timeout_s: float, most: int = _MOST) -> list[Message]:
        """Read, for those who need what an `Entry` does not have, such as headers."""
        deadline_s = time.monotonic() + timeout_s
        while not self._closed:
            if self._refusal is not None:
                raise KafkaException(self._refusal)
            self._prepare(deadline_s)
            found = [one for one in self._take(most, deadline_s) if self._is_new(one)]
            if found or time.monotonic() >= deadline_s:
                return found
        return []

    def commit(self, *, wait: bool = True) -> None:
        """Remember in the group that all that was read is done with; without a group, do nothing.

        What could not be committed, because the group is just sharing anew or no broker answered
        for ten seconds, is committed by the next call, or read again.

        Parameters
        ----------
        wait
            Until the brokers have confirmed. Otherwise it is sent within a second, and by `close`.
        """
        if not self._grouped or self._closed:
            return
        due = {
            place: one.position
            for place, one in self._positions.items()
            if one.placed and one.position > one.committed
        }
        if due:
            offsets = [
                TopicPartition(*place, offset, self._positions[place].said())
                for place, offset in due.items()
            ]
            stored = store_offsets(self._consumer, offsets)
            if stored and (not wait or send_offsets(self._consumer, offsets)):
                for place, offset in due.items():
                    self._positions[place].committed = offset

    def ends(self, timeout_s: float = _REQUEST_S) -> dict[Place, int]:
        """Ask the brokers where the partitions that are read end: offsets of the records to come.

        Raises
        ------
        confluent_kafka.KafkaException
            If they do not answer.
        """
        found = ask_offsets(self._consumer, self._positions, OFFSET_END, timeout_s)
        for place, end in found.items():
            self._positions[place].end = end
        return found

    def positions(self) -> dict[Place, int]:
        """Return the offset after the last record that was read, of partitions that were begun."""
        return {place: one.position for place, one in self._positions.items() if one.placed}

    @property
    def at_end(self) -> bool:
        """Whether everything was read that there was, a moment ago at most."""
        return bool(self._positions) and all(one.at_end for one in self._positions.values())

    @property
    def lag(self) -> int:
        """How many offsets are still to be read, by what is known without asking."""
        return sum(max(0, one.end - one.position) for one in self._known())

    @property
    def progress(self) -> tuple[int, int]:
        """How many offsets were passed, and how many there are from the beginning to the end."""
        known = self._known()
        read = sum(one.position - one.begin for one in known)
        return read, read + sum(max(0, one.end - one.position) for one in known)

    def close(self) -> None:
        """Leave the group; what was committed stays remembered."""
        if not self._closed:
            self._closed = True
            self._consumer.close()

    # ------------------------------------------------------------------ records
    def _take(self, most: int, deadline_s: float) -> list[Message]:
        # `consume` waits for as many as it was asked for: ask for those that are here, or wait
        # for one.
        found = self._consumer.consume(most, 0.0)
        if found:
            return found
        until_s = deadline_s
        if self._unplaced() or not self._positions:
            until_s = min(deadline_s, max(self._retry_s, time.monotonic() + _FIRST_PAUSE_S))
        first = self._consumer.poll(max(0.0, until_s - time.monotonic()))
        if first is None:
            return []
        return [first, *(self._consumer.consume(most - 1, 0.0) if most > 1 else ())]

    def _is_new(self, message: Message) -> bool:
        """Tell whether this is a record to hand on, and note how far its partition is."""
        place: Place = (message.topic() or "", message.partition() or 0)
        one = self._positions.get(place)
        error = message.error()
        if error is not None:
            self._note(error, message, one)
            return False
        offset = message.offset() or 0
        if one is None or not one.placed or offset < one.position:
            return False  # of before the partition moved
        one.position, one.at_end, one.time_ms = offset + 1, False, message.timestamp()[1]
        if one.gap is not None:
            self.gaps[one.gap] = self.gaps[one.gap]._replace(there_ms=one.time_ms)
            one.gap = None
        return True

    def _note(self, error: KafkaError, message: Message, one: Position | None) -> None:
        code = error.code()
        if code == KafkaError._PARTITION_EOF:
            if one is not None and one.placed:
                one.position = one.end = max(one.position, message.offset() or 0)
                one.at_end = True
        elif code == KafkaError._AUTO_OFFSET_RESET:
            if one is not None:
                one.placed = one.at_end = False
        elif is_hopeless(error, grouped=self._grouped):
            raise KafkaException(error)
        # librdkafka looks a group up though nobody joins it; no right to it is needed then.
        elif code != KafkaError.GROUP_AUTHORIZATION_FAILED:
            logger.warning("%s: %s", message.topic() or ", ".join(self.topics), error)

    # ------------------------------------------------------------------ where partitions begin
    def _prepare(self, deadline_s: float) -> None:
        """Find partitions and place them, unless that has just failed."""
        if time.monotonic() < self._retry_s:
            return
        try:
            complete = self._subscribes or self._find(deadline_s)
            self._place(deadline_s)
        except KafkaException as error:
            cause = error.args[0]
            if is_hopeless(cause, grouped=self._grouped):
                raise
            complete = False
            logger.info("%s: not readable yet: %s", ", ".join(self.topics), cause)
        if complete:
            self._pause_s = _FIRST_PAUSE_S
        else:
            self._retry_s = time.monotonic() + self._pause_s
            self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)

    def _find(self, deadline_s: float) -> bool:
        """Look for partitions, also for those that are added later; tell if topics are all there.

        What appears after the first look is news, and is read from its beginning.
        """
        if time.monotonic() < self._metadata_due_s:
            return True
        there = True
        for topic in self.topics:
            # Topics that are asked for together could be refused together.
            answer = ask_topic(self._consumer, topic, timeout_s=_left(deadline_s))
            if answer.error is not None and answer.error.code() not in UNKNOWN:
                raise KafkaException(answer.error)
            there = there and answer.error is None
            latest = self._latest and topic not in self._seen
            self._seen.add(topic)
            for number in sorted(answer.partitions):
                place = (topic, number)
                wanted = self._wanted.get(place)
                self._positions.setdefault(place, Position(wanted, latest=latest))
        if there:
            self._metadata_due_s = time.monotonic() + _METADATA_INTERVAL_S
        return there

    def _place(self, deadline_s: float) -> None:
        """Begin to read those partitions that are new, or whose offset is gone."""
        places = self._unplaced()
        if not places:
            return
        if self._subscribes:
            self._look_up(places, deadline_s)
        begins = ask_offsets(self._consumer, places, OFFSET_BEGINNING, _left(deadline_s))
        ends = ask_offsets(self._consumer, places, OFFSET_END, _left(deadline_s))
        for place in places:
            one = self._positions[place]
            gone = one.place(begins[place], ends[place])
            if gone:
                one.gap = len(self.gaps)
                gap = Gap(*place, one.wanted or 0, one.position, one.time_ms, None)
                self.gaps.append(gap)
                logger.warning("%s", gap)
            one.wanted = None
        self._consumer.assign(
            [TopicPartition(*place, one.position) for place, one in self._positions.items()]
        )

    def _look_up(self, places: Sequence[Place], deadline_s: float) -> None:
        """Ask for what the group remembers of partitions that were not read yet."""
        fresh = [TopicPartition(*place) for place in places if not self._positions[place].known]
        if not fresh:
            return
        for found in self._consumer.committed(fresh, timeout=_left(deadline_s)):
            if found.error is not None:
                raise KafkaException(found.error)
            one = self._positions[found.topic, found.partition]
            if found.offset >= 0:
                one.remember(found.offset, found.metadata)

    def _unplaced(self) -> list[Place]:
        return [place for place, one in self._positions.items() if not one.placed]

    def _known(self) -> list[Position]:
        for place, one in self._positions.items():
            if one.placed:
                at = TopicPartition(*place)
                _, end = self._consumer.get_watermark_offsets(at, cached=True)
                one.end = max(one.end, end)
        return [one for one in self._positions.values() if one.placed]

    # ------------------------------------------------------------------ the group
    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        for one in partitions:
            self._positions[one.topic, one.partition] = Position(None, latest=self._latest)
        consumer.assign([])  # until `_place` knows where they begin

    def _on_revoke(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        for one in partitions:
            self._positions.pop((one.topic, one.partition), None)

    # ------------------------------------------------------------------ errors
    def _on_error(self, error: KafkaError) -> None:
        # A wrong password shows up here only; it is served, and so noticed, by `messages`.
        if is_hopeless(error, grouped=self._grouped):
            self._refusal = error


def _left(deadline_s: float) -> float:
    """Return how long a request may take: a caller's time, but never so little that none can be."""
    return max(_SHORTEST_REQUEST_S, deadline_s - time.monotonic())
