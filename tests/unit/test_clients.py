"""How time-outs of the clients fit together, so that brokers may go."""

from __future__ import annotations

import pytest

from agents import clients
from agents.settings import Settings


@pytest.mark.parametrize(
    ("session_ms", "transaction_ms"),
    [(1_000, 10_000), (10_000, 10_000), (20_000, 20_000), (60_000, 60_000), (1_800_000, 60_000)],
)
def test_a_transaction_may_take_as_long_as_a_worker_may_be_silent(
    session_ms: int, transaction_ms: int
) -> None:
    settings = Settings(session_timeout_ms=session_ms)

    assert clients.producer(settings)["transaction.timeout.ms"] == transaction_ms


@pytest.mark.parametrize("session_ms", [1_000, 10_000, 20_000, 1_800_000])
def test_what_a_hanging_broker_was_sent_is_given_up_while_the_transaction_has_time_left(
    session_ms: int,
) -> None:
    """Else records time out that another broker would take, and that ends the worker."""
    config = clients.producer(Settings(session_timeout_ms=session_ms))

    assert config["socket.timeout.ms"] <= config["transaction.timeout.ms"] / 2


@pytest.mark.parametrize("session_ms", [1_000, 10_000, 1_800_000])
def test_a_session_has_room_for_many_heartbeats(session_ms: int) -> None:
    config = clients.consumer(Settings(session_timeout_ms=session_ms))

    assert config["heartbeat.interval.ms"] == session_ms / 10


def test_the_user_may_set_what_exactness_does_not_rest_on() -> None:
    settings = Settings(kafka={"socket.timeout.ms": "30000"})

    assert clients.producer(settings)["socket.timeout.ms"] == "30000"
