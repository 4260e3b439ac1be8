"""`driftline alerts` lists what fires, takes verdicts, and says how precise monitors are."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from click.testing import Result
from confluent_kafka import Producer
from typer.testing import CliRunner

from agents.cli import app
from agents.settings import Settings
from agents.sinks.sql import Sql, SqlOptions
from agents.topic_records import records_of
from streams.adoption_record import Adoption, adoption_key, read_adoption, write_adoption
from streams.errors import ConfigError
from streams.topics import Topics
from tests.brokers import Broker
from tests.histories import rows
from tests.sinking import TOPICS, Log, alert, letters, run

EVIL = "\x1b[31mfraud[/a]"


class Installation:
    """Topics with three alerts, two of which fire."""

    def __init__(self, broker: Broker, prefix: str) -> None:
        self._broker, self._prefix = broker, prefix
        topics = Topics(prefix)
        broker.create_topics({topics.alerts: 2, topics.feedback: 1})
        producer = Producer(broker.client())
        for one in (
            alert(alert_id="aa1"),
            alert(alert_id="ab2", model=EVIL),
            alert(alert_id="b3"),
            alert("resolved", 1, alert_id="b3"),
        ):
            producer.produce(topics.alerts, msgspec.json.encode(one), one.alert_id)
        producer.produce(topics.alerts, b"{}", b"no alert")
        nowhen = alert(alert_id="in 33,658", at_ms=10**18)
        producer.produce(topics.alerts, msgspec.json.encode(nowhen), nowhen.alert_id)
        producer.produce(topics.feedback, b"no verdict", b"b3")
        assert producer.flush(30) == 0

    def run(self, *command: str) -> Result:
        where = ["--prefix", self._prefix, "--bootstrap-servers", self._broker.bootstrap_servers]
        return CliRunner().invoke(app, ["alerts", *command, *where])


@pytest.fixture
def installation(embedded_broker: Broker, prefix: str) -> Installation:
    return Installation(embedded_broker, prefix)


def test_what_fires_is_listed_and_all_of_it_on_request(installation: Installation) -> None:
    firing = installation.run("list", "--json")
    every = installation.run("list", "--json", "--all")
    table = installation.run("list")

    assert [json.loads(one)["alert_id"] for one in firing.stdout.splitlines()] == ["aa1", "ab2"]
    assert len(every.stdout.splitlines()) == 3
    assert "\x1b" not in table.stdout
    assert "[31mfraud[/a]" in table.stdout


def test_the_last_verdict_counts_and_makes_the_precision_of_the_monitor(
    installation: Installation,
) -> None:
    by = ("--by", "ann")
    said = [installation.run("verdict", *one, *by) for one in (("aa1", "true"), ("aa", "false"))]
    said += [installation.run("verdict", "b3", "true", "--by", "bob", "--note", "a release")]
    found = installation.run("precision", "--json")
    shown = installation.run("precision")
    [first, *_] = installation.run("list", "--json").stdout.splitlines()

    assert [one.exit_code for one in said] == [0, 0, 0], said
    [monitor] = json.loads(found.stdout)
    assert (monitor["alerts"], monitor["true"], monitor["false"]) == (3, 1, 1)
    assert monitor["value"] == 0.5
    assert "50%" in shown.stdout
    assert json.loads(first)["verdict"]["by"] == "ann"
    assert json.loads(first)["verdict"]["verdict"] == "false"


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("gone", "true", "--by", "ann"), "no alert 'gone'"),
        (("a", "true", "--by", "ann"), "'a' begins 2 alerts"),
        (("aa1", "maybe", "--by", "ann"), "verdict 'maybe' must be true, false or expected"),
        (("aa1", "true", "--by", " "), "--by: say who judges"),
        (("aa1", "true", "--by", "ann", "--note", "x" * 3_000), "the verdict is refused"),
    ],
)
def test_a_verdict_that_makes_no_sense_is_refused(
    command: tuple[str, ...], said: str, installation: Installation
) -> None:
    result = installation.run("verdict", *command)

    assert isinstance(result.exception, ConfigError), result
    assert said in str(result.exception)


def test_what_a_detector_has_found_is_adopted_and_of_an_incident_all_such(
    embedded_broker: Broker, prefix: str
) -> None:
    topics = Topics(prefix)
    embedded_broker.create_topics({topics.alerts: 2, topics.feedback: 1})
    producer = Producer(embedded_broker.client())
    drift = {"kind": "drift", "incident_id": "in", "evidence": {"input": "feature:age"}}
    for one in (
        alert(alert_id="in", kind="incident", monitor="incident"),
        alert(alert_id="aa1", **drift),
        alert(alert_id="ab2", **drift),
        alert(alert_id="c3", incident_id="in"),
        alert("resolved", 1, alert_id="d4", **drift),
    ):
        producer.produce(topics.alerts, msgspec.json.encode(one), one.alert_id)
    assert producer.flush(30) == 0
    servers = embedded_broker.bootstrap_servers

    def adopt(*command: str) -> Result:
        where = ["--prefix", prefix, "--bootstrap-servers", servers]
        return CliRunner().invoke(app, ["alerts", "adopt", *command, *where])

    one = adopt("aa", "--by", "ann", "--at", "2026-01-31", "--note", "new prices")
    every = adopt("in", "--by", "ann", "--at", "2026-02-01")

    assert (one.exit_code, every.exit_code) == (0, 0), (one, every)
    assert "feature:age of fraud is usual as it is, says ann" in one.stdout
    assert "2026-01-31T00:00:00Z, event time" in one.stdout
    messages = records_of(Settings(prefix=prefix, bootstrap_servers=servers), topics.feedback)
    found = [read_adoption(m.value() or b"", key=m.key()) for m in messages]
    assert [(a.alert_id, a.by, a.note) for a in found] == [
        ("aa1", "ann", "new prices"),
        ("aa1", "ann", ""),
        ("ab2", "ann", ""),
    ]
    for command, said in (
        (("c3", "--by", "ann"), "accuracy-drop: the limit of a rule is that of the monitors file"),
        (("d4", "--by", "ann"), "alert d4 is resolved: there is nothing to adopt"),
        (("gone", "--by", "ann"), "no alert 'gone'"),
        (("aa1", "--by", " "), "--by: say who adopts it"),
        (("aa1", "--by", "ann", "--at", "soon"), "--at: 'soon' is no time"),
        (("aa1", "--by", "ann", "--note", "x" * 3_000), "the order is refused"),
    ):
        refused = adopt(*command)
        assert isinstance(refused.exception, ConfigError), refused
        assert said in str(refused.exception)


def test_the_history_keeps_the_last_verdict_on_an_alert(tmp_path: Path) -> None:
    log = Log()
    for verdict in ("true", "false"):
        value = {
            "alert_id": "a1",
            "verdict": verdict,
            "by": "ann",
            "at_ms": 1_767_225_600_000,
            "model": "fraud",
            "monitor": "accuracy-drop",
        }
        log.put(TOPICS.feedback, b"a1", msgspec.json.encode(value))
    # What is for workers alone is passed over.
    adopted = write_adoption(Adoption("a1", "fraud", "ann", "", 1_767_225_600_000))
    log.put(TOPICS.feedback, adoption_key("a1"), adopted)
    url = f"sqlite:///{tmp_path}/history.db"

    run(Sql(SqlOptions(target=url)), log, tmp_path)

    [row] = rows(url, "SELECT alert_id, verdict, by FROM feedback")
    assert tuple(row) == ("a1", "false", "ann")
    assert letters(tmp_path) == []
