"""How far a job has come, seen from outside.

A job writes lines `P <seconds since the epoch> <consumed> <aggregated>` to its output: input
records that it has parsed, labelled predictions that it has added to a window. driftline writes no
such lines; what its consumer group has committed is asked of the broker.
"""

from itertools import pairwise
from pathlib import Path
from typing import NamedTuple, Protocol

from benchmarks.load import PARTS
from benchmarks.peers.site import Site


class Progress(NamedTuple):
    """How far a job was at a time (seconds since the epoch)."""

    time_s: float
    consumed: int
    aggregated: int


class Watch(Protocol):
    """Gives what is new since it was last asked."""

    def new(self, now_s: float) -> list[Progress]:
        """Return the progress since the last call, oldest first."""
        ...


class Lines:
    """Reads the lines of a job."""

    def __init__(self, path: Path) -> None:
        self._path, self._position = path, 0

    def new(self, now_s: float) -> list[Progress]:  # noqa: ARG002 - the lines say when
        """Return what whole lines have come since the last call."""
        with self._path.open("rb") as file:
            file.seek(self._position)
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._position += len(whole)
        words = [line.split() for line in whole.splitlines() if line.startswith(b"P ")]
        return [Progress(float(time), int(n), int(m)) for _, time, n, m in words]


class Commits:
    """Asks for the offsets that driftline's workers have committed.

    How much is aggregated is told as `labelled` and the outcome records that are done, since those
    hold many outcomes each: it goes on changing until the last one is.
    """

    def __init__(self, site: Site) -> None:
        self._site = site

    def new(self, now_s: float) -> list[Progress]:
        """Return what is committed now."""
        counts = self._site.committed()
        consumed = sum(counts[part] for part in PARTS)
        return [Progress(now_s, consumed, self._site.truth.labelled + counts["outcomes"])]


def when(progress: list[Progress], consumed: float) -> float | None:
    """Return when so much was consumed, between two lines in proportion; None if never."""
    before: Progress | None = None
    for now in progress:
        if now.consumed >= consumed:
            if before is None or now.consumed == before.consumed:
                return now.time_s
            share = (consumed - before.consumed) / (now.consumed - before.consumed)
            return before.time_s + share * (now.time_s - before.time_s)
        before = now
    return None


def largest_step(progress: list[Progress]) -> int:
    """Return the most records that were consumed from one line to the next."""
    return max((now.consumed - before.consumed for before, now in pairwise(progress)), default=0)


def settled(progress: list[Progress]) -> float:
    """Return since when nothing has changed."""
    final = progress[-1][1:]
    return next(now.time_s for now in progress if now[1:] == final)
