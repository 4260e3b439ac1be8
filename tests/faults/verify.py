"""The verifier: it knows the topics, the ledger and the truth, and nothing of workers.

Every check returns what is wrong, a line each; no lines means that the numbers are exact.
"""

import json
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, Message, TopicPartition

from tests import oracle, workers
from tests.brokers import Broker
from tests.faults import state_log
from tests.faults.ledger import Entry
from tests.faults.onlooker import Onlooker, Place
from tests.faults.truth import Truth

_SHOWN = 5
_ALERT_ORDER = ("at_ms", "model", "version", "segment", "monitor", "alert_id", "revision")

Records = Sequence[Message]
Metrics = Mapping[bytes, dict[str, Any]]


class Said:
    """What the output topics say, read anew from their beginning."""

    def __init__(self, broker: Broker, prefix: str) -> None:
        self.metric_records = workers.records(broker, f"{prefix}.metrics")
        self.alert_records = workers.records(broker, f"{prefix}.alerts")

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """The last revision of every metric, in the order of a replay's file."""
        last = {m.key(): m.value() for m in self.metric_records}
        keys = sorted((key for key, value in last.items() if value), key=json.loads)  # type: ignore[arg-type]
        return [json.loads(last[key]) for key in keys]  # type: ignore[arg-type]

    @property
    def alerts(self) -> list[dict[str, Any]]:
        """All revisions of all alerts, in the order of a replay's file."""
        alerts = [json.loads(m.value()) for m in self.alert_records]  # type: ignore[arg-type]
        return in_order(alerts)


def in_order(alerts: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Sort revisions of alerts as in a replay's file."""
    return sorted(alerts, key=lambda alert: [alert[name] for name in _ALERT_ORDER])


def settled(onlooker: Onlooker, prefix: str, truth: Truth) -> bool:
    """Tell whether what the onlooker saw is what must come of it; cheap enough to ask often."""
    seen = sorted(onlooker.seen.copy().items())  # it grows, in a thread of its own
    last = {key: value for place, (key, value) in seen if place.topic == f"{prefix}.metrics"}
    metrics = {key: workers.identity(json.loads(value)) for key, value in last.items() if value}
    if metrics != {workers.key(m): workers.identity(m) for m in truth.replayed.metrics}:
        return False
    return sum(place.topic == f"{prefix}.alerts" for place, _ in seen) >= len(truth.replayed.alerts)


def log_starts(broker: Broker, topic: str, partitions: int) -> list[int]:
    """Return the first offset of each partition that is still there."""
    consumer = Consumer(broker.client(**{"group.id": "log-starts"}))
    try:
        return [
            consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=10)[0]
            for number in range(partitions)
        ]
    finally:
        consumer.close()


def differences(
    broker: Broker,
    prefix: str,
    *,
    truth: Truth,
    acknowledged: Counter[Entry],
    onlooker: Onlooker,
    partitions: int,
    folder: Path,
) -> list[str]:
    """Check everything; `folder` takes what the topics said, as files like a replay's."""
    before = onlooker.seen.copy()  # what comes while topics are read has not vanished from them
    said = Said(broker, prefix)
    fates = state_log.fates(broker, prefix, truth, partitions=partitions)
    result = as_result(said.metrics, said.alerts, fates=fates, folder=folder)
    inputs = {t: workers.records(broker, f"{prefix}.{t}") for t in ("predictions", "labels")}
    dead = {t: workers.records(broker, f"{prefix}.{t}.dlq") for t in ("predictions", "labels")}
    return [
        *written_once(acknowledged, inputs),
        *(f"replay: {change}" for change in oracle.changes(result, truth.replayed)),
        *(f"oracle: {problem}" for problem in oracle.differences(truth.expected, result)),
        *revisions_rise(said.metric_records),
        *alerts_come_once(said.alerts),
        *conserved(said.metrics, inputs=inputs, dead=dead, fates=truth.expected.fates),
        *nothing_vanished(onlooker, [*said.metric_records, *said.alert_records], before=before),
    ]


def as_result(
    metrics: Sequence[dict[str, Any]],
    alerts: Sequence[dict[str, Any]],
    *,
    fates: Counter[str],
    folder: Path,
) -> oracle.Result:
    """Write down what was said as a replay does."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, records in (("metrics", metrics), ("alerts", alerts)):
        text = "".join(json.dumps(record) + "\n" for record in records)
        (folder / f"{name}.jsonl").write_text(text)
    (folder / "fates.json").write_text(json.dumps(dict(fates)))
    return oracle.Result(folder, "", "")


def written_once(acknowledged: Counter[Entry], inputs: Mapping[str, Records]) -> Iterator[str]:
    """The inputs hold what was acknowledged, each record once: else the run proves nothing."""
    held = Counter(
        Entry(m.topic(), m.key(), m.value())  # type: ignore[arg-type]
        for records in inputs.values()
        for m in records
    )
    if held != acknowledged:
        lost, added = (acknowledged - held).total(), (held - acknowledged).total()
        yield f"inputs: {lost} acknowledged records are missing, {added} are too many"


def revisions_rise(records: Records) -> list[str]:
    """A metric's revisions rise, and none is published twice."""
    last: dict[bytes | None, int] = {}
    found = []
    for record in records:
        value = record.value()
        if value is None:
            continue
        revision = json.loads(value)["revision"]
        if revision <= last.get(record.key(), 0):
            before = last[record.key()]
            found.append(f"revisions of {record.key()!r}: {revision} follows {before}")
        last[record.key()] = revision
    return shortened(found)


def alerts_come_once(alerts: Iterable[dict[str, Any]]) -> list[str]:
    """No revision of an alert is published twice."""
    counts = Counter((a["alert_id"], a["state"], a["revision"]) for a in alerts)
    return shortened(f"alert {one}: {n} times" for one, n in counts.items() if n > 1)


def conserved(
    metrics: Sequence[dict[str, Any]],
    *,
    inputs: Mapping[str, Records],
    dead: Mapping[str, Records],
    fates: Counter[str],
) -> list[str]:
    """Every input record is in a metric, in the dead letters, or in a fate that leaves no trace.

    The last are taken from the oracle; everything else is counted on the topics.
    """
    totals: Counter[str] = Counter()
    for metric in metrics:
        if metric["segment"] == "":
            totals[metric["metric"]] += metric["value"]
    predictions, labels = round(totals["predictions"]), round(totals["labels"])
    said = {
        "predictions in": len(inputs["predictions"]),
        "labels in": len(inputs["labels"]),
        "predictions without a label": predictions - labels,
        "late labels": _reasons(dead["labels"])["late_label"],
        "other dead letters": sum(map(len, dead.values())) - _reasons(dead["labels"])["late_label"],
    }
    repeated = fates["duplicate_prediction"] + fates["conflicting_prediction"]
    traceless = ("duplicate_label", "correction", "retraction", "orphan_label")
    right = {
        "predictions in": predictions + repeated + len(dead["predictions"]),
        "labels in": fates["joined"] - labels + sum(fates[n] for n in traceless)
        + len(dead["labels"]),
        "predictions without a label": fates["unlabelled"],
        "late labels": fates["late_label"],
        "other dead letters": fates["dead_letter"],
    }  # fmt: skip
    return [f"{n}: {said[n]}, should be {right[n]}" for n in said if said[n] != right[n]]


def _reasons(letters: Records) -> Counter[str]:
    return Counter(dict(m.headers() or ())["driftline.reason"].decode() for m in letters)  # type: ignore[union-attr]


def nothing_vanished(
    onlooker: Onlooker, records: Records, *, before: Mapping[Place, Any]
) -> list[str]:
    """Who was there all the time has seen what is there now: nothing that was visible went away.

    Parameters
    ----------
    before
        What was seen before the records were read.
    """
    topics = {record.topic() for record in records}
    now = {Place(m.topic(), m.partition(), m.offset()): (m.key(), m.value()) for m in records}  # type: ignore[arg-type]
    then = {place: value for place, value in before.items() if place.topic in topics}
    found = list(onlooker.problems)
    if lost := [place for place, value in then.items() if now.get(place) != value]:
        found.append(f"{len(lost)} records were visible and are gone or changed, first {lost[0]}")
    if late := now.keys() - onlooker.seen.keys():
        found.append(f"{len(late)} records were never visible to a reader that was there")
    return found


def shortened(found: Iterable[str]) -> list[str]:
    """Keep some of many lines that say the same."""
    found = list(found)
    more = len(found) - _SHOWN
    return found if more <= 0 else [*found[:_SHOWN], f"and {more} more of these"]
