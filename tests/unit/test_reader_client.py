"""What a reader asks of its Kafka client."""

from typing import Any

import pytest

from driftline.reader_client import ask_topic


class Interrupted:
    """A client that is interrupted while it makes its answer, as librdkafka's wrapper tells it."""

    def list_topics(self, *_: object, **__: object) -> Any:
        raise ImportError("Module not found when looking up confluent_kafka.admin.ClusterMetadata")


def test_an_interrupt_within_an_answer_is_an_interrupt() -> None:
    client: Any = Interrupted()
    with pytest.raises(KeyboardInterrupt):
        ask_topic(client, "metrics", timeout_s=1.0)
