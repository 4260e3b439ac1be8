"""Specifications and adoptions on topics of a real broker: applied, refused, as in a replay."""

import json
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from streams.adoption_record import Adoption, adoption_key, write_adoption
from streams.forget_record import write_forget
from streams.moments import time_text
from streams.specification import KEY
from tests import builders, oracle, workers
from tests.brokers import Broker
from tests.builders import MINUTE_MS, START_MS

DEADLINE_S = 90

OWN = """
reference: 100
thresholds:
  - name: floor
    metric: accuracy
    below: 0.89
    minimum: 10
    by: value
    window: 1h
    then: [rollback, {action: retrain, cooldown: 5m}]
"""
APPLIED = """
reference: 100
settings: {window: 1h}
thresholds:
  - name: floor
    metric: accuracy
    below: 0.89
    minimum: 10
    by: value
    window: 1h
    then: [rollback, {action: retrain, cooldown: 5m}]
  - {name: eu, metric: recall, segment: region=eu, below: 0.9, minimum: 5, by: value, window: 10m}
  - {name: slow, metric: latency_p50_ms, above: 20, minimum: 20, by: value, window: 1h}
drift:
  - name: early
    input: loss
    detector: page_hinkley
    then: {action: retrain, cooldown: 1m}
    parameters: {reference: 20, block: 1, threshold: 1, delta: 0.01}
models: {churn: {task: multiclass}, fraud: {baseline: {file: ref.json}}}
"""
FROM_MS, UNTIL_MS = START_MS + 50 * MINUTE_MS, START_MS + 100 * MINUTE_MS
GONE_MS = START_MS + 75 * MINUTE_MS


def monitors(broker: Broker, prefix: str, *command: str) -> str:
    where = ("--bootstrap-servers", broker.bootstrap_servers, "--prefix", prefix)
    done = oracle.run("monitors", *command, *where)
    assert done.returncode in (0, 1), done.stderr
    return done.stdout


def _turn(action: dict[str, Any]) -> tuple[int, str]:
    return action["at_ms"], action["action_id"]


def lasts_ms(alert: dict[str, Any], alerts: list[dict[str, Any]]) -> int:
    """Return how long after a revision of an alert its last one is."""
    own = [a["at_ms"] for a in alerts if a["alert_id"] == alert["alert_id"]]
    return int(max(own)) - int(alert["at_ms"])


@pytest.mark.timeout(300)
def test_what_is_applied_takes_effect_as_in_a_replay_whatever_happens_to_the_worker(
    real_broker: Broker, prefix: str, tmp_path: Path
) -> None:
    """Two changes in advance, one that is refused, and a worker that is killed between them.

    In between, windows are compared with a profile, which the topic has. One model is
    forgotten meanwhile, and somebody adopts what an alert says.
    """
    own, applied = tmp_path / "own.yaml", tmp_path / "applied.yaml"
    own.write_text(OWN)
    applied.write_text(APPLIED)
    events = builders.delayed(builders.history(5, count=3_000), seed=6, bound_ms=60_000)
    lines = builders.as_lines(events)
    half = len(lines) // 2
    table = builders.write_lines(tmp_path / "table.jsonl", lines[:half])
    profile = ("--out", str(tmp_path / "ref.json"), "--model", "fraud")
    assert oracle.run("profile", str(table), *profile).returncode == 0
    workers.create_topics(real_broker, prefix, partitions=2)

    assert "no specification" in monitors(real_broker, prefix, "list")
    workers.produce(real_broker, prefix, lines[: half // 2])
    said = monitors(real_broker, prefix, "apply", str(applied), "--at", time_text(FROM_MS))
    assert "+ threshold 'eu': metric recall" in said
    assert "no difference" in monitors(real_broker, prefix, "diff", str(applied))
    shown = json.loads(monitors(real_broker, prefix, "list", "--json"))
    assert (shown["effective_at"], shown["refused"]) == (FROM_MS, None)
    assert "settings" not in shown["monitors"]
    refused = b'{"effective_at": 1700000000000, "monitors": {"windows": ["1m"]}}'
    producer = Producer(real_broker.client())
    producer.produce(f"{prefix}.monitors", refused, KEY)
    assert producer.flush(30) == 0
    monitors(real_broker, prefix, "withdraw", "--at", str(UNTIL_MS))
    where = ("--bootstrap-servers", real_broker.bootstrap_servers, "--prefix", prefix)
    told = oracle.run("models", "forget", "churn", "--version", "v1", "--at", str(GONE_MS), *where)
    assert told.returncode == 0, told.stderr

    recorded = [
        *lines[:100],
        json.dumps({"effective_at": FROM_MS, "monitors": shown["monitors"]}).encode(),
        write_forget("churn", "v1", effective_ms=GONE_MS),
        *lines[100:],
        json.dumps({"effective_at": UNTIL_MS, "monitors": None}).encode(),
    ]
    file = builders.write_lines(tmp_path / "plain.jsonl", recorded)
    plain = oracle.replay(file, "--json", "--monitors", own, out=tmp_path).alerts
    firsts = [a for a in plain if a["monitor"] == "early"]
    early = next(a for a in firsts if lasts_ms(a, plain) > 11 * MINUTE_MS)
    adopted = Adoption(early["alert_id"], early["model"], "ann", "", early["at_ms"] + MINUTE_MS)
    value = write_adoption(adopted)
    producer.produce(f"{prefix}.feedback", value, adoption_key(early["alert_id"]))
    producer.produce(f"{prefix}.feedback", b"{}", adoption_key("nobody"))
    assert producer.flush(30) == 0
    file = builders.write_lines(tmp_path / "events.jsonl", [*recorded, value])
    result = oracle.replay(file, "--json", "--monitors", own, out=tmp_path)
    summary = json.loads(result.stdout)
    assert summary["lines"] == len(lines)
    order = ("at_ms", "alert_id", "revision")
    found = sorted(result.alerts, key=lambda alert: [alert[name] for name in order])
    expected = {workers.key(metric): workers.identity(metric) for metric in result.metrics}
    options = ("--monitors", str(own), "--disorder", f"{summary['disorder_ms'] + 60_000}ms")
    log = tmp_path / "w.log"
    command = workers.command(real_broker, prefix, *options)

    first = workers.start(command, log)
    time.sleep(6)
    workers.produce(real_broker, prefix, lines[half // 2 : half])
    time.sleep(5)
    first.send_signal(signal.SIGKILL)
    first.wait(10)
    with workers.worker(real_broker, prefix, tmp_path / "again.log", *options):
        workers.produce(real_broker, prefix, lines[half:])
        deadline = time.monotonic() + DEADLINE_S
        metrics, alerts = workers.said(real_broker, prefix)
        while (metrics, alerts) != (expected, found) and time.monotonic() < deadline:
            time.sleep(2)
            metrics, alerts = workers.said(real_broker, prefix)

    differing = [(metrics.get(k), v) for k, v in expected.items() if metrics.get(k) != v]
    assert (len(differing), differing[:3]) == (0, [])
    assert alerts == found
    asked = [
        json.loads(m.value() or b"") for m in workers.records(real_broker, f"{prefix}.actions")
    ]
    replayed = [json.loads(line) for line in (tmp_path / "actions.jsonl").read_text().splitlines()]
    assert sorted(asked, key=_turn) == sorted(replayed, key=_turn)
    assert {a["monitor"] for a in asked} == {"floor", "early"}
    assert {a["alert_id"] for a in asked} <= {a["alert_id"] for a in alerts}
    compared = {v["window_start_ms"] for v in expected.values() if "psi" in str(v["metric"])}
    assert FROM_MS <= min(compared) <= max(compared) < UNTIL_MS
    assert {a["monitor"] for a in alerts} >= {"floor", "eu", "slow", "early"}
    gone = [one for one in expected.values() if (one["model"], one["version"]) == ("churn", "v1")]
    assert min(one["window_start_ms"] for one in gone) == GONE_MS
    assert any(a["message"] == "the monitor has changed, or is gone" for a in alerts)
    [over] = [a for a in alerts if a["message"] == "adopted by ann"]
    assert (over["alert_id"], over["state"]) == (early["alert_id"], "resolved")
    [letter] = workers.records(real_broker, f"{prefix}.feedback.dlq")
    assert dict(letter.headers())["driftline.reason"] == b"invalid_feedback"
    [letter] = workers.records(real_broker, f"{prefix}.monitors.dlq")
    headers = dict(letter.headers())
    assert (letter.key(), letter.value()) == (KEY, refused)
    assert headers["driftline.reason"] == b"invalid_monitors"
    assert b"windows cannot change" in headers["__connect.errors.exception.message"]
    assert "whatever monitors file" in log.read_text() + (tmp_path / "again.log").read_text()
