"""Read alerts from Kafka, as an iterator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from driftline.alert import Alert
from driftline.following import Following


class Alerts(Following[Alert]):
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
        super().__init__(
            bootstrap_servers,
            f"{prefix}.alerts",
            Alert,
            model=model,
            group_id=group_id,
            start=start,
            kafka=kafka,
            client_id="driftline-alerts",
        )
