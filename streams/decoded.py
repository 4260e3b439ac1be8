"""Good predictions and labels of a batch, as columns: what decoding makes, and matching takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.events import Label
from streams.features import Block, choose
from streams.held import Hashes
from streams.scalars import Scalars


class Predictions(NamedTuple):
    """Good predictions of a batch, as columns.

    Attributes
    ----------
    keys
        Hashes of the ids.
    checksum
        Tells a repeated record from a conflicting one.
    names, name
        Models and versions, and which of them each prediction has.
    score, latency_ms
        NaN where not given.
    scores, segments
        `None` if no record has any.
    """

    ids: Sequence[bytes]
    keys: Hashes
    times_ms: NDArray[np.int64]
    checksum: NDArray[np.uint32]
    names: Sequence[tuple[str, str]]
    name: NDArray[np.int32]
    segments: Sequence[dict[str, str] | None] | None
    values: Scalars
    score: NDArray[np.float64]
    scores: Sequence[dict[str, float] | None] | None
    latency_ms: NDArray[np.float64]
    features: list[Block]

    def chosen(self, positions: NDArray[np.int64]) -> Predictions:
        """Return some of them."""
        indexes = positions.tolist()

        def of(column: Any) -> Any:
            if column is None or isinstance(column, np.ndarray):
                return None if column is None else column[positions]
            return [column[index] for index in indexes]

        picked = {
            name: of(column) for name, column in self._asdict().items() if name not in _NESTED
        }
        return Predictions(
            **picked,
            names=self.names,
            keys=Hashes(self.keys.high[positions], self.keys.low[positions]),
            values=self.values.chosen(positions),
            features=choose(self.features, positions, count=len(self.ids)),
        )


_NESTED = ("names", "keys", "values", "features")


class Labels(NamedTuple):
    """Good labels and retractions of a batch.

    Attributes
    ----------
    keys
        Hashes of the ids.
    indexes
        Of the records in their batch.
    joined
        Labels that carry their own prediction, and their indexes; these are in no other column.
    every_ms, every_key
        Times and half of the hashes of all good records in their order, the joined among them.
    """

    ids: Sequence[bytes]
    keys: Hashes
    indexes: Sequence[int]
    times_ms: NDArray[np.int64]
    values: Scalars
    retract: NDArray[np.bool_]
    joined: list[tuple[int, Label]]
    every_ms: NDArray[np.int64]
    every_key: NDArray[np.uint64]
