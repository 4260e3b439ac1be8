"""Inputs advance together in event time, and never wait for each other for ever."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.alignment import SLICE_BYTES, SLICE_RECORDS, Inbox, next_input
from streams.steps import Batch
from streams.texts import Texts

ALLOWANCE_MS = 5
NO_LIMIT = 1 << 40
ENDED = frozenset({"predictions", "labels"})


def batch(topic: str, times_ms: Sequence[int], *, first: int = 0) -> Batch:
    count = len(times_ms)
    return Batch(
        topic=topic,
        offsets=list(range(first, first + count)),
        keys=[b"key"] * count,
        values=[b"value"] * count,
        times_ms=times_ms,
        next_offset=first + count,
    )


@pytest.fixture
def inbox() -> Inbox:
    return Inbox(
        ("predictions", "labels"),
        time_of=lambda batch, index: batch.times_ms[index],
        allowance_ms=ALLOWANCE_MS,
    )


def taken(inbox: Inbox, limit: int = 1_000_000) -> list[tuple[str, int]]:
    return [(part.topic, part.times_ms[0]) for part in inbox.take(limit, NO_LIMIT)]


@pytest.mark.parametrize(
    ("queued", "awaited", "expected"),
    [
        ({}, {}, None),
        ({}, {"a": 1, "b": 2}, None),
        ({"a": 9, "b": 8}, {}, "b"),
        ({"a": 9, "b": 9}, {}, "a"),
        ({"b": 9, "a": 9}, {}, "b"),
        ({"a": 1_000_000}, {}, "a"),
        ({"a": 15}, {"b": 10}, "a"),
        ({"a": 16}, {"b": 10}, None),
        ({"a": 16, "b": 15}, {"c": 10}, "b"),
        ({"a": 16}, {"b": 11, "c": 10}, None),
        ({"a": 4}, {"b": -1}, "a"),
        ({"a": 5}, {"b": -1}, None),
    ],
    ids=[
        "nothing",
        "nothing queued",
        "the oldest goes first",
        "of equals the first",
        "of equals the first, turned round",
        "nothing is awaited",
        "at the allowance",
        "past the allowance",
        "the oldest is within the allowance",
        "the slowest counts",
        "an input without records is before time: at the allowance",
        "an input without records is before time: past it",
    ],
)
def test_who_is_next(queued: dict[str, int], awaited: dict[str, int], expected: str | None) -> None:
    assert next_input(queued, awaited, allowance_ms=ALLOWANCE_MS) == expected


def test_inputs_take_turns_by_event_time(inbox: Inbox) -> None:
    for time_ms in (10, 30, 50):
        inbox.put(batch("labels", [time_ms]))
    for time_ms in (20, 30, 60):
        inbox.put(batch("predictions", [time_ms]))
    inbox.ended = ENDED

    assert taken(inbox) == [
        *(("labels", 10), ("predictions", 20), ("predictions", 30)),
        *(("labels", 30), ("labels", 50), ("predictions", 60)),
    ]


def test_large_batches_take_turns_in_slices(inbox: Inbox) -> None:
    times_ms = list(range(2 * SLICE_RECORDS + 1))
    inbox.put(batch("labels", times_ms, first=7))
    inbox.put(batch("predictions", times_ms))
    inbox.ended = ENDED

    parts = list(inbox.take(1_000_000, NO_LIMIT))

    assert [part.topic for part in parts] == ["predictions", "labels"] * 3
    labels = [part for part in parts if part.topic == "labels"]
    assert [len(part.keys) for part in labels] == [SLICE_RECORDS, SLICE_RECORDS, 1]
    assert [offset for part in labels for offset in part.offsets] == [n + 7 for n in times_ms]
    assert [part.next_offset - 1 for part in labels] == [part.offsets[-1] for part in labels]


@pytest.mark.parametrize("texts", [list, Texts.of], ids=["objects", "columns"])
def test_large_records_are_taken_few_at_a_time(texts: Any) -> None:
    inbox = Inbox(["outcomes"], time_of=lambda *_: pytest.fail("asked"), allowance_ms=0)
    large = batch("outcomes", [1] * 9)
    large.values = texts([bytes(SLICE_BYTES // 2)] * 8 + [bytes(3 * SLICE_BYTES)])
    inbox.put(large)

    sizes = []
    while inbox.ready:
        sizes.append([len(part.keys) for part in inbox.take(1_000, 2 * SLICE_BYTES)])

    assert sizes == [[1, 1, 1, 1], [1, 1, 1, 1], [1]]


def test_what_may_still_come_is_waited_for(inbox: Inbox) -> None:
    inbox.put(batch("predictions", [100]))
    inbox.put(batch("labels", [105]))
    inbox.put(batch("labels", [106]))

    assert taken(inbox) == [("predictions", 100), ("labels", 105)]
    assert not inbox.ready


def test_an_input_that_is_read_to_its_end_is_not_waited_for(inbox: Inbox) -> None:
    inbox.put(batch("labels", [1_000]))
    assert not inbox.ready

    inbox.ended = frozenset({"predictions"})

    assert taken(inbox) == [("labels", 1_000)]


def test_release_lets_one_slice_go_out_of_turn(inbox: Inbox) -> None:
    inbox.put(batch("labels", [1_000]))
    inbox.put(batch("labels", [1_001]))

    inbox.release()

    assert taken(inbox) == [("labels", 1_000)]
    assert not inbox.ready


def test_release_of_nothing_is_not_kept_for_later(inbox: Inbox) -> None:
    inbox.release()

    inbox.put(batch("labels", [1_000]))

    assert not inbox.ready


def test_a_single_record_from_the_future_delays_nothing(inbox: Inbox) -> None:
    inbox.put(batch("predictions", [100]))
    inbox.put(batch("labels", [9_999_999]))
    inbox.put(batch("labels", [99, 9_999_999]))

    assert taken(inbox) == [("labels", 9_999_999), ("labels", 99), ("predictions", 100)]


@pytest.mark.parametrize(
    ("records", "paused"), [(9, set()), (10, {"labels"})], ids=["below", "at the limit"]
)
def test_an_input_of_which_much_must_wait_is_paused(
    inbox: Inbox, records: int, paused: set[str]
) -> None:
    inbox.put(batch("labels", [1_000] * records))

    assert inbox.pace(10) == bool(paused)
    assert inbox.paused == paused


def test_an_input_that_need_not_wait_is_not_paused(inbox: Inbox) -> None:
    inbox.put(batch("labels", [1_000] * 10))
    inbox.ended = ENDED

    assert not inbox.pace(10)
    assert inbox.paused == set()


@pytest.mark.parametrize(
    ("left", "paused"), [(6, {"labels"}), (5, set())], ids=["over half", "half of the limit"]
)
def test_a_paused_input_goes_on_when_half_of_the_limit_is_left(
    inbox: Inbox, left: int, paused: set[str]
) -> None:
    inbox.put(batch("labels", [1_000] * (10 - left)))
    inbox.put(batch("labels", [2_000] * left))
    inbox.pace(10)
    inbox.put(batch("predictions", [1_000]))

    assert taken(inbox)[-1] == ("labels", 1_000)
    inbox.pace(10)

    assert inbox.paused == paused


def test_an_input_alone_never_waits() -> None:
    inbox = Inbox(["outcomes"], time_of=lambda *_: pytest.fail("asked"), allowance_ms=0)
    inbox.put(batch("outcomes", [1, 2]))

    assert inbox.ready
    assert not inbox.pace(0)
    assert len(list(inbox.take(1, NO_LIMIT))) == 1


def test_bytes_are_counted_while_they_are_queued(inbox: Inbox) -> None:
    inbox.put(batch("predictions", range(2 * SLICE_RECORDS)))
    inbox.put(batch("labels", range(SLICE_RECORDS)))
    assert inbox.queued_bytes == 8 * 3 * SLICE_RECORDS

    [one] = inbox.take(SLICE_RECORDS, NO_LIMIT)

    assert inbox.queued_bytes == 8 * 3 * SLICE_RECORDS - one.text_bytes
    inbox.clear()
    assert inbox.queued_bytes == 0


def test_what_is_cleared_is_returned_and_does_not_count(inbox: Inbox) -> None:
    inbox.put(batch("labels", [1_000] * 10))

    assert [len(part.keys) for part in inbox.clear()] == [10]

    inbox.put(batch("labels", [1_000]))
    assert not inbox.pace(2)


class Consumer:
    """The naive other side: logs of several partitions, read into inboxes through one backlog."""

    ROOM_RECORDS = 6

    def __init__(self, logs: list[dict[str, list[int]]]) -> None:
        self.logs = logs
        self.left = [{topic: list(times) for topic, times in log.items()} for log in logs]
        self.inboxes = [
            Inbox(log, time_of=lambda b, i: b.times_ms[i], allowance_ms=ALLOWANCE_MS)
            for log in logs
        ]
        self.read: list[list[tuple[str, int]]] = [[] for _ in logs]
        self.backlog = 0

    def fetch(self, choose: st.DataObject) -> bool:
        """Deliver some records of one input that may be fetched; False if there is none."""
        may = [
            (number, topic)
            for number, left in enumerate(self.left)
            for topic, times in left.items()
            if times and topic not in self.inboxes[number].paused
        ]
        if not may or self.backlog >= self.ROOM_RECORDS:
            return False
        number, topic = choose.draw(st.sampled_from(may))
        times = self.left[number][topic]
        count = choose.draw(st.integers(1, min(3, len(times))))
        inbox = self.inboxes[number]
        inbox.put(batch(topic, times[:count]))
        del times[:count]
        inbox.ended = frozenset(t for t, rest in self.left[number].items() if not rest)
        self.backlog += count
        self.pace(inbox)
        return True

    def process(self) -> bool:
        """Process what need not wait; False if there is nothing."""
        done = False
        for number, inbox in enumerate(self.inboxes):
            for part in inbox.take(4, NO_LIMIT):
                self.read[number] += [(part.topic, time_ms) for time_ms in part.times_ms]
                self.backlog -= len(part.offsets)
                done = True
            self.pace(inbox)
        return done

    def make_room(self) -> None:
        for inbox in self.inboxes:
            self.pace(inbox)
            inbox.release()

    def pace(self, inbox: Inbox) -> None:
        full = self.backlog >= self.ROOM_RECORDS
        inbox.pace(0 if full else self.ROOM_RECORDS // 2 // len(self.inboxes))
        active = set(self.logs[0]) - inbox.ended
        assert not active or inbox.paused < set(self.logs[0])
        assert inbox.paused <= inbox.queued, "an input that is waited for is paused"

    @property
    def done(self) -> bool:
        return not self.backlog and not any(any(left.values()) for left in self.left)


TIMES = st.lists(st.integers(0, 50), max_size=12)
LOGS = st.lists(
    st.fixed_dictionaries({"predictions": TIMES, "labels": TIMES}), min_size=1, max_size=3
)


@given(logs=LOGS, data=st.data())
def test_every_schedule_ends_with_everything_read(
    logs: list[dict[str, list[int]]], data: st.DataObject
) -> None:
    """Whatever the times, however the consumer shares its room: no input is stuck for ever."""
    consumer = Consumer(logs)

    while not consumer.done:
        fetched = data.draw(st.booleans()) and consumer.fetch(data)
        if not (fetched or consumer.process() or consumer.fetch(data)):
            assert consumer.backlog >= Consumer.ROOM_RECORDS, "stuck with room left"
            consumer.make_room()

    for log, read in zip(logs, consumer.read, strict=True):
        for topic, times in log.items():
            assert [time_ms for name, time_ms in read if name == topic] == times
