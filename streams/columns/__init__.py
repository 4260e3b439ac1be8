"""The column store: what was counted, of all models at once.

A `Table` has rows, which are found by a key, and columns of four kinds, which know rows, bins and
values and nothing else: dense counts and totals, sparse counts, exact sums. Everything that is
added can be taken back, and nothing depends on the order: the same content gives the same bytes.

What is done for every row is in C (`kernels.c`), where that was compiled; each piece has a twin in
Python. Reading order: `column`, `counts`, `sparse`, `sums` and their twins, `places`, `table`,
`packing`.
"""

from streams.columns import kernels
from streams.columns.column import Column
from streams.columns.counts import CountsColumn
from streams.columns.index import Index
from streams.columns.merged_sums import MergedSums
from streams.columns.plain_sparse import PlainSparse
from streams.columns.plain_sums import PlainSums
from streams.columns.sparse import Entries, SparseColumn
from streams.columns.sums import SumsColumn
from streams.columns.table import Table, fanned
from streams.columns.totals import TotalsColumn

__all__ = [
    "Column",
    "CountsColumn",
    "Entries",
    "Index",
    "MergedSums",
    "Table",
    "TotalsColumn",
    "counts_column",
    "fanned",
    "sparse_column",
    "sums_column",
    "totals_column",
]


def counts_column(width: int = 1) -> CountsColumn:
    """Return a column of `width` counts a row."""
    return CountsColumn(width)


def totals_column(width: int = 1) -> TotalsColumn:
    """Return a column of `width` totals a row."""
    return TotalsColumn(width)


def sparse_column() -> SparseColumn | PlainSparse:
    """Return a column of counts of few of 2**32 bins a row."""
    return SparseColumn() if kernels.available else PlainSparse()


def sums_column() -> SumsColumn | PlainSums:
    """Return a column of one exact sum a row."""
    return SumsColumn() if kernels.available else PlainSums()
