"""The catalogue of changes, and when each of a stream begins."""

from benchmarks.signal.changes_of_data import OF_DATA
from benchmarks.signal.changes_of_quality import OF_QUALITY
from benchmarks.signal.stream import DAY_MS, Rng

CHANGES = (*OF_QUALITY, *OF_DATA)


def change_time(rng: Rng, begun_ms: int) -> int:
    """Return when something changes: at any moment of the sixteenth day."""
    return begun_ms + 15 * DAY_MS + int(rng.integers(0, DAY_MS))
