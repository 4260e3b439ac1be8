"""Rows that are counted in windows, and not all taken in order yet."""

import numpy as np

from streams.cells.grid import Observed
from streams.outcomes import Ints
from streams.released import between
from streams.tables import OutcomeColumns, Table


class Waiting:
    """Rows that are counted in windows, and not all taken in order yet.

    Attributes
    ----------
    observed
        What families see of them, for rules to count.
    offsets
        Of the records that they came with.
    first_ms, last_ms
        When the first and the last of them are due; the first may have been taken.
    """

    def __init__(
        self, table: Table, columns: OutcomeColumns, observed: Observed, offsets: list[int]
    ) -> None:
        self.table, self.columns, self.observed = table, columns, observed
        self.offsets = offsets
        times_ms = [t for t in (table.predictions.time_ms, table.outcomes.at_ms) if len(t)]
        self.first_ms = int(min((t.min() for t in times_ms), default=-1))
        self.last_ms = int(max((t.max() for t in times_ms), default=-1))

    def due(self, from_ms: int, until_ms: int) -> int:
        """Return how many rows are due in a span of time."""
        columns = self.table.predictions.time_ms, self.table.outcomes.at_ms
        return sum(int(np.count_nonzero(between(c, from_ms, until_ms))) for c in columns)

    def due_ms(self, from_ms: int, until_ms: int) -> Ints:
        """Return when these are due."""
        times_ms = np.concatenate([self.table.predictions.time_ms, self.table.outcomes.at_ms])
        return times_ms[between(times_ms, from_ms, until_ms)]


class OnlyCounted:
    """Records with rows that are counted in windows, which nobody takes in order.

    What was counted of them is not written down yet: after a restart they are read again.

    Attributes
    ----------
    offsets, rows
        Of the records, and how many rows these have.
    """

    def __init__(self) -> None:
        self.offsets: list[int] = []
        self.rows = 0

    def add(self, table: Table, offsets: list[int]) -> None:
        """Let records wait."""
        self.offsets += offsets
        self.rows += len(table.predictions.time_ms) + len(table.outcomes.time_ms)

    def take(self) -> list[int]:
        """Return the records, now that all of them is written down."""
        found, self.offsets, self.rows = self.offsets, [], 0
        return found
