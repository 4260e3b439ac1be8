"""Windows of the scan are sums over all their panes, however these are put together."""

import numpy as np
import pytest

from streams.scan.comparing import pieces_of
from streams.scan.panes import DAY_HOURS, LONG, SHORT, is_weekend


@pytest.mark.parametrize("newest", range(0, 24 * 7, 11))
@pytest.mark.parametrize(("lengths", "panes"), [(SHORT, 6), (LONG, 1)], ids=["panes", "hours"])
def test_pieces_are_all_of_a_window_and_each_of_one_hour_of_the_day(
    newest: int, lengths: tuple[int, ...], panes: int
) -> None:
    hours = (newest * panes + 3 - np.arange(lengths[-1])) // panes + 10_000
    values = np.random.default_rng(newest).random(lengths[-1])

    order, starts, ends = pieces_of(hours, lengths)

    sums = np.add.reduceat(values[order], starts)
    for length, end in zip(lengths, ends, strict=True):
        assert sums[:end].sum() == pytest.approx(values[:length].sum())
    for piece in np.split(hours[order], starts[1:]):
        assert len({(one % DAY_HOURS, is_weekend(one)) for one in piece.tolist()}) == 1
