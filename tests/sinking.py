"""What tests of sinks share: records, a topic in memory, and a loop that ends."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from threading import Event

import msgspec

from agents.sinks.contract import Sink
from agents.sinks.decoding import Decoding
from agents.sinks.letters import DeadLetterFile
from agents.sinks.runner import Pace, Runner
from agents.sinks.telemetry import SinkHealth
from driftline.places import Gap
from driftline.reader import Entry
from streams.actions import Action
from streams.alerts import Alert
from streams.metrics import Metric
from streams.topics import Topics

TOPICS = Topics()
START_MS = 1_767_225_600_000  # 2026-01-01 00:00:00 UTC
MINUTE_MS = 60_000


def metric(revision: int = 1, **changes: object) -> Metric:
    record = Metric(
        model="fraud",
        version="3",
        segment="",
        window_start_ms=START_MS,
        window_end_ms=START_MS + MINUTE_MS,
        metric="accuracy",
        value=0.5 + revision / 100,
        low=0.4,
        high=None,
        count=10 * revision,
        coverage=0.9,
        revision=revision,
        final=False,
    )
    return msgspec.structs.replace(record, **changes)


def alert(state: str = "firing", revision: int = 0, **changes: object) -> Alert:
    record = Alert(
        alert_id="a1",
        state=state,
        model="fraud",
        version="3",
        segment="",
        monitor="accuracy-drop",
        kind="threshold",
        severity="critical",
        at_ms=START_MS,
        value=0.4,
        threshold=0.8,
        direction="worse",
        detector="threshold",
        message="accuracy is 0.4, below 0.8",
        revision=revision,
        evidence={"count": 10},
    )
    return msgspec.structs.replace(record, **changes)


def action(what: str = "retrain", **changes: object) -> Action:
    record = Action(
        action_id="c1",
        action=what,
        model="fraud",
        version="3",
        segment="",
        monitor="accuracy-drop",
        alert_id="a1",
        at_ms=START_MS,
        severity="critical",
        message="accuracy is 0.4, below 0.8",
    )
    return msgspec.structs.replace(record, **changes)


OWNED = {"owner": "risk", "runbook": "https://wiki/f?a=1&b=2", "tags": {"tier": "1", "a.b": "x"}}
"""Whom a model belongs to, also as no monitors file would have it."""


def metric_key(record: Metric) -> bytes:
    names = (record.model, record.version, record.segment)
    return msgspec.json.encode(
        [*names, record.window_start_ms, record.window_end_ms, record.metric]
    )


class Log:
    """Topics in memory, with what a group has committed; survives its readers."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.gaps: list[Gap] = []
        self.committed = 0

    def add(self, *records: Metric | Alert | Action, at_ms: int | None = None) -> None:
        for record in records:
            if isinstance(record, Action):
                key = record.action_id.encode()
                self.put(TOPICS.actions, key, msgspec.json.encode(record), at_ms)
                continue
            if isinstance(record, Metric):
                self.put(TOPICS.metrics, metric_key(record), msgspec.json.encode(record), at_ms)
            else:
                key = record.alert_id.encode()
                self.put(TOPICS.alerts, key, msgspec.json.encode(record), at_ms)

    def delete(self, record: Metric, *, at_ms: int | None = None) -> None:
        self.put(TOPICS.metrics, metric_key(record), None, at_ms)

    def put(
        self, topic: str, key: bytes | None, value: bytes | None, at_ms: int | None = None
    ) -> None:
        offset = sum(entry.topic == topic for entry in self.entries)
        time_ms = START_MS + 1_000 * len(self.entries) if at_ms is None else at_ms
        self.entries.append(Entry(topic, 0, offset, time_ms, key, value))


class LogReader:
    """Reads a `Log` as `driftline.reader.Reader` reads Kafka."""

    def __init__(self, log: Log, start: object) -> None:
        self.log, self.gaps, self._grouped = log, log.gaps, start == "group"
        begins = start if isinstance(start, dict) else {}
        first = log.committed if start == "group" else 0
        self._wanted = [
            (number, entry)
            for number, entry in enumerate(log.entries)
            if number >= first and entry.offset >= begins.get((entry.topic, entry.partition), 0)
        ]
        self._read = 0

    def read(self, timeout_s: float, most: int = 10_000) -> list[Entry]:
        del timeout_s
        found = self._wanted[self._read : self._read + most]
        self._read += len(found)
        return [entry for _, entry in found]

    def commit(self) -> None:
        if self._grouped and self._read:
            self.log.committed = self._wanted[self._read - 1][0] + 1

    @property
    def at_end(self) -> bool:
        return self._read == len(self._wanted)

    @property
    def lag(self) -> int:
        return len(self._wanted) - self._read


def run(
    sink: Sink,
    log: Log,
    folder: Path,
    *,
    most: int = 10_000,
    idle_steps: int = 1,
    health: SinkHealth | None = None,
) -> SinkHealth:
    """Hand on what a log has, and go on for some steps after that."""
    health = health or SinkHealth(sink.name, version="1")
    try:
        source = LogReader(log, sink.start())
        runner = Runner(
            sink,
            source,
            decode=Decoding(TOPICS),
            letters=DeadLetterFile(folder / "dead.jsonl"),
            health=health,
            stop=Event(),
            pace=Pace(most, first_pause_s=0.05, longest_pause_s=0.1),
        )
        while not source.at_end:
            runner.step()
        for _ in range(idle_steps):
            runner.step()
    finally:
        sink.close()
    return health


def letters(folder: Path) -> list[dict[str, object]]:
    path = folder / "dead.jsonl"
    return json_lines(path.read_text().splitlines()) if path.exists() else []


def json_lines(lines: Iterable[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in lines]
