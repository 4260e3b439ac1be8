"""Reading alerts from a broker: each once without a group, at least once with one."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable

import msgspec
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewPartitions

from driftline import Alert, Alerts
from tests.brokers import Broker

TIMEOUT_S = 20.0
ALERT = Alert(
    alert_id="a-0",
    state="firing",
    model="fraud",
    version="2",
    segment="country=FR",
    monitor="accuracy-drop",
    kind="threshold",
    severity="critical",
    at_ms=1_700_000_000_000,
    value=0.71,
    threshold=0.8,
    direction="worse",
    detector="",
    message="accuracy fell to 0.71",
    revision=1,
    evidence={"count": 412, "outcome_index": 7},
)

Open = Callable[..., Alerts]
Publish = Callable[..., None]


def alert(number: int, *, model: str = "fraud") -> Alert:
    return msgspec.structs.replace(ALERT, alert_id=f"a-{number}", model=model)


@pytest.fixture
def prefix(any_broker: Broker, prefix: str) -> str:
    """Extend the common fixture: this prefix has its topic."""
    any_broker.create_topics({f"{prefix}.alerts": 2})
    return prefix


@pytest.fixture
def publish(any_broker: Broker, prefix: str) -> Publish:
    producer = Producer(any_broker.client())

    def publish(*values: Alert | bytes | None) -> None:
        for number, value in enumerate(values):
            body = msgspec.json.encode(value) if isinstance(value, Alert) else value
            producer.produce(f"{prefix}.alerts", body, f"{number}")
        assert producer.flush(TIMEOUT_S) == 0

    return publish


@pytest.fixture
def read(any_broker: Broker, prefix: str) -> Open:
    def read(**settings: object) -> Alerts:
        kafka = {"check.crcs": any_broker.crc, "session.timeout.ms": 6000}
        return Alerts(any_broker.bootstrap_servers, prefix=prefix, kafka=kafka, **settings)  # type: ignore[arg-type]

    return read


def take(alerts: Alerts, count: int) -> list[str]:
    """Take `count` alerts, and those that come within half a second after."""
    taken: list[str] = []
    deadline_s = time.monotonic() + TIMEOUT_S
    while len(taken) < count and time.monotonic() < deadline_s:
        found = alerts.poll(0.5)
        taken += [found.alert_id] if found else []
    while found := alerts.poll(0.5):
        taken.append(found.alert_id)
    return sorted(taken)


def test_an_alert_arrives_with_every_field(publish: Publish, read: Open) -> None:
    publish(ALERT)

    with read(start="earliest") as alerts:
        assert next(alerts) == ALERT


def test_from_the_earliest_all_partitions_are_read_each_alert_once(
    publish: Publish, read: Open
) -> None:
    publish(*(alert(i) for i in range(20)))

    with read(start="earliest") as alerts:
        assert take(alerts, 20) == sorted(f"a-{i}" for i in range(20))


def test_from_the_latest_only_what_comes_after_the_first_poll_is_read(
    publish: Publish, read: Open
) -> None:
    publish(*(alert(i) for i in range(5)))

    with read() as alerts:
        assert alerts.poll(5.0) is None
        publish(*(alert(i) for i in range(5, 9)))
        assert take(alerts, 4) == ["a-5", "a-6", "a-7", "a-8"]


def test_other_models_are_left_out(publish: Publish, read: Open) -> None:
    publish(alert(0), alert(1, model="churn"), alert(2))

    with read(start="earliest", model="churn") as alerts:
        assert take(alerts, 1) == ["a-1"]
        assert alerts.invalid == 0


def test_records_that_are_no_alerts_are_skipped_and_counted(publish: Publish, read: Open) -> None:
    """A tombstone is no error: it is how a compacted topic forgets."""
    publish(b"\xff\xfe", alert(0), b'{"alert_id": "x"}', b'{"alert_id": "\xff"}', None, alert(1))
    publish(b'{"x":' + b"[" * 100_000, alert(2))

    with read(start="earliest") as alerts:
        assert take(alerts, 3) == ["a-0", "a-1", "a-2"]
        assert alerts.invalid == 4


def test_iteration_ends_after_close(publish: Publish, read: Open) -> None:
    publish(*(alert(i) for i in range(4)))
    alerts = read(start="earliest")

    seen = []
    for found in alerts:
        seen.append(found.alert_id)
        if len(seen) == 4:
            alerts.close()

    assert sorted(seen) == [f"a-{i}" for i in range(4)]
    assert alerts.poll() is None
    alerts.close()


def test_a_group_remembers_what_was_handled_and_repeats_what_was_not(
    publish: Publish, read: Open
) -> None:
    """The last alert handed out is not handled until the next is asked for."""
    group = f"group-{uuid.uuid4().hex}"
    publish(*(alert(i) for i in range(10)))

    with read(group_id=group, start="earliest") as alerts:
        first = [next(alerts).alert_id for _ in range(4)]
    with read(group_id=group, start="earliest") as alerts:
        second = take(alerts, 7)
    with read(group_id=group, start="earliest") as alerts:
        third = take(alerts, 0)

    assert second == sorted({f"a-{i}" for i in range(10)} - set(first[:3]))
    assert third == []


def test_topics_that_are_not_there_yet_are_waited_for(any_broker: Broker, prefix: str) -> None:
    late = f"{prefix}-late"
    kafka = {"check.crcs": any_broker.crc, "topic.metadata.refresh.interval.ms": 200}
    with Alerts(any_broker.bootstrap_servers, prefix=late, start="earliest", kafka=kafka) as alerts:
        started_s = time.monotonic()
        assert alerts.poll(0.5) is None
        assert time.monotonic() - started_s < 2.0


def test_brokers_that_are_down_are_waited_for() -> None:
    with Alerts("127.0.0.1:1") as alerts:
        started_s = time.monotonic()
        assert alerts.poll(0.3) is None
        assert 0.25 < time.monotonic() - started_s < 2.0


def test_partitions_that_are_added_later_are_read(
    real_broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a real broker alone: the embedded one cannot add partitions."""
    topic = f"growing-{uuid.uuid4().hex}"
    real_broker.create_topics({f"{topic}.alerts": 1})
    monkeypatch.setattr("driftline.reader._METADATA_INTERVAL_S", 0.1)
    with Alerts(real_broker.bootstrap_servers, prefix=topic) as alerts:
        assert alerts.poll(2.0) is None
        admin = AdminClient(real_broker.client())
        [grown] = admin.create_partitions([NewPartitions(f"{topic}.alerts", 2)]).values()
        grown.result(TIMEOUT_S)
        producer = Producer(real_broker.client())
        producer.produce(f"{topic}.alerts", msgspec.json.encode(ALERT), partition=1)
        producer.flush(TIMEOUT_S)

        assert take(alerts, 1) == ["a-0"]


def test_aborted_alerts_are_never_seen(real_broker: Broker) -> None:
    """On a real broker alone: the embedded one does not hide what was aborted."""
    prefix = f"aborted-{uuid.uuid4().hex}"
    topic = f"{prefix}.alerts"
    real_broker.create_topics({topic: 1})
    producer = Producer(real_broker.client(transactional_id=prefix))
    producer.init_transactions(TIMEOUT_S)
    for number, end in enumerate((producer.abort_transaction, producer.commit_transaction)):
        producer.begin_transaction()
        producer.produce(topic, msgspec.json.encode(alert(number)))
        producer.flush(TIMEOUT_S)
        end(TIMEOUT_S)

    for group in (None, f"group-{uuid.uuid4().hex}"):
        with Alerts(
            real_broker.bootstrap_servers,
            prefix=prefix,
            start="earliest",
            group_id=group,
            kafka={"isolation.level": "read_uncommitted"},  # not the user's to weaken
        ) as alerts:
            assert take(alerts, 1) == ["a-1"]


@pytest.mark.parametrize("start", ["newest", "", None])
def test_an_unknown_start_is_refused(start: str) -> None:
    with pytest.raises(ValueError, match="latest"):
        Alerts("127.0.0.1:1", start=start)  # type: ignore[arg-type]
