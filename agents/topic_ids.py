"""Ids of topics (KIP-516): one that was deleted and created again has another."""

from __future__ import annotations

from collections.abc import Sequence

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from agents import clients
from agents.settings import Settings

_TIMEOUT_S = 5.0
_NONE = frozenset({"", "AAAAAAAAAAAAAAAAAAAAAA"})
"""What brokers say that know no ids: those before 2.8, and those with ZooKeeper before 3.0."""


class TopicIds:
    """Ask brokers for the ids of topics; nothing is asked before it is called.

    Parameters
    ----------
    topics
        Their names.
    """

    def __init__(self, settings: Settings, topics: Sequence[str]) -> None:
        self._settings, self._topics = settings, list(topics)
        self._admin: AdminClient | None = None
        self._known = True

    def __call__(self) -> dict[str, str]:
        """Return the ids by name, without those that brokers do not tell, or not in time."""
        if not self._known:
            return {}
        if self._admin is None:
            self._admin = AdminClient(clients.admin(self._settings))
        found: dict[str, str] = {}
        asked = self._admin.describe_topics(
            TopicCollection(self._topics), request_timeout=_TIMEOUT_S
        )
        for name, answer in asked.items():
            try:
                found[name] = str(answer.result(_TIMEOUT_S + 1).topic_id)
            except KafkaException as error:
                if error.args[0].code() == KafkaError._UNSUPPORTED_FEATURE:
                    self._known = False
            except TimeoutError:
                continue
        return {name: one for name, one in found.items() if one not in _NONE}
