"""What users open in a with block is closed at its end, and what went wrong in it is raised."""

from __future__ import annotations

import inspect

import pytest

import driftline
from driftline.closing import Closing
from driftline.reader import Reader

NAMED = [getattr(driftline, name) for name in driftline.__all__]
USED = [one for one in NAMED if inspect.isclass(one) and hasattr(one, "close")]


@pytest.mark.parametrize("kind", [*USED, Reader], ids=lambda kind: kind.__name__)
def test_whatever_has_to_be_closed_can_be_used_in_a_with_block(kind: type) -> None:
    assert issubclass(kind, Closing)


def test_a_with_block_closes_at_its_end_and_does_not_hide_an_error() -> None:
    class Counted(Closing):
        closed = 0

        def close(self) -> None:
            self.closed += 1

    one, other = Counted(), Counted()

    with one as same:
        assert (same, one.closed) == (one, 0)
    with pytest.raises(KeyError), other:
        raise KeyError

    assert (one.closed, other.closed) == (1, 1)


def test_there_is_something_to_close() -> None:
    names = {"Actions", "Alerts", "Distributions", "Metrics", "Publisher"}
    assert {kind.__name__ for kind in USED} == names
