"""One partition's queue, and what it tells its stage."""

from __future__ import annotations

from typing import Any

import pytest

from agents.partitions import LARGEST_TRANSACTION_RECORDS, InputChainError, Partition
from streams.steps import Batch, Effects
from streams.topics import Topics
from tests.integration.toy_stage import Tally

TOPICS = Topics()
BOTH = frozenset({TOPICS.predictions, TOPICS.labels})


class Spy(Tally):
    """Note what each step is told."""

    def __init__(self) -> None:
        super().__init__(TOPICS)
        self.told: list[tuple[frozenset[str], bool]] = []
        self.ticks_ms: list[int] = []
        self.quiet_ms: list[dict[str, int]] = []

    def step(self, state: Any, batches: Any, **told: Any) -> Effects:
        self.told.append((told["idle"], told["announce"]))
        self.ticks_ms.append(told["tick_ms"])
        self.quiet_ms.append(told["quiet_ms"])
        return super().step(state, batches, **told)


def batch(first: int, count: int = 1, topic: str = TOPICS.labels) -> Batch:
    return Batch(
        topic=topic,
        offsets=list(range(first, first + count)),
        keys=[b"key"] * count,
        values=[b"value"] * count,
        times_ms=[0] * count,
        next_offset=first + count,
    )


@pytest.fixture
def partition() -> Partition:
    it = Partition(Spy(), 0, announce_s=1.0)
    it.state = it.stage.new_state(0)
    it.state.next = {TOPICS.predictions: 0, TOPICS.labels: 10}
    it.run()
    it.set_quiet(ended=BOTH, idle=frozenset())
    return it


def step(partition: Partition, *, now_s: float = 100.0) -> tuple[frozenset[str], bool]:
    partition.step(partition.take(), now_s=now_s, now_ms=0)
    stage = partition.stage
    assert isinstance(stage, Spy)
    return stage.told[-1]


def test_records_before_the_expected_offset_are_refused(partition: Partition) -> None:
    with pytest.raises(InputChainError, match="delivered offset 9 where 10"):
        partition.feed(batch(9))


def test_offsets_may_have_gaps(partition: Partition) -> None:
    partition.feed(batch(10))
    partition.feed(batch(12))

    step(partition)

    assert partition.offsets[TOPICS.labels, 0] == 13


def test_a_transaction_is_bounded(partition: Partition) -> None:
    for number in range(4):
        partition.feed(batch(10 + number * 6_000, 6_000))

    first, second = partition.take(), partition.take()

    assert sum(len(one.offsets) for one in first) == LARGEST_TRANSACTION_RECORDS
    assert sum(len(one.offsets) for one in second) == 24_000 - LARGEST_TRANSACTION_RECORDS


def test_idleness_is_news_once(partition: Partition) -> None:
    partition.set_quiet(ended=BOTH, idle=frozenset({TOPICS.labels}))
    assert partition.due(100.0)

    idle, _ = step(partition)

    assert idle == {TOPICS.labels}
    assert not partition.due(100.0)


def test_an_input_with_records_queued_is_not_idle_yet(partition: Partition) -> None:
    partition.feed(batch(10))
    partition.set_quiet(ended=BOTH, idle=frozenset({TOPICS.labels}))

    first, _ = step(partition)
    assert partition.due(100.0)
    second, _ = step(partition)

    assert (first, second) == (frozenset(), {TOPICS.labels})


def test_records_end_idleness(partition: Partition) -> None:
    partition.set_quiet(ended=BOTH, idle=frozenset({TOPICS.labels}))
    step(partition)

    partition.feed(batch(10))

    assert step(partition)[0] == frozenset()


def test_the_clock_is_announced_at_intervals_and_what_is_left_out_is_made_up_for(
    partition: Partition,
) -> None:
    announced = []
    for number, now_s in enumerate((100.0, 100.5, 100.9)):
        partition.feed(batch(10 + number))
        announced.append(step(partition, now_s=now_s)[1])

    assert announced == [True, False, False]
    assert not partition.due(100.99)
    assert partition.next_due_s() == 101.0
    assert partition.due(101.0)
    assert step(partition, now_s=101.0)[1]
    assert partition.next_due_s() is None


def test_what_is_unfinished_gives_way_to_a_backlog_for_a_second(
    partition: Partition, monkeypatch: pytest.MonkeyPatch
) -> None:
    partition.feed(batch(10))
    step(partition, now_s=100.0)
    monkeypatch.setattr(partition.stage, "unfinished", lambda _: True)

    assert partition.due(100.5)
    assert not partition.due(100.5, backlog=True)
    assert partition.due(101.0, backlog=True)
    assert partition.next_due_s() == 101.0
    partition.feed(batch(11))
    assert partition.due(100.5, backlog=True)


def test_a_partition_that_was_taken_away_owes_nothing(partition: Partition) -> None:
    partition.feed(batch(10))
    partition.live = partition.running = False

    assert not partition.due(100.0)
    assert partition.next_due_s() is None
    assert len(partition.drop()) == 1


def test_news_of_idleness_waits_with_the_records_before_it(partition: Partition) -> None:
    """Records that wait for another input would otherwise make step after step due for nothing."""
    labels = frozenset({TOPICS.labels})
    partition.set_quiet(ended=frozenset(), idle=frozenset())
    partition.feed(batch(10))
    partition.set_quiet(ended=labels, idle=labels)

    assert not partition.due(100.0)

    partition.set_quiet(ended=BOTH, idle=labels)

    assert partition.due(100.0)
    assert [step(partition)[0], step(partition)[0]] == [frozenset(), labels]


def test_time_that_passes_without_records_is_told_ever_less_often() -> None:
    stage = Spy()
    it = Partition(stage, 0, tick_s=60.0)
    it.state = stage.new_state(0)
    it.state.next = {TOPICS.predictions: 0, TOPICS.labels: 10}
    it.run()
    it.set_quiet(ended=BOTH, idle=BOTH)
    step(it)

    for now_s in range(100, 4_000):
        if it.due(now_s):
            step(it, now_s=now_s)
    ticks_ms, stage.ticks_ms = stage.ticks_ms[1:], []
    it.feed(batch(10))
    step(it, now_s=4_000.0)
    it.set_quiet(ended=BOTH, idle=BOTH)

    assert ticks_ms[:8] == [60_000] * 8
    assert ticks_ms[-1] > 300_000
    assert 3_400_000 < sum(ticks_ms) <= 3_900_000
    assert stage.ticks_ms == [0]
    assert it.due(4_001.0)  # that it is idle
    step(it, now_s=4_001.0)
    assert not it.due(4_060.0)
    assert it.due(4_061.0)


def test_a_step_is_told_how_long_an_idle_input_had_been_quiet() -> None:
    partition = Partition(Spy(), 0, idle_s=5.0)
    partition.state = partition.stage.new_state(0)
    partition.state.next = {TOPICS.predictions: 0, TOPICS.labels: 10}
    partition.run()
    partition.set_quiet(ended=BOTH, idle=BOTH)
    step(partition, now_s=100.0)
    step(partition, now_s=130.0)

    partition.feed(batch(10))
    step(partition, now_s=160.0)
    partition.feed(batch(11))
    step(partition, now_s=190.0)

    stage = partition.stage
    assert isinstance(stage, Spy)
    assert stage.quiet_ms == [{}, {}, {TOPICS.labels: 65_000}, {}]
