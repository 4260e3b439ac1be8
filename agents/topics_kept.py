"""Let topics of results keep every revision for as long as a sink may be away.

A compacted topic forgets what was revised. A sink that was away gets all of it nevertheless if
nothing younger than a week is compacted; so do deletions, which are kept as long.
"""

from __future__ import annotations

from collections.abc import Mapping

from confluent_kafka import KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from streams.errors import ConfigError
from streams.topics import Topics

KEPT_MS = 7 * 86_400_000
"""How long a sink may be away without missing a revision."""

_TIMEOUT_S = 15.0
REVISIONS = {
    "min.compaction.lag.ms": str(KEPT_MS),
    "delete.retention.ms": str(KEPT_MS),
}
_RESULTS = {"cleanup.policy": "compact", **REVISIONS}


def kept(topics: Topics) -> dict[str, dict[str, str]]:
    """Return what topics of results must be told, also those that exist already."""
    return dict.fromkeys(topics.results, _RESULTS)


def alter(admin: AdminClient, wanted: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, str]]:
    """Tell topics what they lack; times that are longer than wanted stay.

    Returns
    -------
    dict
        What was changed, by topic.

    Raises
    ------
    ConfigError
        If the broker refuses.
    """
    lacking = {name: _lacking(admin, name, entries) for name, entries in wanted.items()}
    changed = {name: entries for name, entries in lacking.items() if entries}
    for name, entries in changed.items():
        asked = [
            ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)
            for key, value in entries.items()
        ]
        resource = ConfigResource(ResourceType.TOPIC, name, incremental_configs=asked)
        _ask(admin.incremental_alter_configs([resource]), name, "AlterConfigs")
    return changed


def _lacking(admin: AdminClient, name: str, wanted: Mapping[str, str]) -> dict[str, str]:
    resource = ConfigResource(ResourceType.TOPIC, name)
    found = _ask(admin.describe_configs([resource]), name, "DescribeConfigs")
    return {key: value for key, value in wanted.items() if not _enough(found[key].value, value)}


def _enough(found: str, wanted: str) -> bool:
    return int(found) >= int(wanted) if wanted.isdecimal() else wanted in found.split(",")


def _ask(answers: Mapping[ConfigResource, object], name: str, operation: str) -> dict:  # type: ignore[type-arg]
    [answer] = answers.values()
    try:
        return answer.result(_TIMEOUT_S) or {}  # type: ignore[attr-defined]
    except KafkaException as error:
        raise ConfigError(
            f"topic {name} keeps revisions for too short a time, or so it may be:"
            f" {error.args[0].str()}; give this user {operation}, see: driftline topics acls"
        ) from None
