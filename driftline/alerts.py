"""Read alerts from Kafka, as an iterator.

Rules of this file:

* Only what was committed is seen (`isolation.level=read_committed`), so an alert comes once however
  often a worker crashed.
* Delivery to the caller is at least once with a consumer group: an alert counts as handled when the
  caller asks for the next one.
* A record that is not an alert is skipped and counted, never raised.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Iterator, Mapping
from types import MappingProxyType, TracebackType
from typing import Literal, Self

import msgspec
from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from streams.alerts import Alert
from streams.servers import parse_servers

logger = logging.getLogger("driftline.alerts")

_DEFAULTS: Mapping[str, object] = MappingProxyType(
    {
        "client.id": "driftline-alerts",
        # Only what the caller has handled is committed: see `_settle`.
        "enable.auto.commit": True,
        "auto.commit.interval.ms": 1_000,
    }
)
_FORCED: Mapping[str, object] = MappingProxyType(
    {"isolation.level": "read_committed", "enable.auto.offset.store": False}
)
# Waiting does not heal these; an iterator that is silent for ever would look like "no alerts".
_HOPELESS = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError._AUTHENTICATION,
    }
)
_POLL_S = 0.5
_METADATA_INTERVAL_S = 60.0
_MIN_REQUEST_S = 0.05


class Alerts:
    """Iterate over alerts as workers publish them.

    Iteration waits for the next alert and ends only after `close`. Nothing touches the network
    before the first `poll` or iteration, and brokers or topics that are not there yet are waited
    for.

    Parameters
    ----------
    bootstrap_servers
        Kafka brokers, ``host:port[,host:port]``.
    prefix
        The topic is ``<prefix>.alerts``.
    group_id
        Consumer group that shares the alerts and remembers what was handled: an alert is handled
        once the caller asks for the next, so after a crash the last one comes again. None reads
        every partition, remembers nothing.
    start
        Where to begin when nothing is remembered: ``"latest"`` (what is published after the first
        `poll`) or ``"earliest"`` (all that the topic still holds).
    model
        Only alerts of this model. None means all.
    kafka
        More librdkafka settings, such as TLS or SASL.

    Attributes
    ----------
    invalid : int
        Records on the topic that were skipped because they are not alerts.

    Raises
    ------
    ValueError
        If `start` is neither of the two, or the list of brokers is malformed.
    confluent_kafka.KafkaException
        From the constructor: a Kafka setting does not exist or does not parse. From `poll` and
        iteration: the brokers refuse access, or the client broke for good.

    Examples
    --------
    >>> with Alerts("localhost:9092", model="fraud") as alerts:
    ...     alert = alerts.poll(0.1)
    >>> alert is None
    True
    >>> for alert in alerts:  # closed: nothing comes any more
    ...     print(alert.state, alert.model, alert.message)
    """

    def __init__(
        self,
        bootstrap_servers: str = "localhost:9092",
        *,
        prefix: str = "driftline",
        group_id: str | None = None,
        start: Literal["latest", "earliest"] = "latest",
        model: str | None = None,
        kafka: Mapping[str, object] | None = None,
    ) -> None:
        if start not in ("latest", "earliest"):
            raise ValueError(f"start must be 'latest' or 'earliest', got {start!r}")
        self.invalid = 0
        self._topic = f"{prefix}.alerts"
        self._grouped = group_id is not None
        self._start = start
        self._model = model
        self._decode = msgspec.json.Decoder(Alert).decode
        self._handed_out: Message | None = None
        self._partitions: set[int] = set()
        self._metadata_due_s = 0.0
        self._closed = False
        self._refusal: KafkaError | None = None
        self._consumer = Consumer(self._settings(bootstrap_servers, group_id, kafka), logger=logger)
        if self._grouped:
            self._consumer.subscribe([self._topic])

    def _settings(
        self, bootstrap_servers: str, group_id: str | None, kafka: Mapping[str, object] | None
    ) -> dict[str, object]:
        # Without a group, an offset that retention has passed means "begin at what is left".
        return {
            **_DEFAULTS,
            "error_cb": self._on_error,
            "auto.offset.reset": self._start if self._grouped else "earliest",
            **(kafka or {}),
            **_FORCED,
            **({} if self._grouped else {"enable.auto.commit": False}),
            "bootstrap.servers": parse_servers(bootstrap_servers, setting="bootstrap_servers"),
            "group.id": group_id or f"driftline-alerts-{uuid.uuid4()}",
        }

    def poll(self, timeout_s: float = 1.0) -> Alert | None:
        """Return the next alert, or None if none came within `timeout_s` seconds.

        The alert that the call before returned counts as handled from here on.
        """
        if self._closed:
            return None
        self._settle()
        deadline_s = time.monotonic() + timeout_s
        self._assign(deadline_s)
        while True:
            message = self._consumer.poll(max(0.0, deadline_s - time.monotonic()))
            if self._refusal is not None:
                raise KafkaException(self._refusal)
            if message is not None:
                self._handed_out = message
                alert = self._read(message)
                if alert is not None:
                    return alert
                self._settle()
            if time.monotonic() >= deadline_s:
                return None

    def close(self) -> None:
        """Leave the group and end iteration; what was handled stays remembered."""
        if not self._closed:
            self._closed = True
            self._consumer.close()

    def __iter__(self) -> Iterator[Alert]:
        return self

    def __next__(self) -> Alert:
        while not self._closed:
            alert = self.poll(_POLL_S)
            if alert is not None:
                return alert
        raise StopIteration

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _on_error(self, error: KafkaError) -> None:
        # A wrong password shows up here only; it is served, and so noticed, by `poll`.
        if error.code() in _HOPELESS:
            self._refusal = error

    def _settle(self) -> None:
        message, self._handed_out = self._handed_out, None
        if message is None or message.error() or not self._grouped:
            return
        try:
            self._consumer.store_offsets(message=message)
        except KafkaException as error:
            # The partition moved to another member meanwhile, which will see this alert again.
            logger.info("%s: handled alert not remembered: %s", self._topic, error)

    def _read(self, message: Message) -> Alert | None:
        error = message.error()
        if error is not None:
            # librdkafka looks a group up though nobody joins it; no right to it is needed then.
            if not self._grouped and error.code() == KafkaError.GROUP_AUTHORIZATION_FAILED:
                return None
            if error.fatal() or error.code() in _HOPELESS:
                raise KafkaException(error)
            logger.warning("%s: %s", self._topic, error)
            return None
        value = message.value()
        if value is None:  # a tombstone: compaction's way to forget an alert
            return None
        try:
            alert = self._decode(value)
        except (msgspec.DecodeError, UnicodeDecodeError):
            self.invalid += 1
            return None
        return alert if self._model in (None, alert.model) else None

    def _assign(self, deadline_s: float) -> None:
        """Without a group: read all partitions, and those that are added to the topic later."""
        if self._grouped or time.monotonic() < self._metadata_due_s:
            return
        first = not self._partitions
        try:
            found = set(self._metadata(deadline_s)) - self._partitions
            starts = [self._begin(number, first, deadline_s) for number in sorted(found)]
        except KafkaException as error:
            cause = error.args[0]
            if cause.fatal() or cause.code() in _HOPELESS:
                raise
            logger.info("%s: not readable yet: %s", self._topic, cause)
            time.sleep(max(0.0, min(_MIN_REQUEST_S, deadline_s - time.monotonic())))
            return
        if starts:
            self._consumer.incremental_assign(starts)
            self._partitions |= found
        if self._partitions:
            self._metadata_due_s = time.monotonic() + _METADATA_INTERVAL_S

    def _metadata(self, deadline_s: float) -> list[int]:
        timeout_s = max(_MIN_REQUEST_S, deadline_s - time.monotonic())
        topic = self._consumer.list_topics(self._topic, timeout=timeout_s).topics[self._topic]
        if topic.error is not None:
            raise KafkaException(topic.error)
        return list(topic.partitions)

    def _begin(self, number: int, first: bool, deadline_s: float) -> TopicPartition:
        # A partition that is added later is read from its beginning: it is all news.
        if self._start == "earliest" or not first:
            return TopicPartition(self._topic, number, OFFSET_BEGINNING)
        timeout_s = max(_MIN_REQUEST_S, deadline_s - time.monotonic())
        _, end = self._consumer.get_watermark_offsets(
            TopicPartition(self._topic, number), timeout=timeout_s
        )
        return TopicPartition(self._topic, number, end)
