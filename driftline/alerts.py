"""Read alerts from Kafka, as an iterator.

Rules of this file:

* Only what was committed is seen (`isolation.level=read_committed`), so an alert comes once however
  often a worker crashed.
* Delivery to the caller is at least once with a consumer group: an alert counts as handled when the
  caller asks for the next one.
* A record that is not an alert is skipped and counted, never raised.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Literal

import msgspec

from driftline.alert import Alert
from driftline.closing import Closing
from driftline.reader import Entry, Reader

_POLL_S = 0.5


class Alerts(Closing):
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
        self.invalid = 0
        self._model = model
        self._decode = msgspec.json.Decoder(Alert).decode
        self._closed = False
        self._reader = Reader(
            bootstrap_servers,
            [f"{prefix}.alerts"],
            group_id=group_id,
            start=start,
            kafka=kafka,
            client_id="driftline-alerts",
        )

    def poll(self, timeout_s: float = 1.0) -> Alert | None:
        """Return the next alert, or None if none came within `timeout_s` seconds.

        The alert that the call before returned counts as handled from here on.
        """
        deadline_s = time.monotonic() + timeout_s
        while not self._closed:
            self._reader.commit(wait=False)
            # One at a time: what was read and not returned would count as handled.
            for entry in self._reader.read(max(0.0, deadline_s - time.monotonic()), most=1):
                alert = self._read(entry)
                if alert is not None:
                    return alert
            if time.monotonic() >= deadline_s:
                return None
        return None

    def close(self) -> None:
        """Leave the group and end iteration; what was handled stays remembered."""
        self._closed = True
        self._reader.close()

    def __iter__(self) -> Iterator[Alert]:
        return self

    def __next__(self) -> Alert:
        while not self._closed:
            alert = self.poll(_POLL_S)
            if alert is not None:
                return alert
        raise StopIteration

    def _read(self, entry: Entry) -> Alert | None:
        if entry.value is None:  # a tombstone: compaction's way to forget an alert
            return None
        try:
            alert = self._decode(entry.value)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self.invalid += 1
            return None
        return alert if self._model in (None, alert.model) else None
