"""Errors that pass by themselves are waited for; all others are not."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, NamedTuple

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from agents import ends
from agents.ends import find_offsets
from agents.passing import passes

PASS = [
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.FENCED_LEADER_EPOCH,
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.NOT_COORDINATOR,
    KafkaError.UNSTABLE_OFFSET_COMMIT,
    KafkaError._NOENT,
    KafkaError._TIMED_OUT,
]
STAY = [
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.ILLEGAL_GENERATION,
    KafkaError.INVALID_PRODUCER_EPOCH,
    KafkaError.OFFSET_OUT_OF_RANGE,
    KafkaError._AUTHENTICATION,
    KafkaError._AUTO_OFFSET_RESET,
    KafkaError._FATAL,
    KafkaError._FENCED,
    KafkaError._LOG_TRUNCATION,
    KafkaError._PARTITION_EOF,
    KafkaError._STATE,
]


@pytest.mark.parametrize("code", PASS)
def test_the_loss_of_a_leader_or_a_coordinator_passes(code: int) -> None:
    assert passes(KafkaException(KafkaError(code)))


@pytest.mark.parametrize("code", STAY)
def test_what_says_that_something_is_wrong_or_lost_does_not_pass(code: int) -> None:
    assert not passes(KafkaException(KafkaError(code)))


def test_a_fatal_error_never_passes() -> None:
    assert not passes(KafkaError(KafkaError._TIMED_OUT, "", True))


class Answer(NamedTuple):
    """What a broker says of the end of a partition."""

    offset: int


class Brokers:
    """Brokers that answer each question about offsets with what comes next."""

    def __init__(self, *rounds: dict[int, int | BaseException]) -> None:
        self._rounds = list(rounds)
        self.asked: list[set[int]] = []
        self.looked_for_leaders = 0

    def list_offsets(self, wanted: dict[TopicPartition, Any], **_: object) -> dict[Any, Any]:
        self.asked.append({place.partition for place in wanted})
        said = self._rounds.pop(0)
        answers: dict[Any, Future[Answer]] = {place: Future() for place in wanted}
        for place, future in answers.items():
            found = said[place.partition]
            if isinstance(found, BaseException):
                future.set_exception(found)
            else:
                future.set_result(Answer(found))
        return answers

    def list_topics(self, **_: object) -> None:
        self.looked_for_leaders += 1


def gone(code: int = KafkaError.LEADER_NOT_AVAILABLE) -> KafkaException:
    return KafkaException(KafkaError(code))


@pytest.fixture
def find(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[tuple[str, int], int]]:
    """Ask about two partitions, without pauses."""
    monkeypatch.setattr(ends, "_PAUSE_S", 0.0)

    def find(brokers: Brokers, *, wanted: bool = True) -> dict[tuple[str, int], int]:
        sources = [("log", 0), ("log", 1)]
        return find_offsets(brokers, sources, latest=True, wanted=lambda: wanted)  # type: ignore[arg-type]

    return find


def test_only_what_has_no_leader_is_asked_for_again_and_leaders_are_looked_for_anew(
    find: Callable[..., Any],
) -> None:
    brokers = Brokers({0: 7, 1: gone()}, {1: TimeoutError()}, {1: 9})

    found = find(brokers)

    assert found == {("log", 0): 7, ("log", 1): 9}
    assert brokers.asked == [{0, 1}, {1}, {1}]
    assert brokers.looked_for_leaders == 2


def test_an_error_that_stays_is_raised(find: Callable[..., Any]) -> None:
    with pytest.raises(KafkaException):
        find(Brokers({0: 7, 1: gone(KafkaError.TOPIC_AUTHORIZATION_FAILED)}))


def test_nobody_waits_for_what_is_not_wanted_any_more(find: Callable[..., Any]) -> None:
    with pytest.raises(KafkaException):
        find(Brokers({0: 7, 1: gone()}), wanted=False)
