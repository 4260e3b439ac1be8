"""Whose baseline a version goes by while its own is not complete."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from streams.cells.prediction_cells import PredictionCells
from streams.cells.store import PANE_BITS

Name = tuple[str, str]


def busiest(
    side: PredictionCells,
    codes: Sequence[int],
    *,
    numbers: Sequence[int],
    begun_ms: NDArray[np.int64],
    names: Sequence[Name],
) -> int:
    """Return the model with most rows in some panes; of equals, that which began last.

    Parameters
    ----------
    numbers
        Of the panes.
    begun_ms, names
        By code.
    """
    return max(
        codes,
        key=lambda code: (_counted(side, code, numbers), int(begun_ms[code]), names[code]),
    )


def _counted(side: PredictionCells, code: int, numbers: Sequence[int]) -> int:
    bucket = int(side.world.bucket_of[code])
    rows = side.rows_at([(number, bucket) for number in numbers])
    own = side.world.subjects.models[side.table.key[rows] >> PANE_BITS] == code
    return int(side.counted(rows[own]).sum())
