"""The join's state log on a real broker: it is kept short, and still tells the whole state."""

from __future__ import annotations

import time
from collections.abc import Iterable
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient

from agents import ends
from agents.ends import ask_offsets
from agents.idleness import Input
from agents.opening import Opener
from agents.partitions import Partition
from agents.settings import resolve
from agents.trimming import Trimmer
from streams.topics import Topics
from streams.topology import build
from tests import builders, workers
from tests.brokers import Broker

DEADLINE_S = 120
LOG_BYTES = 20_000
PREDICTIONS = 20_000


def _lines() -> list[bytes]:
    """Return predictions over ten hours of event time, each with a label a minute later."""
    arrivals = builders.history(31, count=PREDICTIONS, span_ms=10 * builders.HOUR_MS)
    return builders.as_lines(builders.in_order(arrivals))


def _log_start(broker: Broker, prefix: str) -> int:
    log = (f"{prefix}.join-state", 0)
    admin = AdminClient(broker.client())  # kept: a dropped client cancels its requests
    answer = ask_offsets(admin, [log], latest=False, timeout_s=10)
    return int(answer[log].result(10).offset)


@pytest.fixture
def worn(real_broker: Broker, prefix: str, tmp_path: Path) -> str:
    """Let a worker whose log may hold little work, and end it; return the prefix."""
    workers.create_topics(real_broker, prefix, partitions=1)
    workers.produce(real_broker, prefix, _lines())
    options = ("--join-commit-interval", "10ms")
    entry = ("tests.faults.crashing_worker", "--log-bytes", str(LOG_BYTES), "--")
    with workers.worker(real_broker, prefix, tmp_path / "w.log", *options, entry=entry):
        deadline_s = time.monotonic() + DEADLINE_S
        while _log_start(real_broker, prefix) == 0 and time.monotonic() < deadline_s:
            time.sleep(0.5)
    assert _log_start(real_broker, prefix) > 0, (tmp_path / "w.log").read_text()
    return prefix


def _opened(broker: Broker, prefix: str) -> Partition:
    """Open the join's partition as a worker does."""
    settings = resolve(
        {"bootstrap_servers": broker.bootstrap_servers, "prefix": prefix}, environ={}
    )
    join, _ = build(
        Topics(prefix), window_ms=300_000, horizon_ms=3_600_000, disorder_ms=5_000, partitions=1
    )
    partition, opened = Partition(join, 0), []
    Opener(settings, opened=opened.append, progressed=lambda: None).open([partition])
    assert opened == [partition]
    return partition


@pytest.mark.timeout(300)
def test_a_log_is_cut_at_a_mark_and_tells_the_state(
    real_broker: Broker, worn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when its beginning is deleted while it is read."""
    plain = _opened(real_broker, worn)
    asked: list[object] = []
    ask = ends.ask_offsets

    def stale(
        admin: AdminClient, sources: Iterable[Input], *, latest: bool, timeout_s: float
    ) -> dict[Input, Any]:
        """Answer the first question for the beginning as before the deletion."""
        answers = dict(ask(admin, sources, latest=latest, timeout_s=timeout_s))
        log = (f"{worn}.join-state", 0)
        if not latest and log in answers:
            asked.append(answers[log])
            if len(asked) == 1:
                answers[log] = Future()
                answers[log].set_result(SimpleNamespace(offset=0))
        return answers

    monkeypatch.setattr(ends, "ask_offsets", stale)
    disturbed = _opened(real_broker, worn)

    assert len(asked) == 2
    assert disturbed.marks == plain.marks
    assert plain.marks[0] == _log_start(real_broker, worn)
    assert plain.state.missing == 0
    assert len(plain.state.held) > 500
    assert disturbed.state.fates == plain.state.fates
    assert len(disturbed.state.held) == len(plain.state.held)


def test_what_cannot_be_deleted_is_said_once_and_asked_for_again(
    real_broker: Broker, prefix: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """A log that does not exist stands for one that the worker may not touch."""
    settings = resolve({"bootstrap_servers": real_broker.bootstrap_servers}, environ={})
    now_s = [0.0]
    trimmer = Trimmer(settings, clock=lambda: now_s[0])
    log = (f"{prefix}.join-state", 0)
    trimmer.want(log, before=5)

    for _ in range(100):
        now_s[0] += 3.0
        trimmer.advance()
        time.sleep(0.05)

    said = capfd.readouterr().err
    assert said.count("cannot be shortened") == 1
    assert log[0] in said
