"""What a table of columns should hold: counted naively, with dicts and fractions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from streams.columns import (
    Table,
    counts_column,
    kernels,
    sparse_column,
    sums_column,
    totals_column,
)
from streams.exact_sum import UNIT_EXPONENT, mean

WIDTH = 4
FANS = {1: range(5), 3: range(10, 14)}
"""Keys that have so many rows."""

WAYS = (True, False) if kernels.available else (False,)


@contextmanager
def kept_by(compiled: bool) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernels, "available", compiled)
        yield


def new_table() -> Table:
    return Table(
        {
            "hits": counts_column(WIDTH),
            "seen": counts_column(),
            "amounts": totals_column(2),
            "bins": sparse_column(),
            "sum": sums_column(),
        }
    )


@dataclass
class Cell:
    hits: Counter[int] = field(default_factory=Counter)
    seen: int = 0
    amounts: Counter[int] = field(default_factory=Counter)
    bins: Counter[int] = field(default_factory=Counter)
    sum: Fraction = Fraction(0)

    def plus(self, other: Cell) -> None:
        for mine, theirs in (
            (self.hits, other.hits),
            (self.amounts, other.amounts),
            (self.bins, other.bins),
        ):
            for key, count in theirs.items():
                mine[key] += count
        self.seen += other.seen
        self.sum += other.sum


@dataclass(frozen=True)
class Seen:
    """One observation: of every row a bin of each kind, an amount and a value."""

    key: int
    weight: int
    rows: tuple[tuple[int, int, int, float], ...]


Naive = dict[int, list[Cell]]


def count_naively(cells: Naive, seen: Sequence[Seen]) -> None:
    for one in seen:
        own = cells.setdefault(one.key, [Cell() for _ in one.rows])
        for cell, (hit, amount, bin_, value) in zip(own, one.rows, strict=True):
            cell.seen += one.weight
            if hit >= 0:
                cell.hits[hit] += one.weight
                cell.amounts[hit % 2] += one.weight * amount
            if bin_ >= 0:
                cell.bins[bin_] += one.weight
            if np.isfinite(value):
                cell.sum += one.weight * Fraction(value)


def count(table: Table, seen: Sequence[Seen]) -> None:
    for fan in FANS:
        own = [one for one in seen if len(one.rows) == fan]
        at, _ = table.find(np.array([one.key for one in own], np.int64), fan, add=True)
        rows = np.array([one.rows for one in own], object).reshape(len(own), fan, 4)
        weights = np.array([one.weight for one in own], np.int8)
        hits = rows[:, :, 0].astype(np.int64)
        columns = table.columns
        columns["seen"].add(at, fan, np.zeros((len(own), fan), np.int64), weights)
        columns["hits"].add(at, fan, hits, weights)
        which = np.where(hits < 0, -1, hits % 2)
        columns["amounts"].add(at, fan, (which, rows[:, :, 1].astype(np.int64)), weights)
        columns["bins"].add(at, fan, rows[:, :, 2].astype(np.int64), weights)
        columns["sum"].add(at, fan, rows[:, :, 3].astype(np.float64), weights)


def rows_of(table: Table, cells: Naive) -> list[int]:
    rows = []
    for key, own in cells.items():
        (first,), _ = table.find(np.array([key]), len(own))
        assert first >= 0
        rows += range(first, first + len(own))
    return rows


def assert_same(table: Table, cells: Naive) -> None:
    """Every row is as it was counted naively, alone and in a group with all others."""
    rows = np.array(rows_of(table, cells), np.int32)
    flat = [cell for own in cells.values() for cell in own]
    whole = Cell()
    for cell in flat:
        whole.plus(cell)
    for group, expected in (
        (np.arange(len(rows)), flat),
        (np.zeros(len(rows), np.int64), [whole]),
    ):
        found = {
            name: column.merged(rows, group, len(expected))
            for name, column in table.columns.items()
        }
        for name, width in (("hits", WIDTH), ("amounts", 2)):
            naive = [[getattr(cell, name)[b] for b in range(width)] for cell in expected]
            assert found[name].tolist() == naive, name
        assert found["seen"].ravel().tolist() == [cell.seen for cell in expected]
        assert list(zip(*(column.tolist() for column in found["bins"]), strict=True)) == [
            (g, bin_, count)
            for g, cell in enumerate(expected)
            for bin_, count in sorted(cell.bins.items())
            if count
        ]
        totals = [int(cell.sum * 2**UNIT_EXPONENT) for cell in expected]
        assert found["sum"].totals(range(len(expected))) == totals
        counts = np.array([(7 * g + 3) % 11 - 5 for g in range(len(expected))], np.int64)
        assert np.array_equal(found["sum"].means(counts), means_of(totals, counts), equal_nan=True)
    assert table.live == len(flat)


def means_of(totals: Sequence[int], counts: Any) -> Any:
    return np.array(list(map(mean_of, totals, counts.tolist())), np.float64)


def mean_of(total: int, count: int) -> float:
    if not count:
        return float("nan")
    if count < 0:
        total, count = -total, -count
    try:
        return mean(total, count)
    except OverflowError:
        return float("inf") if total > 0 else float("-inf")
