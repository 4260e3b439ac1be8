"""The column store: both ways of keeping it give what a naive count gives, in any order."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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


def test_where_there_is_a_compiler_the_kernels_are_there() -> None:
    """Else half of this was not tested, and nobody would notice."""
    assert kernels.available or not any(map(shutil.which, ("cc", "gcc", "clang")))


@contextmanager
def kept_by(compiled: bool) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernels, "available", compiled)
        yield


@pytest.fixture(params=WAYS, ids=lambda compiled: "compiled" if compiled else "plain")
def way(request: pytest.FixtureRequest) -> Iterator[bool]:
    with kept_by(request.param):
        yield request.param


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


# --- the naive count


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


# --- what may happen to a table

sane = st.integers(-3_000, 3_000).map(lambda n: n / 8)
wild = st.sampled_from(
    [0.0, -0.0, 5e-324, -5e-324, 1e-300, 1e300, -1e300, 1.5e19, 3e-20, 2.0**960, -(2.0**-960)]
)
odd = st.sampled_from([float("nan"), float("inf"), float("-inf")])
values = sane | wild | odd | st.floats(allow_nan=False, allow_infinity=False)
bins = st.integers(-1, 14) | st.sampled_from([0, 300, 70_000, 2**31, 2**32 - 2, 2**32 - 1])
row = st.tuples(st.integers(-1, WIDTH - 1), st.integers(-(2**40), 2**40), bins, values)
weights = st.sampled_from([1, 1, 1, -1, 0])


def seen_of(fan: int) -> st.SearchStrategy[Seen]:
    return st.builds(
        Seen, st.sampled_from(FANS[fan]), weights, st.tuples(*[row for _ in range(fan)])
    )


many_seen = st.lists(st.one_of(*map(seen_of, FANS)), max_size=40)
keys = st.sets(st.sampled_from([key for of in FANS.values() for key in of]), max_size=5)
steps = st.lists(
    st.tuples(st.just("count"), many_seen)
    | st.tuples(st.just("drop"), keys)
    | st.tuples(st.just("merge"), many_seen)
    | st.tuples(st.just("inside"), keys)
    | st.tuples(st.just("packed"), keys),
    max_size=8,
)


def fan_of(key: int) -> int:
    return next(fan for fan, own in FANS.items() if key in own)


def first_rows(table: Table, wanted: Any, fan: int, *, add: bool = False) -> Any:
    return table.find(np.array([k for k in wanted if fan_of(k) == fan], np.int64), fan, add=add)[0]


def happen(table: Table, cells: Naive, step: str, given_: Any) -> None:
    """Do the same to a table and to the naive count."""
    if step == "count":
        count(table, given_)
        count_naively(cells, given_)
    elif step == "drop":
        for fan in FANS:
            table.drop(np.array([k for k in given_ if fan_of(k) == fan], np.int64), fan)
        for key in given_:
            cells.pop(key, None)
    elif step == "merge":
        more: Naive = {}
        other = new_table()
        count(other, given_)
        count_naively(more, given_)
        for fan in FANS:
            own = [key for key in more if fan_of(key) == fan]
            into = first_rows(table, own, fan, add=True)
            table.merge(into, other, first_rows(other, own, fan), fan)
        merge_naively(cells, {key: key for key in more}, more)
    elif step == "inside":
        for fan in FANS:
            own = [k for k in given_ if fan_of(k) == fan and k in cells and k != FANS[fan][0]]
            into = first_rows(table, [FANS[fan][0]] * len(own), fan, add=True)
            table.merge(into, table, first_rows(table, own, fan), fan)
            merge_naively(cells, dict.fromkeys(own, FANS[fan][0]), cells)
    else:
        rows = np.array(rows_of(table, {k: cells[k] for k in given_ if k in cells}), np.int32)
        data, ends = table.pack(rows)
        backwards = rows[::-1]
        starts = np.concatenate([[0], ends[:-1]])[: len(rows)]
        assert table.unpack(backwards, data, starts[::-1]).tolist() == ends[::-1].tolist()


def merge_naively(cells: Naive, into: dict[int, int], more: Naive) -> None:
    for key, to in into.items():
        own = cells.setdefault(to, [Cell() for _ in more[key]])
        for cell, other in zip(own, more[key], strict=True):
            cell.plus(other)


@settings(max_examples=300)
@given(steps)
def test_a_table_holds_what_a_naive_count_holds_whatever_happens(
    happening: list[tuple[str, Any]],
) -> None:
    packed = []
    for compiled in WAYS:
        cells: Naive = {}
        with kept_by(compiled):
            table = new_table()
            for step in happening:
                happen(table, cells, *step)
            assert_same(table, cells)
            rows = rows_of(table, cells)
            data, ends = table.pack(np.array(rows, np.int32))
        packed.append((rows, bytes(data), ends.tolist()))

    assert all(one == packed[0] for one in packed)


@settings(max_examples=200)
@given(many_seen, many_seen, st.randoms(use_true_random=False))
def test_the_same_content_gives_the_same_bytes_whatever_the_order_was(
    seen: list[Seen], gone: list[Seen], chance: Any
) -> None:
    taken_back = [Seen(one.key, -one.weight, one.rows) for one in gone]
    shuffled = [*seen, *gone, *taken_back]
    chance.shuffle(shuffled)
    cut = chance.randint(0, len(shuffled))
    bytes_of = []
    for compiled in WAYS:
        with kept_by(compiled):
            straight, other = new_table(), new_table()
            count(straight, [*seen, *[Seen(one.key, 0, one.rows) for one in gone]])
            count(other, shuffled[:cut])
            count(other, shuffled[cut:])
            for table in (straight, other):
                every = sorted({one.key for one in shuffled})
                cells = {key: [Cell()] * fan_of(key) for key in every}
                data, ends = table.pack(np.array(rows_of(table, cells), np.int32))
                bytes_of.append((bytes(data), ends.tolist()))

    assert all(one == bytes_of[0] for one in bytes_of)
