"""Keys of predictions and labels that are sent to different partitions are noticed."""

from collections.abc import Callable
from zlib import crc32

import pytest

from agents.health import Health
from agents.key_watch import KeyWatch, check
from agents.telemetry import Telemetry
from streams.partitioning import MURMUR2, SAMPLE, Placement, partition_of
from streams.steps import Batch
from streams.topics import Topics

TOPICS = Topics()
PARTITIONS = 4

Partitioner = Callable[[bytes], int]


def by_murmur2(key: bytes) -> int:
    return partition_of(key.decode(), PARTITIONS)


def by_crc32(key: bytes) -> int:
    """Place keys as librdkafka does by default (`consistent_random`)."""
    return crc32(key) % PARTITIONS


def by_another(key: bytes) -> int:
    return sum(key) % PARTITIONS


def before_partitions_were_added(key: bytes) -> int:
    return partition_of(key.decode(), 3)


class Watching:
    """A watch of a worker with all partitions."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.said: list[str] = []
        monkeypatch.setattr("agents.key_watch.say", self.said.append)
        self._telemetry = Telemetry(version="1")
        health = Health(self._telemetry, topics=TOPICS, host="127.0.0.1", port=0)
        topics = TOPICS.predictions, TOPICS.labels
        self.watch = KeyWatch(topics, partitions=PARTITIONS, health=health)
        self.number = 0

    def send(self, predictions: Partitioner, labels: Partitioner, *, count: int = 1_500) -> None:
        for _ in range(count):
            self.number += 1
            key = b"request-%d" % self.number
            for topic, partitioner in ((TOPICS.predictions, predictions), (TOPICS.labels, labels)):
                self.watch.look(batch(topic, [key]), partitioner(key))

    def counted(self, topic: str) -> float | None:
        name = "driftline_mispartitioned_keys_total"
        return self._telemetry.registry.get_sample_value(name, {"topic": topic})


def batch(topic: str, keys: list[bytes | None]) -> Batch:
    none: list[None] = [None] * len(keys)
    return Batch(
        topic=topic,
        offsets=range(len(keys)),
        keys=keys,
        values=none,
        times_ms=[0] * len(keys),
        next_offset=len(keys),
    )


@pytest.fixture
def watching(monkeypatch: pytest.MonkeyPatch) -> Watching:
    return Watching(monkeypatch)


@pytest.mark.parametrize(
    "partitioner", [by_murmur2, by_crc32, by_another, before_partitions_were_added]
)
def test_topics_that_are_partitioned_alike_are_fine(
    watching: Watching, partitioner: Partitioner
) -> None:
    watching.send(partitioner, partitioner)

    assert not watching.said
    assert watching.counted(TOPICS.labels) is None


@pytest.mark.parametrize(
    ("predictions", "labels", "wrong"),
    [
        (by_murmur2, by_crc32, TOPICS.labels),
        (by_crc32, by_murmur2, TOPICS.predictions),
        (by_murmur2, by_another, TOPICS.labels),
    ],
)
def test_a_topic_that_is_partitioned_by_another_hash_is_named_once_with_what_to_set(
    watching: Watching, predictions: Partitioner, labels: Partitioner, wrong: str
) -> None:
    watching.send(predictions, labels)

    [said] = watching.said
    assert said.startswith(f"{wrong}: ")
    assert "partitioner=murmur2_random" in said
    assert ("librdkafka's default" in said) == (by_crc32 in (predictions, labels))
    assert (watching.counted(wrong) or 0) > 100
    [right] = {TOPICS.predictions, TOPICS.labels} - {wrong}
    assert watching.counted(right) is None


def test_one_of_several_producers_that_is_wrong_is_noticed(watching: Watching) -> None:
    def mixed(key: bytes) -> int:
        return (by_crc32 if key.endswith(b"7") else by_murmur2)(key)

    watching.send(by_murmur2, mixed)

    assert len(watching.said) == 1


def test_a_topic_that_is_mended_is_said_too(watching: Watching) -> None:
    watching.send(by_murmur2, by_crc32)

    watching.send(by_murmur2, by_murmur2)

    assert watching.said[1:] == ["keys of predictions and labels are partitioned alike again"]
    before = watching.counted(TOPICS.labels)
    watching.send(by_murmur2, by_murmur2)
    assert watching.counted(TOPICS.labels) == before


def test_old_labels_behind_new_predictions_after_partitions_were_added_are_no_finding(
    watching: Watching,
) -> None:
    """A few hundred of them: of a topic that is read a little behind the other."""
    watching.send(before_partitions_were_added, before_partitions_were_added, count=SAMPLE)

    watching.send(by_murmur2, before_partitions_were_added, count=150)
    watching.send(by_murmur2, by_murmur2, count=2 * SAMPLE)

    assert not watching.said


def test_few_keys_of_a_large_batch_are_looked_at(
    watching: Watching, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key costs as much as a plain record."""
    looked_at: list[bytes] = []

    def add(placement: Placement, key: bytes, partition: int) -> None:
        looked_at.append(key)

    monkeypatch.setattr(Placement, "add", add)

    watching.watch.look(batch(TOPICS.labels, [b"%d" % n for n in range(20_000)]), 0)
    watching.watch.look(batch(TOPICS.labels, [None, b"a"]), 0)

    assert 5 <= len(looked_at) <= 10


def test_one_partition_cannot_be_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    watching = Watching(monkeypatch)
    health = watching.watch._health
    watching.watch = KeyWatch((TOPICS.predictions, TOPICS.labels), partitions=1, health=health)

    watching.send(by_murmur2, by_crc32)

    assert not watching.said


@pytest.mark.parametrize(("labels", "fine"), [(by_murmur2, True), (by_crc32, False)])
def test_a_sample_is_judged_as_the_traffic_is(labels: Partitioner, fine: bool) -> None:
    keys = [b"request-%d" % number for number in range(400)]

    wrong = check(
        {
            TOPICS.predictions: [(key, by_murmur2(key)) for key in keys],
            TOPICS.labels: [(key, labels(key)) for key in keys],
        },
        partitions=PARTITIONS,
    )

    assert (wrong is None) == fine


def test_a_sample_forgets_the_oldest_keys_as_new_ones_come() -> None:
    placement, placed = Placement(4), []
    for number in range(3 * SAMPLE):
        fits = number % 7 != 0 if number < 2 * SAMPLE else number % 50 != 0
        key = b"key-%d" % number
        placed.append(placement.add(key, (partition_of(key.decode(), 4) + (not fits)) % 4))

        assert placement.strays == placed[-SAMPLE:].count(False)

    assert placement.partitioner == MURMUR2
