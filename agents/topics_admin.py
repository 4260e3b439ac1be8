"""Create the topics of an installation, and check that they fit together."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from agents import clients, topics_kept
from agents.passing import UNKNOWN, passes
from agents.settings import Settings
from streams.errors import ConfigError, NoAnswerError
from streams.topics import Topics

_TIMEOUT_S = 15.0
_ATTEMPT_S = 3.0
# Waiting does not heal these: a wrong password, a certificate that is not trusted.
_REFUSALS = frozenset({KafkaError._AUTHENTICATION, KafkaError._SSL})
_INTERNAL_BYTES = 4 << 20
_DEAD_LETTER_BYTES = 12 << 20
_CREATE_TIME = {"message.timestamp.type": "CreateTime"}
_INTERNAL = {**_CREATE_TIME, "max.message.bytes": str(_INTERNAL_BYTES)}
# The broker compacts and frees whole segments, none that is still written to: they must be small.
_SEGMENT = {"segment.bytes": str(16 << 20)}
_COMPACTED = {**_INTERNAL, **_SEGMENT, "cleanup.policy": "compact"}
_FOR_EVER = {"retention.ms": "-1", "retention.bytes": "-1"}
_JOIN_STATE = {**_INTERNAL, **_SEGMENT, "cleanup.policy": "delete", **_FOR_EVER}
# What workers tell of themselves: the last of each, and of those that are gone, for a day.
_WORKERS = {
    **_COMPACTED,
    "cleanup.policy": "compact,delete",
    "retention.ms": str(24 * 3_600_000),
    "segment.ms": str(3_600_000),
}
# Each window is a key of its own: a topic that is only compacted would grow for ever.
METRICS_MS = 35 * 86_400_000
_METRICS = {"cleanup.policy": "compact,delete", "segment.ms": str(86_400_000)}
_DEAD_LETTERS = {**_CREATE_TIME, "max.message.bytes": str(_DEAD_LETTER_BYTES)}
# With three copies, one broker may be lost and nothing that was committed is: the two others have
# it. Kafka's default is one, which may be the very broker that is lost.
_COPIES = 3
_REPLICATED = {"min.insync.replicas": "2"}
_PAUSE_S = 0.5


class Created(NamedTuple):
    """What became of one topic.

    Attributes
    ----------
    new
        False if it was there already.
    altered
        What one that was there was told.
    """

    name: str
    partitions: int
    new: bool
    altered: dict[str, str] = {}  # noqa: RUF012 - never changed


def wanted(topics: Topics, *, metrics_ms: int = METRICS_MS) -> dict[str, dict[str, str]]:
    """Return the configuration of every topic.

    Compacted ones keep the last record of a key for ever, that of metrics for a time, and those of
    results every other record for a week, see `agents.topics_kept`. The broker never deletes of
    the join's log, which is the state: the worker does, see `agents.trimming`. Inputs keep the
    broker's own retention.
    """
    inputs = (topics.predictions, topics.labels)
    kept = topics_kept.kept(topics)
    return {
        **dict.fromkeys((*inputs, topics.resources), _CREATE_TIME),
        topics.monitors: _COMPACTED | topics_kept.REVISIONS,
        topics.feedback: _COMPACTED | topics_kept.REVISIONS,
        topics.outcomes: _INTERNAL,
        topics.join_state: _JOIN_STATE,
        topics.monitor_state: _COMPACTED,
        **{
            name: {**(_COMPACTED | kept[name] | _METRICS), "retention.ms": str(metrics_ms)}
            for name in (topics.metrics, topics.distributions)
        },
        **{
            name: _COMPACTED | kept[name] for name in (topics.alerts, topics.actions, topics.models)
        },
        topics.workers: _WORKERS,
        **{
            topics.dead_letters(topic): _DEAD_LETTERS
            for topic in (*inputs, topics.resources, *topics.read_in_full, topics.outcomes)
        },
    }


def create(
    settings: Settings,
    partitions: int,
    replication_factor: int = 1,
    *,
    metrics_ms: int = METRICS_MS,
    progress: Callable[[Created], None] = lambda _: None,
) -> list[Created]:
    """Create the topics that are missing, and tell those of results how long to keep revisions.

    Everything else of topics that exist is left as it is.

    Parameters
    ----------
    partitions
        Of every topic alike, since a stage's clock must reach every partition of the next; but
        specifications of what to watch, and feedback, have an order, and one partition.
    replication_factor
        -1 means the broker's default. From three on, a record counts as written once two have it.
    metrics_ms
        How long metrics are kept.
    progress
        Called after each topic.

    Raises
    ------
    ConfigError
        If the broker cannot be reached or refuses, or topics that existed do not fit.
    """
    found = existing(settings)
    admin = _admin(settings)
    results = []
    kept = topics_kept.kept(Topics(settings.prefix))
    replicated = _REPLICATED if replication_factor >= _COPIES else {}
    for name, config in wanted(Topics(settings.prefix), metrics_ms=metrics_ms).items():
        count = partitions_of(name, partitions, settings)
        if name in found:
            altered = topics_kept.alter(admin, {name: kept[name]} if name in kept else {})
            created = Created(name, found[name], new=False, altered=altered.get(name, {}))
        else:
            _create_one(
                admin,
                NewTopic(name, count, replication_factor, config={**config, **replicated}),
            )
            created = Created(name, count, new=True)
        results.append(created)
        progress(created)
    counts = {one.name: one.partitions for one in results}
    _check_counts(counts, settings)
    return results


def partitions_of(name: str, partitions: int, settings: Settings) -> int:
    """Return how many partitions a topic has where inputs have so many."""
    return 1 if name in Topics(settings.prefix).read_in_full else partitions


def _create_one(admin: AdminClient, topic: NewTopic) -> None:
    deadline_s = time.monotonic() + _TIMEOUT_S
    while True:
        future = admin.create_topics([topic], operation_timeout=_TIMEOUT_S)[topic.topic]
        try:
            future.result(_TIMEOUT_S * 2)
        except KafkaException as error:
            cause = error.args[0]
            if passes(cause) and time.monotonic() < deadline_s:
                time.sleep(_PAUSE_S)  # the controller has gone, for example
                continue
            if cause.code() != KafkaError.TOPIC_ALREADY_EXISTS:  # by somebody else, meanwhile
                raise ConfigError(f"topic {topic.topic} was refused: {cause.str()}") from None
        return


def check(settings: Settings) -> dict[str, int]:
    """Return the number of partitions of every topic, if they are all there and fit together.

    Raises
    ------
    ConfigError
        Naming the topics, their numbers of partitions and what to do.
    """
    topics = Topics(settings.prefix)
    found = existing(settings)
    missing = [name for name in wanted(topics) if name not in found]
    if missing:
        count = found.get(topics.predictions, found.get(topics.labels, 4))
        raise ConfigError(
            f"no topic {', '.join(missing)} at {settings.bootstrap_servers}, or none that this user"
            " may Describe; create them with:"
            f" driftline topics create --bootstrap-servers {settings.bootstrap_servers}"
            f" --prefix {settings.prefix} --partitions {count}"
        )
    counts = {name: found[name] for name in wanted(topics)}
    _check_counts(counts, settings)
    return counts


def way_out(settings: Settings) -> str:
    """Say how to start anew, where going on is impossible."""
    return (
        "to start anew from what the inputs still hold, stop all workers and run: driftline topics"
        f" reset --bootstrap-servers {settings.bootstrap_servers} --prefix {settings.prefix}"
    )


def _check_counts(counts: Mapping[str, int], settings: Settings) -> None:
    topics = Topics(settings.prefix)
    inputs = [topics.predictions, topics.labels, topics.resources]
    names = [*inputs, topics.outcomes, topics.join_state, topics.monitor_state]
    for name in topics.read_in_full:
        if counts[name] > 1:
            raise ConfigError(
                f"{name} has {counts[name]} partitions; it must have one, since the order of its"
                " records counts: delete it, and create it with driftline topics create"
            )
    if len({counts[name] for name in names}) > 1:
        found = ", ".join(f"{name} has {counts[name]}" for name in names)
        differing = len({counts[name] for name in inputs}) > 1
        first = "give all inputs as many; then, " if differing else ""
        raise ConfigError(
            f"these topics must have equal numbers of partitions: {found};"
            f" {first}{way_out(settings)}"
        )


def message_limits(settings: Settings, topics: Iterable[str]) -> dict[str, int]:
    """Return the largest record that each topic takes, as far as the broker tells."""
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in sorted(topics)]
    if settings.embedded or not resources:
        return {}
    admin = _admin(settings)  # kept until all answers are there: a dropped client cancels them
    limits: dict[str, int] = {}
    deadline_s = time.monotonic() + _TIMEOUT_S
    while resources:
        answers = admin.describe_configs(resources, request_timeout=_TIMEOUT_S)
        again = []
        for resource, answer in answers.items():
            try:
                limits[resource.name] = int(answer.result(_TIMEOUT_S)["max.message.bytes"].value)
            except (KafkaException, TimeoutError) as error:
                # Not allowed to ask, or no such topic: the caller has a cautious default.
                if passes(error) and not _is_missing(error):
                    again.append(resource)
        resources = again if time.monotonic() < deadline_s else []
        time.sleep(_PAUSE_S if resources else 0.0)
    return limits


def _is_missing(error: BaseException) -> bool:
    return isinstance(error, KafkaException) and error.args[0].code() in UNKNOWN


def _admin(settings: Settings) -> AdminClient:
    clients.check(settings)
    return AdminClient(clients.admin(settings))


def existing(settings: Settings) -> dict[str, int]:
    """Return the number of partitions of every topic that this user may see.

    Raises
    ------
    ConfigError
        If the broker cannot be reached, or does not let this user in.
    """
    clients.check(settings)
    errors: list[KafkaError] = []
    admin = AdminClient(clients.admin(settings) | {"error_cb": errors.append})
    deadline_s = time.monotonic() + _TIMEOUT_S
    while True:
        try:
            topics = admin.list_topics(timeout=_ATTEMPT_S).topics
        except KafkaException as error:
            admin.poll(0)  # reports what went wrong with the connection
            refused = [one for one in errors if one.code() in _REFUSALS]
            if refused or time.monotonic() > deadline_s:
                cause = (refused or errors or [error.args[0]])[0].str()
                hint = "" if refused else "; do the address and security.protocol fit?"
                kind = ConfigError if refused else NoAnswerError
                raise kind(
                    f"--bootstrap-servers: no answer from {settings.bootstrap_servers!r}:"
                    f" {cause}{hint}"
                ) from None
        else:
            ours = [one for name, one in topics.items() if name.startswith(settings.prefix)]
            waiting = any(one.error is not None and passes(one.error) for one in ours)
            if not waiting or time.monotonic() > deadline_s:
                return {n: len(one.partitions) for n, one in topics.items() if one.error is None}
            time.sleep(_PAUSE_S)
