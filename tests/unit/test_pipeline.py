"""When a worker is ready: what it says before, after and between assignments."""

from __future__ import annotations

import asyncio
import time

import pytest

from agents.health import Health
from agents.ledger import Ledger
from agents.partitions import Partition
from agents.pipeline import Pipeline, Work
from agents.settings import Settings
from agents.telemetry import Telemetry
from agents.watchdog import Watchdog
from streams.steps import Batch
from streams.topics import Topics
from tests.integration.toy_stage import Tally, opened

SETTINGS = Settings(bootstrap_servers="127.0.0.1:1")


@pytest.fixture
def pipeline() -> Pipeline:
    """Build a pipeline that never meets a broker."""
    topics = Topics()
    health = Health(Telemetry(version="1"), topics=topics, host="127.0.0.1", port=0)
    watchdog = Watchdog(SETTINGS, health=health)
    return Pipeline(
        SETTINGS, [Tally(topics)], ledger=Ledger(SETTINGS), health=health, watchdog=watchdog
    )


def test_a_worker_is_ready_once_the_group_has_assigned_even_if_that_is_nothing(
    pipeline: Pipeline,
) -> None:
    assert pipeline.unready() == "waiting for the group to assign partitions"

    asyncio.run(pipeline.assigned(set(), None))
    assert pipeline.unready() is None

    asyncio.run(pipeline.revoked(set()))
    assert pipeline.unready() == "waiting for the group to assign partitions"


def test_a_worker_is_not_ready_while_partitions_are_opening(pipeline: Pipeline) -> None:
    asyncio.run(pipeline.assigned(set(), None))
    opening = [pipeline._adopt(pipeline.stages["join"], number) for number in range(3)]
    opening[1].running = True

    assert pipeline.unready() == "opening 2 of 3 partitions"


def test_what_was_read_before_a_rebalance_is_dropped_after_it(pipeline: Pipeline) -> None:
    """Else what lies between the two would be skipped, as if a transaction's markers were there."""
    asyncio.run(pipeline.assigned(set(), None))
    asyncio.run(pipeline.revoked(set()))
    partition = pipeline._adopt(pipeline.stages["join"], 0)
    partition.state = partition.stage.new_state(0)
    partition.state.next = dict.fromkeys(partition.stage.inputs, 100)
    partition.run()
    topic = partition.stage.inputs[0]
    stale, fresh = (
        Batch(
            topic=topic,
            offsets=[offset],
            keys=[b"key"],
            values=[b"record"],
            times_ms=[0],
            next_offset=offset + 1,
        )
        for offset in (110, 100)
    )

    pipeline.feed("join", Work(0, [stale], pipeline.epoch - 1))
    pipeline.feed("join", Work(0, [fresh], pipeline.epoch, ended=frozenset(partition.stage.inputs)))

    assert partition.take() == [fresh]


def test_a_worker_that_stops_is_not_ready(pipeline: Pipeline) -> None:
    asyncio.run(pipeline.assigned(set(), None))
    asyncio.run(pipeline.shutdown())

    assert pipeline.unready() == "stopping"


def test_a_stage_rests_in_proportion_to_its_work_unless_there_is_a_backlog(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agents.timetable.time.monotonic", lambda: 103.0)

    pipeline._timetable.rest({"join"}, set(), started_s=102.96, records=0)
    assert pipeline._timetable.due_s["join"] == pytest.approx(103.12)
    pipeline._timetable.rest({"join"}, set(), started_s=102.0, records=0)
    assert pipeline._timetable.due_s["join"] == pytest.approx(103.15)

    pipeline._timetable.rest({"join"}, {"monitor"}, started_s=102.95, records=0)
    assert pipeline._timetable.due_s["join"] == pytest.approx(103.3)
    pipeline._timetable.rest({"join"}, {"monitor"}, started_s=100.0, records=0)
    assert pipeline._timetable.due_s["join"] == 103.5
    pipeline._timetable.rest({"join"}, {"join"}, started_s=100.0, records=0)
    assert pipeline._timetable.due_s["join"] == 0.0


def test_a_stage_rests_less_after_many_records(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To wait for more saves nothing then, and makes results late."""
    monkeypatch.setattr("agents.timetable.time.monotonic", lambda: 103.0)

    pipeline._timetable.rest({"join"}, set(), started_s=102.9, records=400)
    assert pipeline._timetable.due_s["join"] == pytest.approx(103.1)

    pipeline._timetable.due_s["join"] = 0.0
    pipeline._timetable.rest({"join"}, set(), started_s=102.9, records=1_000_000)
    assert pipeline._timetable.due_s["join"] == pytest.approx(103.0, abs=1e-3)


@pytest.mark.parametrize(
    ("left_ms", "queued", "goes_along"),
    [
        (0, (0, False), True),
        (50, (0, False), True),
        (51, (0, False), False),
        (51, (1 << 18, False), True),
        (51, (1 << 18, True), False),
        (51, (1 << 23, True), True),
    ],
    ids=["due", "soon", "later", "much to do", "on a backlog, too little", "enough"],
)
def test_a_stage_that_is_due_soon_goes_along_with_another(
    pipeline: Pipeline,
    monkeypatch: pytest.MonkeyPatch,
    left_ms: int,
    queued: tuple[int, bool],
    goes_along: bool,
) -> None:
    """A transaction of its own would cost as much again; on a backlog, larger steps are cheaper."""
    queued_bytes, pipeline._timetable.backlog = queued
    monkeypatch.setattr(Partition, "queued_bytes", queued_bytes)
    monkeypatch.setattr(Partition, "due", lambda *_, **__: True)
    second = Tally(Topics())
    second.name = "monitor"
    pipeline.stages["monitor"] = second
    join, monitor = (opened(pipeline._adopt(pipeline.stages[n], 0)) for n in ("join", "monitor"))
    pipeline._timetable.due_s |= {"join": 100.0, "monitor": 100.0 + left_ms / 1_000}

    found = pipeline._timetable.take(100.0)

    assert found == [join, *([monitor] if goes_along else [])]
    assert pipeline._timetable.due_s["monitor"] == pytest.approx(100.2 if goes_along else 100.051)


def test_on_a_backlog_the_next_steps_run_during_a_commit_and_none_is_left_at_a_release(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    partition = opened(pipeline._adopt(pipeline.stages["join"], 0))
    events: list[str] = []

    def take() -> list[Batch]:
        events.append("step")
        return []

    async def commit(*_: object) -> None:
        events.append("begin")
        await asyncio.sleep(0.05)
        events.append("end")

    monkeypatch.setattr(pipeline._commits, "_commit", commit)
    monkeypatch.setattr(partition, "take", take)
    monkeypatch.setattr(Partition, "waiting", True)

    async def run() -> None:
        await pipeline._transact()
        await pipeline._transact()
        events.append("revoke")
        await pipeline.revoked(set(partition.inputs))

    asyncio.run(run())

    assert events == ["step", "begin", "step", "end", "begin", "revoke", "end"]


def test_what_comes_during_a_commit_is_no_backlog(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a worker under steady load would never rest, and pay for ever smaller batches."""
    partition = opened(pipeline._adopt(pipeline.stages["join"], 0))
    topic = partition.stage.inputs[0]

    def records(first: int) -> Batch:
        column = [b"k"]
        return Batch(
            topic=topic, offsets=[first], keys=column, values=column, times_ms=[1],
            next_offset=first + 1,
        )  # fmt: skip

    async def commit(*_: object) -> None:
        partition.feed(records(1))

    monkeypatch.setattr(pipeline._commits, "_commit", commit)
    partition.set_quiet(ended=frozenset(partition.stage.inputs), idle=frozenset())
    partition.feed(records(0))

    asyncio.run(pipeline._transact())

    assert partition.waiting
    assert pipeline._timetable.due_s["join"] > 0


@pytest.mark.parametrize("other_goes", [False, True], ids=["alone", "beside another that goes"])
def test_a_stage_that_rests_keeps_a_crowded_worker_no_longer_than_another_can_go(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, other_goes: bool
) -> None:
    pipeline.backlog.change(records=1_000_000, size_bytes=0)
    rests_until_s = time.monotonic() + 60
    pipeline._timetable.due_s = {"monitor": rests_until_s, "join": 0.0}
    due = {"monitor", "join"} if other_goes else {"monitor"}
    monkeypatch.setattr(pipeline._timetable, "stages", lambda _: due)
    seen: list[float] = []

    async def transact() -> None:
        seen.append(pipeline._timetable.due_s["monitor"])
        pipeline._stopping = True

    monkeypatch.setattr(pipeline, "_transact", transact)

    asyncio.run(asyncio.wait_for(pipeline._pump(), 5))

    assert seen == [rests_until_s if other_goes else 0.0]
