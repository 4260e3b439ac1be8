"""What a worker says while all goes well: one line a change of state, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise

from agents.exits import say


class StateChanges:
    """Say when partitions come and go, and when all of them are open.

    Examples
    --------
    >>> changes = StateChanges(say=print)
    >>> changes.assigned([("join", 0), ("join", 1), ("join", 3), ("monitor", 7)])
    assigned: join 0-1, 3; monitor 7
    >>> changes.ready(4)
    ready: 4 partitions are open
    >>> changes.ready(4)
    >>> changes.released([("join", 1)])
    released: join 1
    >>> changes.assigned([])
    assigned: nothing, as other workers have all partitions
    """

    def __init__(self, *, say: Callable[[str], None] = say) -> None:
        self._say = say
        self._said_ready = False

    def assigned(self, partitions: Iterable[tuple[str, int]]) -> None:
        """Tell which partitions the group has given to this worker, all of them."""
        named = _named(partitions)
        self._said_ready = False
        self._say(f"assigned: {named or 'nothing, as other workers have all partitions'}")

    def ready(self, count: int) -> None:
        """Tell that all are open, once after each assignment."""
        if not self._said_ready:
            self._said_ready = True
            self._say(f"ready: {count} partitions are open")

    def released(self, partitions: Iterable[tuple[str, int]]) -> None:
        """Tell which partitions were taken away, unless there are none."""
        if named := _named(partitions):
            self._say(f"released: {named}")


def _named(partitions: Iterable[tuple[str, int]]) -> str:
    numbers: dict[str, list[int]] = {}
    for stage, number in sorted(partitions):
        numbers.setdefault(stage, []).append(number)
    return "; ".join(f"{stage} {', '.join(_runs(found))}" for stage, found in numbers.items())


def _runs(numbers: list[int]) -> Iterator[str]:
    """Write runs of numbers that follow each other as ``first-last``."""
    first = numbers[0]
    for number, following in pairwise([*numbers, -1]):
        if following != number + 1:
            yield f"{first}-{number}" if number > first else str(number)
            first = following
