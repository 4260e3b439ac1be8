"""State logs that do not answer; that they are read right, tests with a broker show."""

from __future__ import annotations

from typing import Any

import pytest

from agents import state_log
from agents.settings import Settings
from streams.errors import NoAnswerError
from streams.topics import Topics
from tests.integration.toy_stage import Tally


class Silent:
    """A consumer to which nobody answers."""

    def __init__(self, _config: object) -> None:
        self.closed = False

    def assign(self, _places: object) -> None:
        return

    def consume(self, *_: object) -> list[Any]:
        return []

    def close(self) -> None:
        self.closed = True


def test_a_log_of_which_nothing_is_heard_is_no_answer_rather_than_a_worker_that_hangs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(state_log, "Consumer", Silent)
    settings = Settings(bootstrap_servers="broker:1", stall_ms=1)

    with pytest.raises(NoAnswerError, match=r"broker:1 does not answer: .*-state/0 .* within 1ms"):
        state_log.check(settings, Tally(Topics()), partitions=2)
