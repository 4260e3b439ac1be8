"""Feed lanes in tests."""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from streams.watchers import parameters_of, watcher_of
from streams.watchers.lanes import Change, Input, Lanes
from streams.watchers.numbering import Bucket

Records = dict[Bucket, bytes]


def lanes_of(
    name: str, parameters: dict[str, float] | None = None, *, own_scale: bool = False
) -> Lanes:
    """Make the lanes of a drift monitor."""
    watcher = watcher_of(name)
    return Lanes(watcher, parameters_of(watcher, parameters or {}), own_scale=own_scale)


def feed(
    lanes: Lanes,
    values: Sequence[float] | NDArray[np.float64],
    *,
    model: int = 0,
    source: str = "x",
    measure: int | None = None,
) -> list[Change]:
    """Let a lane see values."""
    given = np.array(values, float)
    if not len(given):
        return []
    measures = None if measure is None else np.array([measure])
    one = Input(
        source, np.array([model]), np.array([len(given)]), np.arange(len(given)), given, measures
    )
    return list(lanes.advance([one]))


def write(lanes: Lanes, records: Records) -> Records:
    """Write down what has changed, as a compacted topic keeps it; return what was written."""
    written = {bucket: msgspec.msgpack.encode(packed) for bucket, packed in lanes.changes()}
    records.update(written)
    return written


def restore(lanes: Lanes, records: Records) -> Lanes:
    """Go on from what was written down."""
    for bucket, packed in records.items():
        assert lanes.restore(bucket, msgspec.msgpack.decode(packed))
    return lanes


def feed_in_parts(
    name: str,
    parameters: dict[str, float],
    series: Sequence[NDArray[np.float64]],
    *,
    own_scale: bool,
    most: int,
    rng: np.random.Generator,
) -> list[Change]:
    """Let six lanes see so many values at a time, at random, with restarts among them.

    They are the inputs `a` and `b` of models 0, 10 and 20; a time is the number of a value.
    """
    records: Records = {}
    lanes, taken, found = lanes_of(name, parameters, own_scale=own_scale), np.zeros(6, int), []
    lengths = np.array([len(values) for values in series])
    while (taken < lengths).any():
        counts = np.minimum(rng.integers(0, most, 6), lengths - taken)
        found += lanes.advance(_inputs(series, taken.tolist(), counts.tolist()))
        taken += counts
        if rng.random() < 0.2:
            write(lanes, records)
            lanes = restore(lanes_of(name, parameters, own_scale=own_scale), records)
    return found


def _inputs(series: Sequence[Any], taken: list[int], counts: list[int]) -> list[Input]:
    made = []
    for source, half in (("a", range(3)), ("b", range(3, 6))):
        lanes = [lane for lane in half if counts[lane]]
        if lanes:
            spans = [np.arange(taken[lane], taken[lane] + counts[lane]) for lane in lanes]
            made.append(
                Input(
                    source,
                    np.array([10 * (lane % 3) for lane in lanes]),
                    np.array([counts[lane] for lane in lanes]),
                    np.concatenate(spans),
                    np.concatenate([series[i][span] for i, span in zip(lanes, spans, strict=True)]),
                )
            )
    return made


def lane_of(change: Change) -> int:
    """Return which of the six lanes a change is of."""
    return change.model // 10 + 3 * (change.source == "b")
