"""The least that each part may do on a Kafka with ACLs, as data.

An operation that Kafka implies is not listed: whoever may Read, Write or Delete may Describe. The
table of the docs, `driftline topics acls` and the tests, which run every part with exactly these
rights, all come from here.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from agents.settings import Settings
from streams.topics import Topics


class Grant(NamedTuple):
    """Operations on one resource that one part needs.

    Attributes
    ----------
    part
        Who: ``worker``, ``publisher``, ``host`` (``driftline watch-host``), ``alerts`` (a consumer
        with `driftline.Alerts`), ``actions`` (one with `driftline.Actions`), ``tail``, ``sink``,
        ``status``, ``monitors`` (``driftline monitors apply``, ``list``, ``diff`` and
        ``withdraw``, ``driftline models forget``), ``feedback`` (``driftline alerts list``,
        ``verdict``, ``adopt`` and ``precision``), ``web`` (``driftline web`` on brokers),
        ``topics`` (``driftline topics create`` and ``check``) or ``reset`` (``topics reset``).
    prefixed
        Whether `name` is the first part of the resource's name, or all of it.
    """

    part: str
    resource: Literal["topic", "group", "transactional-id"]
    name: str
    operations: tuple[str, ...]
    prefixed: bool = False


_TOPICS = ("Create", "Describe", "DescribeConfigs", "AlterConfigs")


def grants(prefix: str, *, alerts_group: str | None = None) -> list[Grant]:
    """List what the parts of the installation `prefix` need.

    Parameters
    ----------
    alerts_group
        The `group_id` of the alert consumer; None if it has none.
    """
    topics = Topics(prefix)
    groups = [] if alerts_group is None else [Grant("alerts", "group", alerts_group, ("Read",))]
    return [
        *_worker(topics),
        Grant("publisher", "topic", topics.predictions, ("Write",)),
        Grant("publisher", "topic", topics.labels, ("Write",)),
        Grant("host", "topic", topics.resources, ("Write",)),
        Grant("monitors", "topic", topics.monitors, ("Read", "Write")),
        Grant("alerts", "topic", topics.alerts, ("Read",)),
        Grant("actions", "topic", topics.actions, ("Read",)),
        Grant("feedback", "topic", topics.alerts, ("Read",)),
        Grant("feedback", "topic", topics.feedback, ("Read", "Write")),
        *groups,
        Grant("tail", "topic", topics.metrics, ("Read",)),
        Grant("tail", "topic", topics.alerts, ("Read",)),
        Grant("tail", "topic", topics.actions, ("Read",)),
        *(Grant("tail", "topic", name, ("Read",)) for name in topics.all_dead_letters),
        *(Grant("sink", "topic", name, ("Read",)) for name in topics.results),
        Grant("sink", "topic", topics.feedback, ("Read",)),
        Grant("sink", "group", f"{prefix}-sink-", ("Read",), prefixed=True),
        Grant("status", "topic", topics.workers, ("Read",)),
        Grant("status", "topic", topics.models, ("Read",)),
        *_web(topics),
        Grant("topics", "topic", f"{prefix}.", _TOPICS, prefixed=True),
        *_reset(topics),
    ]


def _worker(topics: Topics) -> Iterator[Grant]:
    inputs = (topics.predictions, topics.labels, topics.resources, *topics.read_in_full)
    for name in inputs:
        yield Grant("worker", "topic", name, ("Read",))
    for name in (topics.outcomes, topics.monitor_state):
        yield Grant("worker", "topic", name, ("Read", "Write"))
    # Delete is for records that later ones have replaced: the log of the join is kept short.
    yield Grant("worker", "topic", topics.join_state, ("Read", "Write", "Delete"))
    for name in topics.results:
        yield Grant("worker", "topic", name, ("Write",))
    yield Grant("worker", "topic", topics.workers, ("Write",))
    # DescribeConfigs tells how large a dead letter may be; without it they are cut at 1 MB.
    for name in inputs:
        yield Grant("worker", "topic", topics.dead_letters(name), ("Write", "DescribeConfigs"))
    # Only looked at, to see that the installation is complete.
    yield Grant("worker", "topic", topics.dead_letters(topics.outcomes), ("Describe",))
    yield Grant("worker", "group", f"{topics.prefix}-workers", ("Read",))
    yield Grant("worker", "transactional-id", f"{topics.prefix}-worker-", ("Write",), prefixed=True)


def _web(topics: Topics) -> Iterator[Grant]:
    """List what the page needs: its own history keeps offsets itself, so that it has no group."""
    for name in topics.results:
        yield Grant("web", "topic", name, ("Read",))
    yield Grant("web", "topic", topics.feedback, ("Read", "Write"))
    for name in (topics.workers, topics.monitors, *topics.all_dead_letters):
        yield Grant("web", "topic", name, ("Read",))


def _reset(topics: Topics) -> Iterator[Grant]:
    # Not by prefix: who may Delete the inputs could lose what nobody can compute again.
    for name in (
        *(topics.outcomes, topics.join_state, topics.monitor_state),
        *topics.results,
        *map(topics.dead_letters, (topics.predictions, topics.labels, topics.resources)),
    ):
        yield Grant("reset", "topic", name, ("Create", "Delete", "DescribeConfigs"))
    for name in (topics.predictions, topics.labels, topics.resources):
        yield Grant("reset", "topic", name, ("Describe",))
    yield Grant("reset", "group", f"{topics.prefix}-workers", ("Delete",))


def shell_script(wanted: Sequence[Grant], settings: Settings) -> Iterator[str]:
    """Write the lines of a shell script that gives these rights with Kafka's `kafka-acls.sh`.

    Who gets them can be set by variables of the environment, such as ``WORKER``.
    """
    yield "#!/usr/bin/env bash"
    yield "set -euo pipefail"
    yield "# Kafka principals; set these variables for other ones."
    for part in dict.fromkeys(grant.part for grant in wanted):
        yield f': "${{{part.upper()}:=User:{settings.prefix}-{part}}}"'
    command = ["kafka-acls.sh", "--bootstrap-server", settings.bootstrap_servers]
    yield f"kafka=({shlex.join(command)})"
    yield '[ -z "${ADMIN_CONFIG:-}" ] || kafka+=(--command-config "$ADMIN_CONFIG")'
    for grant in wanted:
        options = [f"--{grant.resource}", grant.name]
        options += ["--resource-pattern-type", "prefixed"] if grant.prefixed else []
        for operation in grant.operations:
            options += ["--operation", operation]
        who = f'"${grant.part.upper()}"'
        yield f'"${{kafka[@]}}" --add --allow-principal {who} {shlex.join(options)}'
