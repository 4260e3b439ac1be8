"""Reading actions: those of a model, again what was not handled, and nothing that is no action."""

from __future__ import annotations

import msgspec
import pytest
from confluent_kafka import Producer

from driftline import Action, Actions
from tests.brokers import Broker

FIRST = Action(
    action_id="c1",
    action="rollback",
    model="fraud",
    version="3",
    segment="",
    monitor="floor",
    alert_id="a1",
    at_ms=1_767_225_600_000,
    severity="critical",
    message="accuracy is 0.8, below 0.9",
    parameters={"to": "2"},
)
OTHER = msgspec.structs.replace(FIRST, action_id="c2", model="churn")
NEXT = msgspec.structs.replace(FIRST, action_id="c3", action="retrain")


@pytest.fixture
def prefix(real_broker: Broker, prefix: str) -> str:
    """Extend the common fixture: this prefix has its topic, and records."""
    real_broker.create_topics({f"{prefix}.actions": 1})
    producer = Producer(real_broker.client())
    values = [msgspec.json.encode(one) for one in (FIRST, OTHER)]
    for value in (*values, b"{}", None, msgspec.json.encode(NEXT)):
        producer.produce(f"{prefix}.actions", value, b"key")
    assert producer.flush(30) == 0
    return prefix


def test_what_was_not_handled_comes_again_and_other_records_are_passed_over(
    real_broker: Broker, prefix: str
) -> None:
    asked = {"prefix": prefix, "group_id": f"{prefix}-trainer", "start": "earliest"}
    with Actions(real_broker.bootstrap_servers, model="fraud", **asked) as actions:  # type: ignore[arg-type]
        first = [next(actions), next(actions)]
        invalid = actions.invalid
    with Actions(real_broker.bootstrap_servers, model="fraud", **asked) as actions:  # type: ignore[arg-type]
        again = next(actions)

    assert (first, again, invalid) == ([FIRST, NEXT], NEXT, 1)
