"""Read distributions from Kafka: bins and counts of hours, and of what they are compared with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec
from confluent_kafka import Message

from driftline.closing import Closing
from driftline.distribution import Distribution
from driftline.reader import Reader
from driftline.snapshot import snapshot

_Key = tuple[str, str, str, str, str, str, int]
_decode_key = msgspec.json.Decoder(_Key).decode
_decode = msgspec.json.Decoder(Distribution).decode


class Distributions(Closing):
    """Iterate over distributions, by model, version, segment, series, feature, role and time.

    Every iteration first reads what was published since the one before. Brokers are waited for,
    half a minute, as is a topic that does not exist.

    Parameters
    ----------
    bootstrap_servers
        Kafka brokers, ``host:port[,host:port]``.
    prefix
        The topic is ``<prefix>.distributions``.
    model, series, feature, role
        Only distributions of these; None means all.
    kafka
        More librdkafka settings, such as TLS or SASL.

    Attributes
    ----------
    invalid : int
        Records that were skipped because they are no distributions.

    Raises
    ------
    ValueError
        If the list of brokers is malformed.
    TimeoutError
        From iteration: the brokers do not answer, or the topic does not exist.
    confluent_kafka.KafkaException
        From the constructor: a Kafka setting does not exist or does not parse. From iteration: the
        brokers refuse access, or the client broke for good.

    Examples
    --------
    >>> hours = Distributions("localhost:9092", model="fraud", series="feature", feature="amount")
    >>> hours.close()

    With a broker::

        with Distributions("localhost:9092", model="fraud", feature="amount") as hours:
            for hour in hours:
                print(hour.role, hour.start_ms, hour.edges, hour.counts)
    """

    def __init__(
        self,
        bootstrap_servers: str = "localhost:9092",
        *,
        prefix: str = "driftline",
        model: str | None = None,
        series: str | None = None,
        feature: str | None = None,
        role: str | None = None,
        kafka: Mapping[str, object] | None = None,
    ) -> None:
        self.invalid = 0
        self._wanted = model, series, feature, role
        self._values: dict[_Key, bytes] = {}
        self._reader = Reader(
            bootstrap_servers,
            [f"{prefix}.distributions"],
            kafka=kafka,
            client_id="driftline-distributions",
        )

    def __iter__(self) -> Iterator[Distribution]:
        """Yield the distributions that there are."""
        for message in snapshot(self._reader):
            self._take(message)
        for key in sorted(self._values):
            try:
                yield _decode(self._values[key])
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                self.invalid += 1
                del self._values[key]

    def close(self) -> None:
        """Let the connection go."""
        self._reader.close()

    def _take(self, message: Message) -> None:
        raw, value = message.key(), message.value()
        try:
            key = _decode_key(raw or b"")
        except (msgspec.DecodeError, UnicodeDecodeError):
            self.invalid += 1
            return
        model, _, _, series, feature, role, _ = key
        found = model, series, feature, role
        wanted = all(one in (None, own) for one, own in zip(self._wanted, found, strict=True))
        if wanted and value is not None:
            self._values[key] = value
        else:
            self._values.pop(key, None)
