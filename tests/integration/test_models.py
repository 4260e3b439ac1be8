"""`driftline models` lists what workers tell of models, and lets them forget one."""

from __future__ import annotations

import json

import msgspec
import pytest
from confluent_kafka import Producer
from typer.testing import CliRunner

from agents.cli import app
from agents.models import read_models
from agents.settings import Settings
from streams.errors import ConfigError
from streams.forget_record import Forget, read_forget
from streams.topics import Topics
from tests.brokers import Broker
from tests.builders import MINUTE_MS, START_MS, label, prediction
from tests.driver import TOPICS, Driver, as_inputs
from tests.workers import records

PARTITIONS = 2
DEEP = b'{"x":' + b"[" * 100_000


def written(broker: Broker, prefix: str) -> None:
    """Write what a monitor tells of two models, and that a third was forgotten."""
    topic = Topics(prefix).models
    broker.create_topics({topic: PARTITIONS})
    driver = Driver(partitions=PARTITIONS)
    for model, guess in (("fraud", 1), ("[prices]", 2.5)):
        for number in range(40):
            name, at_ms = f"{model}-{number}", START_MS + number * 60_000
            event = prediction(
                name,
                model=model,
                version="7",
                prediction=guess,
                timestamp_ms=at_ms,
                features={"amount": number, "city": "Rome"},
            )
            driver.feed(as_inputs([event, label(name, label=guess, timestamp_ms=at_ms)]))
    driver.come_to(START_MS + 62 * MINUTE_MS)
    driver.finish()
    producer = Producer(broker.client())
    for written_to, key, value in driver.written:
        if written_to == TOPICS.models:
            producer.produce(topic, value, key)
    for value in (b"{}", None):
        producer.produce(topic, value, b'["gone",""]')
    assert producer.flush(30) == 0


def test_models_are_listed_as_a_table_and_as_json(any_broker: Broker, prefix: str) -> None:
    written(any_broker, prefix)
    command = ["models", "list", "--prefix", prefix]
    command += ["--bootstrap-servers", any_broker.bootstrap_servers]

    table = CliRunner().invoke(app, command)
    listed = CliRunner().invoke(app, [*command, "--json"])

    assert [one["model"] for one in json.loads(listed.stdout)] == ["[prices]", "fraud"]
    assert {one["task"] for one in json.loads(listed.stdout)} == {"binary", "regression"}
    assert {one["last_seen_ms"] for one in json.loads(listed.stdout)} == {START_MS}
    rows = [line.split() for line in table.stdout.splitlines()]
    assert ["[prices]", "7", "regression", "2024-06-01", "00:00:00Z"] in [row[:5] for row in rows]
    assert "1 numbers, 1 categories" in " ".join(table.stdout.split())


def test_what_no_worker_wrote_keeps_no_model_from_being_listed(
    any_broker: Broker, prefix: str
) -> None:
    written(any_broker, prefix)
    settings = Settings(bootstrap_servers=any_broker.bootstrap_servers, prefix=prefix)
    [one, _] = read_models(settings)
    producer = Producer(any_broker.client())
    for field in ("first_seen_ms", "last_seen_ms", "reference_since_ms"):
        odd = msgspec.structs.replace(one, model=field, **{field: 10**18})
        producer.produce(Topics(prefix).models, msgspec.json.encode(odd), field)
    for number, value in enumerate((b"\xff", b"{}", DEEP)):
        producer.produce(Topics(prefix).models, value, f"odd-{number}")
    assert producer.flush(30) == 0

    assert [one.model for one in read_models(settings)] == ["[prices]", "fraud"]


def test_a_topic_that_is_not_there_is_named(any_broker: Broker, prefix: str) -> None:
    settings = Settings(bootstrap_servers=any_broker.bootstrap_servers, prefix=prefix)

    with pytest.raises(ConfigError, match="does not exist"):
        read_models(settings)


def test_an_order_to_forget_a_model_is_written_as_workers_read_it(
    any_broker: Broker, prefix: str
) -> None:
    topic = Topics(prefix).monitors
    any_broker.create_topics({topic: 1})
    command = ["models", "forget", "fraud", "--prefix", prefix]
    command += ["--bootstrap-servers", any_broker.bootstrap_servers, "--at", str(START_MS)]

    told = CliRunner().invoke(app, [*command, "--version", "7"])
    listed = CliRunner().invoke(app, [*command, "--json"])

    assert f"written: {topic}@0; it takes effect at the first boundary" in told.stdout
    assert json.loads(listed.stdout) == {"topic": topic, "offset": 1, "effective_at": START_MS}
    found = [(one.key(), one.value()) for one in records(any_broker, topic)]
    assert [read_forget(value, key=key) for key, value in found] == [
        Forget("fraud", "7", START_MS),
        Forget("fraud", None, START_MS),
    ]
