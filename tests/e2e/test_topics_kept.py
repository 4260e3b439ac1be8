"""`driftline topics create` lets topics of results keep every revision for a week."""

from __future__ import annotations

from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from agents import topics_admin
from agents.settings import Settings
from streams.topics import Topics
from tests.brokers import Broker

WEEK = str(7 * 86_400_000)
WANTED = {
    "cleanup.policy": "compact",
    "min.compaction.lag.ms": WEEK,
    "delete.retention.ms": WEEK,
}
METRICS = WANTED | {"cleanup.policy": "compact,delete"}


def configs(broker: Broker, topic: str) -> dict[str, str]:
    admin = AdminClient(broker.client())
    [answer] = admin.describe_configs([ConfigResource(ResourceType.TOPIC, topic)]).values()
    return {name: answer.result(30)[name].value for name in WANTED}


def put(broker: Broker, topic: str, **values: str) -> None:
    entries = [
        ConfigEntry(name.replace("_", "."), value, incremental_operation=AlterConfigOpType.SET)
        for name, value in values.items()
    ]
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)
    admin = AdminClient(broker.client())
    [answer] = admin.incremental_alter_configs([resource]).values()
    answer.result(30)


def test_topics_of_results_are_made_so_and_those_that_exist_are_altered_once(
    real_broker: Broker, prefix: str
) -> None:
    topics = Topics(prefix)
    settings = Settings(bootstrap_servers=real_broker.bootstrap_servers, prefix=prefix)
    topics_admin.create(settings, 1)
    made = [configs(real_broker, topic) for topic in (topics.metrics, topics.alerts)]
    longer = {"min_compaction_lag_ms": WEEK + "0"}
    put(real_broker, topics.metrics, **longer, delete_retention_ms="1000")
    put(real_broker, topics.alerts, cleanup_policy="delete", min_compaction_lag_ms="0")

    first = {one.name: one.altered for one in topics_admin.create(settings, 1) if one.altered}
    again = [one for one in topics_admin.create(settings, 1) if one.altered]

    assert made == [METRICS, WANTED]
    assert first == {
        topics.metrics: {"delete.retention.ms": WEEK},
        topics.alerts: {"cleanup.policy": "compact", "min.compaction.lag.ms": WEEK},
    }
    assert configs(real_broker, topics.metrics) == {**METRICS, "min.compaction.lag.ms": WEEK + "0"}
    assert configs(real_broker, topics.alerts) == WANTED
    assert again == []


def test_windows_leave_the_topic_of_metrics_after_a_time(real_broker: Broker, prefix: str) -> None:
    """Each is a key of its own, so that compaction alone would keep all of them for ever."""
    topics = Topics(prefix)
    settings = Settings(bootstrap_servers=real_broker.bootstrap_servers, prefix=prefix)

    topics_admin.create(settings, 1, metrics_ms=40 * 86_400_000)
    again = [one for one in topics_admin.create(settings, 1) if one.altered]

    admin = AdminClient(real_broker.client())
    [answer] = admin.describe_configs([ConfigResource(ResourceType.TOPIC, topics.metrics)]).values()
    assert answer.result(30)["retention.ms"].value == str(40 * 86_400_000)
    assert again == []
