"""Read what alerts ask for from Kafka, as an iterator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from driftline.action import Action
from driftline.following import Following


class Actions(Following[Action]):
    """Iterate over actions as workers publish them.

    The same action has the same `action_id`, so that one which comes again is done once.
    Iteration waits for the next action and ends only after `close`. Nothing touches the network
    before the first `poll` or iteration, and brokers or topics that are not there yet are waited
    for.

    Parameters
    ----------
    bootstrap_servers
        Kafka brokers, ``host:port[,host:port]``.
    prefix
        The topic is ``<prefix>.actions``.
    group_id
        Consumer group that shares the actions and remembers what was handled: an action is handled
        once the caller asks for the next, so after a crash the last one comes again. None reads
        every partition, remembers nothing.
    start
        Where to begin when nothing is remembered: ``"latest"`` (what is published after the first
        `poll`) or ``"earliest"`` (all that the topic still holds).
    model
        Only actions of this model. None means all.
    kafka
        More librdkafka settings, such as TLS or SASL.

    Attributes
    ----------
    invalid : int
        Records on the topic that were skipped because they are not actions.

    Raises
    ------
    ValueError
        If `start` is neither of the two, or the list of brokers is malformed.
    confluent_kafka.KafkaException
        From the constructor: a Kafka setting does not exist or does not parse. From `poll` and
        iteration: the brokers refuse access, or the client broke for good.

    Examples
    --------
    >>> with Actions("localhost:9092", model="fraud") as actions:
    ...     action = actions.poll(0.1)
    >>> action is None
    True
    >>> for action in actions:  # closed: nothing comes any more
    ...     print(action.action, action.model, action.parameters)
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
            f"{prefix}.actions",
            Action,
            model=model,
            group_id=group_id,
            start=start,
            kafka=kafka,
            client_id="driftline-actions",
        )
