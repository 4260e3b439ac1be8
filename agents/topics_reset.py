"""Start an installation anew: empty what workers have written, and forget what they have read.

The order makes it safe to be interrupted. The group goes first: without it a worker still goes on
from its state. Then all topics are deleted in one request, and made again one by one; as long as
one is missing, no worker starts, and a second run, or `driftline topics create`, makes the rest.
Only some of them empty would be wrong without anybody noticing: a join that starts anew would tell
a monitor that does not what it has counted already.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    ConfigResource,
    ConfigSource,
    NewTopic,
    ResourceType,
)

from agents import clients, topics_admin
from agents.ends import ask_offsets
from agents.idleness import Input
from agents.settings import Settings
from streams.errors import ConfigError, NoAnswerError
from streams.topics import Topics

_REQUEST_S = 15.0
_PATIENCE_S = 30.0
_PAUSE_S = 0.2


class Topic(NamedTuple):
    """A topic, as it is and as it will be made again; `expired` records are gone already."""

    name: str
    partitions: int
    replicas: int
    config: Mapping[str, str]
    records: int
    expired: int


class Plan(NamedTuple):
    """What a reset is about to do.

    Attributes
    ----------
    emptied, inputs
        Topics that will be emptied, and those that will be read again from their beginning.
    """

    settings: Settings
    keep_results: bool
    emptied: list[Topic]
    inputs: list[Topic]

    def lines(self) -> Iterator[str]:
        """Write what will be lost, for people."""
        settings, topics = self.settings, Topics(self.settings.prefix)
        yield f"Prefix {settings.prefix} at {settings.bootstrap_servers} will start anew."
        yield f"Forgotten: how far the group {settings.group} has read."
        yield "Emptied, with everything that workers remember:"
        for topic in self.emptied:
            yield f"  {topic.name}: about {topic.records:,} records, {topic.partitions} partitions"
        yield "Read again, from the oldest record that is still there:"
        for topic in self.inputs:
            gone = f"; {topic.expired:,} older ones are gone" if topic.expired else ""
            yield f"  {topic.name}: about {topic.records:,} records{gone}"
        expired = any(topic.expired for topic in self.inputs)
        if self.keep_results:
            yield (
                f"Kept: {', '.join(topics.results)} and dead letters."
                " Metrics are published again with revisions from 1 on, alerts, actions and dead"
                " letters a second time."
            )
            if expired:
                yield (
                    "WARNING: finished metrics of times whose inputs are gone in part will be"
                    " OVERWRITTEN with smaller counts."
                )
        elif expired:
            yield (
                "WARNING: metrics, alerts, actions and dead letters of times whose inputs are gone"
                " do not come again; --keep-results keeps them."
            )


def plan(settings: Settings, *, keep_results: bool) -> Plan:
    """Look at what there is, and change nothing.

    Raises
    ------
    ConfigError
        If workers are alive, the inputs do not fit, or something may not be asked.
    """
    topics = Topics(settings.prefix)
    found = topics_admin.existing(settings)
    inputs = [topics.predictions, topics.labels]
    if topics.resources in found:  # an installation that is older has none
        inputs.append(topics.resources)
    counts = {name: found.get(name, 0) for name in inputs}
    if not all(counts.values()) or len(set(counts.values())) > 1:
        said = ", ".join(f"{name} has {count or 'none'}" for name, count in counts.items())
        raise ConfigError(f"all inputs must be there, with equal numbers of partitions: {said}")
    admin = _admin(settings)
    _refuse_if_alive(admin, settings)
    emptied = [topics.join_state, topics.monitor_state, topics.outcomes]
    if not keep_results:
        letters = map(topics.dead_letters, inputs)
        emptied += [*topics.results, *letters]
    there = [name for name in emptied if name in found]
    looked_at = _look_at(admin, [*inputs, *there], configs=_configs(admin, there))
    states, count = emptied[:3], counts[topics.predictions]
    made = [
        _made_again(looked_at.get(name), settings, name, count=count, fits=name in states)
        for name in emptied
    ]
    return Plan(settings, keep_results, made, [looked_at[name] for name in inputs])


def _made_again(
    known: Topic | None, settings: Settings, name: str, *, count: int, fits: bool
) -> Topic:
    """Describe a topic as it will be: one of state has as many partitions as the inputs."""
    if known is None:
        config = topics_admin.wanted(Topics(settings.prefix))[name]
        return Topic(name, count, -1, config, 0, 0)
    return known._replace(partitions=count) if fits else known


def reset(plan: Plan, *, progress: Callable[[str], None]) -> None:
    """Do what a plan says.

    Parameters
    ----------
    progress
        Called after each step, with what was done.

    Raises
    ------
    ConfigError
        If something is refused, or a worker has started meanwhile.
    """
    settings = plan.settings
    admin = _admin(settings)
    names = [topic.name for topic in plan.emptied]
    _wait_for_transactions(admin, plan.emptied)
    _forget_group(admin, settings)
    progress(f"forgotten: group {settings.group}")
    _delete(admin, names)
    for topic in plan.emptied:
        _make(admin, topic)
        progress(f"emptied: {topic.name} ({topic.partitions} partitions)")


def _admin(settings: Settings) -> AdminClient:
    clients.check(settings)
    return AdminClient(clients.admin(settings))


def _refuse_if_alive(admin: AdminClient, settings: Settings) -> None:
    try:
        answer = admin.describe_consumer_groups([settings.group], request_timeout=_REQUEST_S)
        members = answer[settings.group].result(_PATIENCE_S).members
    except KafkaException as error:
        if error.args[0].code() != KafkaError.GROUP_ID_NOT_FOUND:
            raise _refused(f"group {settings.group}", error) from None
        members = []
    if members:
        where = ", ".join(sorted({member.host.lstrip("/") for member in members}))
        raise ConfigError(
            f"{len(members)} workers of the group {settings.group} are alive, at {where}: stop them"
            " first; one that was killed counts until its session is over (10s unless set)"
        )


def _look_at(
    admin: AdminClient, names: Iterable[str], *, configs: Mapping[str, Mapping[str, str]]
) -> dict[str, Topic]:
    """Return topics as they are, by name."""
    metadata = admin.list_topics(timeout=_REQUEST_S).topics
    partitions = {name: metadata[name].partitions for name in names}
    sources = [(name, number) for name, found in partitions.items() for number in found]
    first = _offsets(admin, sources, latest=False)
    ends = _offsets(admin, sources, latest=True)
    return {
        name: Topic(
            name,
            len(found),
            len(found[0].replicas),
            configs.get(name, {}),
            records=sum(ends[name, number] - first[name, number] for number in found),
            expired=sum(first[name, number] for number in found),
        )
        for name, found in partitions.items()
    }


def _offsets(admin: AdminClient, sources: Iterable[Input], **which: Any) -> dict[Input, int]:
    answers = ask_offsets(admin, sources, timeout_s=_REQUEST_S, **which)
    try:
        return {source: found.result(_PATIENCE_S).offset for source, found in answers.items()}
    except KafkaException as error:
        raise _refused("offsets", error) from None


def _configs(admin: AdminClient, names: Iterable[str]) -> dict[str, dict[str, str]]:
    """Return what was set for each topic; all else follows the broker."""
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
    answers = admin.describe_configs(resources, request_timeout=_REQUEST_S)
    found = {}
    for resource, answer in answers.items():
        try:
            entries = answer.result(_PATIENCE_S)
        except KafkaException as error:
            raise _refused(f"configuration of {resource.name}", error) from None
        own = ConfigSource.DYNAMIC_TOPIC_CONFIG.value
        found[resource.name] = {
            name: entry.value for name, entry in entries.items() if entry.source == own
        }
    return found


def _wait_for_transactions(admin: AdminClient, topics: Iterable[Topic]) -> None:
    """Wait until no transaction is open: one that ends later would write to what was emptied.

    A worker that was killed leaves one behind, which the broker ends after ten seconds.
    """
    names = [topic.name for topic in topics]
    deadline_s = time.monotonic() + _PATIENCE_S
    there = admin.list_topics(timeout=_REQUEST_S).topics
    sources = [(name, n) for name in names if name in there for n in there[name].partitions]
    while True:
        ends = _offsets(admin, sources, latest=True)
        stable = _offsets(admin, sources, latest=True, stable=True)
        if ends == stable:
            return
        if time.monotonic() > deadline_s:
            waiting = sorted({name for name, n in sources if ends[name, n] != stable[name, n]})
            raise ConfigError(f"a transaction on {', '.join(waiting)} is still open; try again")
        time.sleep(_PAUSE_S)


def _forget_group(admin: AdminClient, settings: Settings) -> None:
    answer = admin.delete_consumer_groups([settings.group], request_timeout=_REQUEST_S)
    try:
        answer[settings.group].result(_PATIENCE_S)
    except KafkaException as error:
        if error.args[0].code() == KafkaError.NON_EMPTY_GROUP:
            _refuse_if_alive(admin, settings)
        if error.args[0].code() != KafkaError.GROUP_ID_NOT_FOUND:
            raise _refused(f"group {settings.group}", error) from None


def _delete(admin: AdminClient, names: list[str]) -> None:
    answers = admin.delete_topics(names, operation_timeout=_REQUEST_S)
    for name, answer in answers.items():
        try:
            answer.result(_PATIENCE_S)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise _refused(f"topic {name}", error) from None


def _make(admin: AdminClient, topic: Topic) -> None:
    wanted = NewTopic(topic.name, topic.partitions, topic.replicas, config=dict(topic.config))
    deadline_s = time.monotonic() + _PATIENCE_S
    while True:
        answer = admin.create_topics([wanted], operation_timeout=_REQUEST_S)[topic.name]
        try:
            answer.result(_PATIENCE_S)
        except KafkaException as error:
            # It is deleted a moment after the broker has said so.
            there = error.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS
            if not there or time.monotonic() > deadline_s:
                raise _refused(f"topic {topic.name}, which was deleted,", error) from None
            time.sleep(_PAUSE_S)
        else:
            return


def _refused(what: str, error: KafkaException) -> ConfigError:
    cause = error.args[0]
    away = cause.retriable() or cause.code() == KafkaError._TIMED_OUT
    return (NoAnswerError if away else ConfigError)(f"{what}: {cause.str()}")
