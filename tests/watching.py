"""Feed lanes in tests."""

from collections.abc import Sequence

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
