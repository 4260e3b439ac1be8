"""Every part on a Kafka with TLS, passwords and ACLs, each with the rights listed for it."""

import json
import logging
import time
from pathlib import Path

import msgspec
import pytest
from confluent_kafka import KafkaError, KafkaException, Producer

from agents import feedback, topics_admin
from agents.acls import grants
from agents.settings import Settings
from agents.status import Tally, status_of
from agents.web.history import History
from agents.web.listening import Listening
from agents.web.own_history import OwnHistory
from agents.web.run import Address, serving
from driftline import Alerts, Publisher
from streams.errors import ConfigError
from streams.topics import Topics
from streams.verdicts import Verdict
from tests import secured
from tests.receivers import receiving
from tests.secure_broker import SecureBroker
from tests.sinking import alert, metric, metric_key
from tests.webs import api, rows

SECRET = "secret-of"  # part of every password
MONITORS = """
thresholds:
  - {name: accuracy-floor, metric: accuracy, below: 0.9, minimum: 50, by: value, window: 5m}
"""


@pytest.fixture
def installation(secure_broker: SecureBroker, prefix: str) -> secured.Installation:
    return secured.install(secure_broker, prefix)


@pytest.mark.timeout(300)
def test_every_part_works_with_exactly_the_rights_that_are_listed(
    installation: secured.Installation, tmp_path: Path
) -> None:
    """Numbers are right over a rebalance and a recovery, and no secret is shown anywhere."""
    broker, prefix = installation.broker, installation.prefix
    log, second_log = tmp_path / "worker.log", tmp_path / "second.log"
    monitors = tmp_path / "monitors.yaml"
    monitors.write_text(MONITORS)
    options = ("--monitors", str(monitors), "--idle-timeout", "1s", "--window", "1m")

    created = installation.run("topics", "topics", "create", "--partitions", "2")
    checked = secured.run(
        broker.sasl_servers,
        prefix,
        *("topics", "check"),
        variables=secured.as_variables(installation.kafka("topics")),
    )
    sender = installation.kafka("publisher")
    variables = secured.as_variables(installation.kafka("worker"))
    with (
        Publisher(broker.sasl_servers, prefix=prefix, kafka=sender) as publisher,
        secured.worker(broker, prefix, second_log, *options, variables=variables),
    ):
        with secured.worker(
            broker, prefix, log, *options, *secured.as_flags(installation.kafka("worker"))
        ):
            secured.publish(publisher, 0, 200)
            secured.publish_poison({"bootstrap.servers": broker.sasl_servers, **sender}, prefix)
            secured.wait_until(lambda: installation.members() == 2, log)
            secured.publish(publisher, 200, 200)
            secured.wait_until(lambda: installation.totals() == (400, 300), log)
        secured.publish(publisher, 400, 200)
        secured.wait_until(lambda: installation.totals() == (600, 450), second_log)
    # A worker that comes later has all of its state from the log.
    with secured.worker(broker, prefix, log, *options, variables=variables) as third:
        with Publisher(broker.sasl_servers, prefix=prefix, kafka=sender) as publisher:
            secured.publish(publisher, 600, 100)
        secured.wait_until(lambda: installation.totals() == (700, 525), log)
        shown = Path(f"/proc/{third.pid}/cmdline")
        processes = shown.read_text() if shown.exists() else ""

    where = {"prefix": prefix, "start": "earliest", "kafka": installation.kafka("alerts")}
    with Alerts(broker.sasl_servers, group_id=installation.group, **where) as alerts:
        grouped = alerts.poll(30)
    with Alerts(broker.sasl_servers, **where) as alerts:
        ungrouped = alerts.poll(30)
    dead = [installation.records(f"{topic}.dlq") for topic in ("predictions", "labels")]
    words = ("tail", "dlq", "--from-beginning", "--no-follow", "--json")
    told = installation.run("tail", *words)
    emptied = installation.run("reset", "topics", "reset", "--yes")
    assert (created.code, checked.code) == (0, 0), created.said + checked.said
    assert emptied.code == 0, emptied.said
    assert installation.records("metrics") == installation.records("outcomes") == 0
    assert grouped is not None
    assert grouped.monitor == "accuracy-floor"
    assert ungrouped == grouped
    assert all(count > 0 for count in dead)
    reasons = [json.loads(line)["reason"] for line in told.said.splitlines()]
    assert reasons == ["invalid_json", "invalid_json"]
    said = log.read_text() + second_log.read_text() + created.said + checked.said + processes
    assert "worker starts" in said
    assert SECRET not in said


REFUSED = {
    "wrong password": ({"sasl.password": "secret-of-nobody"}, "Authentication failed"),
    "unknown user": ({"sasl.username": "nobody"}, "Authentication failed"),
    "plain user by scram": ({"sasl.username": "reader"}, "Authentication failed"),
    "authority that did not sign": ({"ssl.ca.location": "other-ca.pem"}, "ssl.ca.location"),
    "no authority": ({"ssl.ca.location": None}, "ssl.ca.location"),
    "missing file": ({"ssl.ca.location": "none.pem"}, "ssl.ca.location"),
}
COMMANDS = (
    ("worker", "--metrics-port", "0"),
    ("topics", "create"),
    ("topics", "check"),
    ("tail", "metrics"),
    ("tail", "alerts"),
    ("tail", "dlq"),
)


@pytest.mark.parametrize(("case", "words"), list(zip(REFUSED, COMMANDS * 2, strict=False)))
def test_a_refused_login_is_one_line_with_the_cause_and_no_secret(
    installation: secured.Installation, case: str, words: tuple[str, ...]
) -> None:
    changes, cause = REFUSED[case]
    kafka: dict[str, str] = {}
    for key, value in {**installation.kafka("worker"), **changes}.items():
        if value is not None:
            is_file = value.endswith(".pem")
            kafka[key] = str(installation.broker.folder / value) if is_file else value

    ended = secured.run(
        installation.broker.sasl_servers,
        installation.prefix,
        *words,
        variables=secured.as_variables(kafka),
    )

    assert ended.code == 2
    assert len(ended.said.splitlines()) == 1, ended.said
    assert cause in ended.said
    assert SECRET not in ended.said


def test_a_certificate_is_as_good_as_a_password(
    secure_broker: SecureBroker, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = [grant for grant in grants(prefix) if grant.part == "topics"]
    secure_broker.allow("client", wanted)
    kafka = secure_broker.mutual_tls()
    anonymous = {k: v for k, v in kafka.items() if k not in secured.CERTIFICATE}

    created = secured.run(
        secure_broker.tls_servers, prefix, "topics", "create", *secured.as_flags(kafka)
    )
    monkeypatch.setattr(topics_admin, "_TIMEOUT_S", 3.0)
    refused = Settings(bootstrap_servers=secure_broker.tls_servers, prefix=prefix, kafka=anonymous)

    assert created.code == 0, created.said
    with pytest.raises(ConfigError, match="certificate"):
        topics_admin.check(refused)


def test_a_listener_that_speaks_another_protocol_is_refused_with_a_hint(
    secure_broker: SecureBroker, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topics_admin, "_TIMEOUT_S", 3.0)

    with pytest.raises(ConfigError, match=r"do the address and security\.protocol fit"):
        topics_admin.check(Settings(bootstrap_servers=secure_broker.sasl_servers, prefix=prefix))


@pytest.mark.parametrize("group", [None, "pager"])
def test_alerts_raises_when_the_password_is_wrong(
    installation: secured.Installation, group: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    kafka = {**installation.kafka("alerts"), "sasl.password": "secret-of-nobody"}

    with (
        Alerts(
            installation.broker.sasl_servers,
            prefix=installation.prefix,
            group_id=group,
            kafka=kafka,
        ) as alerts,
        pytest.raises(KafkaException) as raised,
    ):
        next(alerts)

    assert raised.value.args[0].code() == KafkaError._AUTHENTICATION
    assert SECRET not in caplog.text + str(raised.value)


def test_a_publisher_with_a_wrong_password_counts_its_drops_and_logs_the_cause(
    installation: secured.Installation, caplog: pytest.LogCaptureFixture
) -> None:
    kafka = {**installation.kafka("publisher"), "sasl.password": "secret-of-nobody"}

    with Publisher(
        installation.broker.sasl_servers,
        prefix=installation.prefix,
        kafka=kafka,
        flush_timeout_s=5,
    ) as publisher:
        assert publisher.label(prediction_id="r", label=True)

    assert dict(publisher.dropped) == {"delivery_failed": 1}
    assert "Authentication failed" in caplog.text
    assert SECRET not in caplog.text


def test_the_page_works_with_exactly_the_rights_that_are_listed(
    installation: secured.Installation, tmp_path: Path
) -> None:
    """It fills its history, hears workers and dead letters, knows owners, and takes verdicts."""
    broker, topics = installation.broker, Topics(installation.prefix)
    assert installation.run("topics", "topics", "create", "--partitions", "1").code == 0
    monitors = tmp_path / "monitors.yaml"
    monitors.write_text("models: {fraud: {owner: risk}}")
    assert installation.run("monitors", "monitors", "apply", str(monitors)).code == 0
    producer = Producer({"bootstrap.servers": broker.admin_servers})
    now_ms = time.time_ns() // 1_000_000
    for topic, key, value in (
        (topics.metrics, metric_key(metric()), metric()),
        (topics.alerts, b"a1", alert(at_ms=now_ms)),
        (topics.workers, b"w", status_of([], Tally(), worker_id="w", version="1", unready=None)),
        (topics.dead_letters(topics.labels), b"x", "bad"),
    ):
        producer.produce(topic, msgspec.json.encode(value), key)
    assert producer.flush(30) == 0
    settings = Settings(
        bootstrap_servers=broker.sasl_servers,
        prefix=installation.prefix,
        kafka=installation.kafka("web"),
    )
    verdict = Verdict(
        alert_id="a1", verdict="false", by="me", at_ms=now_ms,
        **dict.fromkeys(("model", "version", "segment", "monitor"), "x"),
    )  # fmt: skip

    def complete() -> bool:
        if own.wrong is not None:
            raise AssertionError(own.wrong)
        told, board = listening.told(), running.following.board
        known = bool(board.open) and bool(board.lines) and told.monitors is not None
        return known and bool(told.workers) and bool(told.letters)

    with (
        OwnHistory(settings, tmp_path, tell=lambda _: None) as own,
        Listening(settings) as listening,
        serving(History(own.url), Address(port=0), told=listening.told) as running,
    ):
        secured.wait_until(complete, monitors)
        assert feedback.write(settings, verdict) == 0
        fleet = rows(api(running.port, "fleet"), "models")

    assert [(row["model"], row["owner"]) for row in fleet] == [("fraud", "risk")]
    assert listening.told().wrong is None


def test_a_sink_and_who_alters_topics_work_with_exactly_the_rights_that_are_listed(
    installation: secured.Installation, tmp_path: Path
) -> None:
    """A sink with a group of its own, and one that remembers by itself."""
    broker, topics = installation.broker, Topics(installation.prefix)
    created = [installation.run("topics", "topics", "create", "--partitions", "1") for _ in "12"]
    producer = Producer({"bootstrap.servers": broker.admin_servers})
    now_ms = time.time_ns() // 1_000_000
    producer.produce(topics.alerts, msgspec.json.encode(alert(at_ms=now_ms)), b"a1")
    assert producer.flush(30) == 0
    flags = secured.as_flags(installation.kafka("sink"))
    letters = ("--dead-letters", str(tmp_path / "letters"), "--metrics-port", "0")

    with receiving() as receiver:
        words = ("sink", "webhook", receiver.url, "--allow-private", *letters, *flags)
        with secured.running(broker, installation.prefix, tmp_path / "log", *words):
            secured.wait_until(lambda: bool(receiver.posts), tmp_path / "log")
    lines = tmp_path / "out" / "alerts"
    words = ("sink", "files", str(tmp_path / "out"), *letters, *flags)
    with secured.running(broker, installation.prefix, tmp_path / "log", *words):
        secured.wait_until(lambda: any(lines.glob("*.jsonl")), tmp_path / "log")
    wrong = secured.as_flags({**installation.kafka("sink"), "sasl.password": "secret-of-nobody"})
    refused = secured.run(
        broker.sasl_servers, installation.prefix, *("sink", "files", str(tmp_path / "x")), *wrong
    )

    assert [one.code for one in created] == [0, 0], created[1].said
    assert (refused.code, refused.said.count("\n")) == (2, 1), refused.said
    assert SECRET not in (tmp_path / "log").read_text() + refused.said
