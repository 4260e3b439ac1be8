"""An input is idle when it is read to its end and quiet, and the broker has just said so."""

from __future__ import annotations

import pytest

from agents.idleness import RETRY_S, Idleness

LABELS = ("labels", 0)
IDLE_S = 5.0


@pytest.fixture
def idleness() -> Idleness:
    """Follow an input that was read to its end, offset 10, at second 0."""
    it = Idleness(IDLE_S)
    it.start(LABELS, position=0, now_s=0.0)
    it.records_seen(LABELS, position=10, now_s=0.0)
    it.end_seen(LABELS, 10)
    return it


def test_the_broker_is_asked_once_an_input_was_quiet_for_the_timeout(idleness: Idleness) -> None:
    assert idleness.due(now_s=4.999) == []
    assert idleness.due(now_s=5.0) == [LABELS]
    assert idleness.idle == set()


@pytest.mark.parametrize(
    ("high", "idle"),
    [(10, {LABELS}), (9, {LABELS}), (11, set()), (None, set())],
    ids=["the end", "before the end", "there is more", "no answer"],
)
def test_only_the_brokers_answer_makes_an_input_idle(
    idleness: Idleness, high: int | None, idle: set[tuple[str, int]]
) -> None:
    idleness.answer(LABELS, high=high, now_s=5.0)

    assert idleness.idle == idle


def test_the_end_may_lie_behind_the_last_record(idleness: Idleness) -> None:
    """Transaction markers have offsets, too."""
    idleness.end_seen(LABELS, 12)

    idleness.answer(LABELS, high=12, now_s=5.0)

    assert idleness.idle == {LABELS}


def test_an_end_that_is_older_than_the_last_record_does_not_count(idleness: Idleness) -> None:
    idleness.records_seen(LABELS, position=20, now_s=1.0)

    assert not idleness.at_end(LABELS)
    assert idleness.due(now_s=100.0) == []


def test_an_answer_that_crossed_records_on_the_way_does_not_count(idleness: Idleness) -> None:
    idleness.records_seen(LABELS, position=11, now_s=5.0)

    idleness.answer(LABELS, high=10, now_s=5.0)

    assert idleness.idle == set()


def test_records_end_idleness(idleness: Idleness) -> None:
    idleness.answer(LABELS, high=10, now_s=5.0)

    idleness.records_seen(LABELS, position=11, now_s=6.0)

    assert idleness.idle == set()


def test_idleness_is_confirmed_again_and_again(idleness: Idleness) -> None:
    idleness.answer(LABELS, high=10, now_s=5.0)

    assert idleness.due(now_s=9.999) == []
    assert idleness.due(now_s=10.0) == [LABELS]
    idleness.answer(LABELS, high=None, now_s=10.0)
    assert idleness.idle == set()


def test_time_without_the_broker_is_no_quiet_time(idleness: Idleness) -> None:
    """Producers did not get through either; what they have kept comes once it is back."""
    idleness.answer(LABELS, high=None, now_s=5.0)

    assert idleness.due(now_s=5.0 + IDLE_S - 0.001) == []
    assert idleness.due(now_s=5.0 + IDLE_S) == [LABELS]


def test_an_input_that_is_not_idle_is_asked_about_again_after_a_pause(idleness: Idleness) -> None:
    idleness.answer(LABELS, high=11, now_s=5.0)

    assert idleness.due(now_s=5.0 + RETRY_S / 2) == []
    assert idleness.due(now_s=5.0 + RETRY_S) == [LABELS]


def test_an_input_without_records_can_be_idle() -> None:
    idleness = Idleness(IDLE_S)
    idleness.start(LABELS, position=0, now_s=0.0)
    idleness.end_seen(LABELS, 0)

    assert idleness.due(now_s=5.0) == [LABELS]


def test_an_input_that_was_taken_away_is_forgotten(idleness: Idleness) -> None:
    idleness.answer(LABELS, high=10, now_s=5.0)

    idleness.stop([LABELS])
    idleness.answer(LABELS, high=10, now_s=6.0)

    assert idleness.idle == set()
    assert idleness.due(now_s=100.0) == []
