"""The one consumer loop: batches, what a group remembers, where partitions begin, what is gone."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from driftline.places import Gap
from driftline.reader import Entry, Reader
from tests.brokers import Broker

TIMEOUT_S = 30.0
TIME_MS = 1_700_000_000_000

Open = Callable[..., Reader]


@pytest.fixture
def topic(any_broker: Broker, prefix: str) -> str:
    name = f"{prefix}.metrics"
    any_broker.create_topics({name: 2})
    return name


@pytest.fixture
def read(any_broker: Broker, topic: str) -> Iterator[Open]:
    opened = []

    def open_reader(**settings: object) -> Reader:
        kafka = {"check.crcs": any_broker.crc, "session.timeout.ms": 6_000}
        reader = Reader(any_broker.bootstrap_servers, [topic], kafka=kafka, **settings)  # type: ignore[arg-type]
        opened.append(reader)
        return reader

    yield open_reader
    for reader in opened:
        reader.close()


def write(broker: Broker, topic: str, *records: tuple[int, str, str | None]) -> None:
    """Write records: partition, key and value; the time is that of the value's number."""
    producer = Producer(broker.client())
    for number, (partition, key, value) in enumerate(records):
        producer.produce(topic, value, key, partition=partition, timestamp=TIME_MS + number)
    assert producer.flush(TIMEOUT_S) == 0


def take(reader: Reader, count: int) -> list[Entry]:
    """Read so many records, and what comes within half a second after."""
    found: list[Entry] = []
    deadline_s = time.monotonic() + TIMEOUT_S
    while len(found) < count and time.monotonic() < deadline_s:
        found += reader.read(0.5)
    return found + reader.read(0.5)


def values(entries: list[Entry]) -> list[str]:
    return sorted(entry.value.decode() for entry in entries if entry.value is not None)


def numbered(count: int, start: int = 0) -> list[tuple[int, str, str | None]]:
    return [(number % 2, f"k{number}", f"{number:03}") for number in range(start, start + count)]


def read_to_end(reader: Reader) -> list[Entry]:
    found: list[Entry] = []
    deadline_s = time.monotonic() + TIMEOUT_S
    while not reader.at_end and time.monotonic() < deadline_s:
        found += reader.read(0.2)
    assert reader.at_end
    return found


def test_records_come_as_they_were_written_and_tombstones_too(
    any_broker: Broker, topic: str, read: Open
) -> None:
    write(any_broker, topic, (0, "a", "1"), (0, "b", "2"), (0, "a", None), (1, "c", "3"))

    found = take(read(), 4)

    of_first = [entry for entry in found if entry.partition == 0]
    assert of_first == [
        Entry(topic, 0, 0, TIME_MS, b"a", b"1"),
        Entry(topic, 0, 1, TIME_MS + 1, b"b", b"2"),
        Entry(topic, 0, 2, TIME_MS + 2, b"a", None),
    ]
    assert [entry for entry in found if entry.partition == 1] == [
        Entry(topic, 1, 0, TIME_MS + 3, b"c", b"3")
    ]


def test_a_batch_has_at_most_as_many_records_as_asked_for(
    any_broker: Broker, topic: str, read: Open
) -> None:
    write(any_broker, topic, *numbered(50))
    reader = read()

    sizes = [len(reader.read(5.0, most=7)) for _ in range(6)]

    assert max(sizes) <= 7
    assert min(sizes) > 0
    assert len(take(reader, 50 - sum(sizes))) == 50 - sum(sizes)


@pytest.mark.parametrize("wait", [True, False])
def test_a_group_goes_on_after_what_was_confirmed_and_repeats_the_rest(
    any_broker: Broker, topic: str, read: Open, wait: bool
) -> None:
    group = f"group-{uuid.uuid4().hex}"
    write(any_broker, topic, *numbered(20))
    with read(group_id=group) as reader:
        confirmed = reader.read(TIMEOUT_S, most=8)
        reader.commit(wait=wait)
        unconfirmed = take(reader, 20 - len(confirmed))

    with read(group_id=group) as reader:
        again = take(reader, len(unconfirmed))
        reader.commit()
    with read(group_id=group) as reader:
        nothing = reader.read(3.0)

    assert values(again) == values(unconfirmed)
    assert values(again + confirmed) == [f"{number:03}" for number in range(20)]
    assert nothing == []


def test_a_group_that_begins_at_the_end_remembers_where_that_was(
    any_broker: Broker, topic: str, read: Open
) -> None:
    """What comes while it is away is news, though nothing was ever read."""
    group = f"group-{uuid.uuid4().hex}"
    write(any_broker, topic, *numbered(4))
    with read(group_id=group, start="latest") as reader:
        read_to_end(reader)
        reader.commit()
    write(any_broker, topic, *numbered(4, start=4))

    with read(group_id=group, start="latest") as reader:
        assert values(take(reader, 4)) == ["004", "005", "006", "007"]


def test_members_of_a_group_share_the_partitions_and_lose_nothing_when_one_comes_and_goes(
    any_broker: Broker, topic: str, read: Open
) -> None:
    group = f"group-{uuid.uuid4().hex}"
    write(any_broker, topic, *numbered(10))
    first = read(group_id=group)
    found = take(first, 10)
    first.commit()
    second = read(group_id=group)
    deadline_s = time.monotonic() + TIMEOUT_S
    while not (len(first.positions()) == len(second.positions()) == 1):
        assert time.monotonic() < deadline_s
        found += first.read(0.1) + second.read(0.1)

    write(any_broker, topic, *numbered(10, start=10))
    shared = take(first, 5), take(second, 5)
    for one in (first, second):
        one.commit()
    second.close()
    write(any_broker, topic, *numbered(10, start=20))
    last = take(first, 10)

    assert {entry.partition for entry in shared[0]} != {entry.partition for entry in shared[1]}
    everything = found + shared[0] + shared[1] + last
    # What was not confirmed before the partitions were shared anew may come twice.
    assert sorted({*values(everything)}) == [f"{number:03}" for number in range(30)]


def test_who_remembers_by_himself_says_where_partitions_begin(
    any_broker: Broker, topic: str, read: Open
) -> None:
    write(any_broker, topic, *numbered(10))

    found = take(read(start={(topic, 0): 3}), 7)

    assert values(found) == ["001", "003", "005", "006", "007", "008", "009"]


def test_the_offset_of_a_topic_that_was_made_anew_is_a_gap(
    any_broker: Broker, topic: str, read: Open
) -> None:
    write(any_broker, topic, *numbered(10))
    reader = read(start={(topic, 0): 400})

    found = take(reader, 10)

    assert len(found) == 10
    assert reader.gaps == [Gap(topic, 0, 400, 0, None, TIME_MS)]


def test_how_far_it_is_is_known_at_any_time(any_broker: Broker, topic: str, read: Open) -> None:
    write(any_broker, topic, *numbered(10))
    reader = read()
    assert not reader.at_end

    found = reader.read(TIMEOUT_S, most=3)
    some = reader.progress, reader.lag, reader.at_end
    read_to_end(reader)

    assert some == ((len(found), 10), 10 - len(found), False)
    assert (reader.progress, reader.lag) == ((10, 10), 0)
    assert reader.ends() == reader.positions() == {(topic, 0): 5, (topic, 1): 5}
    write(any_broker, topic, *numbered(2))
    assert len(reader.ends()) == 2
    assert reader.lag == 2


def test_nothing_is_read_after_the_end(read: Open) -> None:
    reader = read()

    reader.close()

    assert reader.read(1.0) == []
    reader.commit()
    reader.close()


def test_what_retention_removed_unread_is_a_gap(real_broker: Broker, prefix: str) -> None:
    """On a real broker alone: the embedded one deletes nothing."""
    topic, group = f"{prefix}.alerts", f"group-{uuid.uuid4().hex}"
    real_broker.create_topics({topic: 2})
    write(real_broker, topic, *numbered(40))
    with Reader(real_broker.bootstrap_servers, [topic], group_id=group) as reader:
        first = reader.read(TIMEOUT_S, most=6)
        reader.commit()
    at = {number: sum(entry.partition == number for entry in first) for number in (0, 1)}
    admin = AdminClient(real_broker.client())
    for deleted in admin.delete_records([TopicPartition(topic, 0, 15)]).values():
        deleted.result(TIMEOUT_S)

    with Reader(real_broker.bootstrap_servers, [topic], group_id=group) as reader:
        rest = take(reader, 5 + 20 - at[1])

        [gap] = reader.gaps
    before = [entry.timestamp_ms for entry in first if entry.partition == 0]
    assert gap == Gap(topic, 0, at[0], 15, before[-1] if before else None, TIME_MS + 30)
    assert len(rest) == 25 - at[1]


def test_a_topic_that_is_made_later_is_read_from_its_beginning(
    real_broker: Broker, prefix: str
) -> None:
    """On a real broker alone: the embedded one makes what it is asked for."""
    topic = f"{prefix}.alerts"
    with Reader(real_broker.bootstrap_servers, [topic], start="latest") as reader:
        assert reader.read(0.5) == []
        real_broker.create_topics({topic: 1})
        write(real_broker, topic, (0, "a", "1"))

        assert values(take(reader, 1)) == ["1"]


def test_transactions_leave_nothing_to_be_read_at_the_end(real_broker: Broker, prefix: str) -> None:
    """Their markers have offsets, too; on a real broker alone, which hides what was aborted."""
    topic, group = f"{prefix}.metrics", f"group-{uuid.uuid4().hex}"
    real_broker.create_topics({topic: 1})
    producer = Producer(real_broker.client(transactional_id=prefix))
    producer.init_transactions(TIMEOUT_S)
    for value, end in (("1", producer.commit_transaction), ("2", producer.abort_transaction)):
        producer.begin_transaction()
        producer.produce(topic, value)
        producer.flush(TIMEOUT_S)
        end(TIMEOUT_S)

    with Reader(real_broker.bootstrap_servers, [topic], group_id=group) as reader:
        found = read_to_end(reader)
        reader.commit()

        assert values(found) == ["1"]
        assert (reader.lag, reader.positions()) == (0, {(topic, 0): 4})


@pytest.mark.parametrize("start", ["newest", "", None])
def test_an_unknown_start_is_refused(start: str) -> None:
    with pytest.raises(ValueError, match="latest"):
        Reader("127.0.0.1:1", ["t"], start=start)  # type: ignore[arg-type]
