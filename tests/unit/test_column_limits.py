"""Columns at their limits: numbers that leave their place, and mistakes of whoever calls."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from streams.columns import (
    Table,
    counts_column,
    sparse_column,
    sums_column,
    totals_column,
)
from streams.errors import StateError
from streams.exact_sum import exact, exact_sums, mean
from tests.naive_cells import (
    WIDTH,
    new_table,
)

LARGE = 2**31 - 1


def counted(way: bool, copies: int, of: Any) -> tuple[Any, Table]:
    """Return rows that were counted LARGE times each, which would take too long to do."""
    table = Table({"counts": counts_column(2), "bins": sparse_column()})
    rows, _ = table.find(np.arange(copies), add=True)
    for row in rows.tolist():
        table.columns["counts"].put(row, [0, of])
        table.columns["bins"].put(row, [(5, 1), (70_000, of)])
    return rows, table


@pytest.mark.parametrize("sign", [1, -1])
def test_counts_that_leave_32_bits_go_on_and_come_back(way: bool, sign: int) -> None:
    of = LARGE if sign > 0 else -LARGE - 1
    (row,), table = counted(way, 1, of)
    at, one = np.array([row, row]), np.array([1, 1])
    before = bytes(table.pack(np.array([row]))[0])

    for weight in (sign, -sign):
        weights = np.array([weight, weight], np.int8)
        table.columns["counts"].add(at, 1, one, weights)
        table.columns["bins"].add(at, 1, 70_000 * one, weights)
        now = of + sign * 2 if weight == sign else of
        assert table.columns["counts"].get(row) == [0, now]
        assert table.columns["bins"].get(row) == [(5, 1), (70_000, now)]
        data, _ = table.pack(np.array([row]))
        again, _ = table.find(np.array([99]), add=True)
        table.unpack(again, data, np.zeros(1, np.int64))
        assert table.columns["bins"].get(int(again[0])) == [(5, 1), (70_000, now)]

    assert bytes(table.pack(np.array([row]))[0]) == before


def test_rows_are_merged_beyond_32_bits(way: bool) -> None:
    rows, table = counted(way, 3, LARGE)
    _, other = counted(way, 1, LARGE)

    table.merge(rows[[0, 0]], table, rows[[1, 2]])
    table.merge(rows[:1], other, np.array([0]))

    assert table.columns["counts"].get(0) == [0, 4 * LARGE]
    assert table.columns["bins"].get(0) == [(5, 4), (70_000, 4 * LARGE)]
    whole = table.columns["bins"].merged(rows, np.zeros(3, np.int64), 1)
    assert whole.count.tolist() == [6, 6 * LARGE]
    table.drop(np.arange(3))
    assert not table.columns["bins"].spilled


@pytest.mark.parametrize("amount", [2**63 - 1, -(2**63)])
def test_totals_beyond_64_bits_are_refused(way: bool, amount: int) -> None:
    table = Table({"totals": totals_column()})
    rows, _ = table.find(np.array([0]), add=True)
    add = table.columns["totals"].add
    add(rows, 1, (np.zeros(1, int), np.array([amount])))

    with pytest.raises(OverflowError, match="64 bits"):
        add(rows, 1, (np.zeros(1, int), np.array([1 if amount > 0 else -1])))
    assert table.columns["totals"].get(0) == [amount]
    with pytest.raises(OverflowError, match="64 bits"):
        table.columns["totals"].merged(np.array([0, 0]), np.zeros(2, np.int64), 1)


@pytest.mark.parametrize("first", [2.0**2, 2.0**-894, 2.0**770])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_sum_has_room_for_many_terms_that_are_much_larger(
    way: bool, first: float, sign: int
) -> None:
    """A window holds a thousand of the largest terms that it takes; 4,096 would turn its sign."""
    large = sign * first * 2.0**127
    table = Table({"sum": sums_column()})
    rows, _ = table.find(np.zeros(6_000, np.int64), add=True)
    column = table.columns["sum"]
    column.add(rows[:1], 1, np.array([first]))

    column.add(rows, 1, np.full(6_000, large))

    assert column.get(0) == exact(first) + 6_000 * exact(large)
    column.add(rows, 1, np.full(6_000, large), np.full(6_000, -1, np.int8))
    assert column.get(0) == exact(first)
    assert column.merged(rows[:1], np.zeros(1, int), 1).means(np.array([8]))[0] == first / 8


@pytest.mark.parametrize(("more", "up"), [(0, 0), (1, 1), (-1, 0)])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_mean_half_way_between_two_floats_is_decided_by_the_last_bit(
    way: bool, more: int, up: int, sign: int
) -> None:
    """A third of `total` is half-way, but for a remainder of `more`, 126 bits below.

    All four times as large, so that they lie in one window.
    """
    even = 2**52 + 2
    total = 3 * ((even << 73) + (1 << 72)) + more
    pieces = [total >> 50 * k & (2**50 - 1) for k in (1, 0, 2)]
    values = [
        sign * piece * 2.0 ** (50 * k + 2) for k, piece in zip((1, 0, 2), pieces, strict=True)
    ]
    table = Table({"sum": sums_column()})
    rows, _ = table.find(np.zeros(3, np.int64), add=True)

    table.columns["sum"].add(rows, 1, np.array(values))

    means = table.columns["sum"].merged(rows[:1], np.zeros(1, int), 1).means(np.array([3]))
    assert means[0] == sign * (even + up) * 2.0**75
    assert not table.columns["sum"].spilled


@pytest.mark.parametrize("kind", ["normal", "squares", "lognormal", "tiny", "from 1e-300 to 1e300"])
def test_means_are_those_of_exact_sums(way: bool, kind: str) -> None:
    chance = np.random.default_rng(7)
    normal = chance.normal(size=4_000)
    values = {
        "normal": normal,
        "squares": normal**2,
        "lognormal": np.exp(3 * normal) ** 2,
        "tiny": normal * 1e-310,
        "from 1e-300 to 1e300": normal * 10.0 ** chance.integers(-300, 300, len(normal)),
    }[kind]
    key = chance.integers(0, 50, len(values))
    table = Table({"sum": sums_column()})
    rows, _ = table.find(key, add=True)

    table.columns["sum"].add(rows, 1, values)

    first, _ = table.find(np.arange(50))
    counts = np.bincount(key)
    means = table.columns["sum"].merged(first, np.arange(50), 50).means(counts)
    assert means.tolist() == list(map(mean, exact_sums(values, key, 50), counts.tolist()))


def bad(way: bool, name: str) -> None:
    table = new_table()
    table.find(np.array([10]), 3, add=True)
    columns, zero, one = table.columns, np.zeros(1, np.int32), np.ones(1, np.int32)
    no_group = np.zeros(1, np.int64)
    {
        "row": lambda: columns["seen"].add(zero + 100_000, 1, zero),
        "row of a fan": lambda: columns["bins"].add(zero + len_of(table), 3, np.zeros((1, 3), int)),
        "row of a sum": lambda: columns["sum"].add(zero + 100_000, 1, np.zeros(1)),
        "row to merge": lambda: columns["bins"].merged(zero + 100_000, no_group, 1),
        "row to add": lambda: columns["sum"].merge(zero + 100_000, columns["sum"], zero),
        "row to clear": lambda: columns["bins"].clear(zero + 100_000),
        "row of means": lambda: columns["sum"].merged(zero + 100_000, no_group, 1).means(one),
        "group": lambda: columns["bins"].merged(zero, no_group + 1, 1),
        "bin": lambda: columns["hits"].add(zero, 1, zero + WIDTH),
        "sparse bin": lambda: columns["bins"].add(zero, 1, np.array([2**32])),
        "weight": lambda: columns["sum"].add(zero, 1, np.ones(1), np.array([2], np.int8)),
        "fan": lambda: table.find(np.array([10]), 4),
        "fan to drop": lambda: table.drop(np.array([10]), 2),
        "no fan": lambda: table.find(np.array([10]), 0),
        "values": lambda: columns["hits"].add(zero, 1, np.zeros((1, 3), int)),
        "weights": lambda: columns["hits"].add(zero, 1, zero, np.ones(2, np.int8)),
        "pairs": lambda: columns["hits"].merge(zero, columns["hits"], np.zeros(2, np.int32)),
        "width": lambda: columns["hits"].merge(zero, columns["seen"], zero),
        "starts": lambda: table.unpack(zero, np.zeros(9, np.uint8), np.zeros(2, np.int64)),
        "start": lambda: table.unpack(zero, np.zeros(9, np.uint8), np.array([10])),
        "no width": lambda: counts_column(0),
    }[name]()


def len_of(table: Table) -> int:
    """Return how many rows a table has room for, less one."""
    return len(table.columns["seen"].data) - 1


@pytest.mark.parametrize(
    ("name", "error"),
    [
        *[(name, IndexError) for name in ("row", "row of a fan", "row of a sum", "row to merge")],
        *[(name, IndexError) for name in ("row to add", "row to clear", "row of means", "group")],
        *[(name, ValueError) for name in ("bin", "sparse bin", "weight", "fan", "fan to drop")],
        *[(name, ValueError) for name in ("no fan", "values", "weights", "pairs", "width")],
        *[(name, ValueError) for name in ("starts", "no width")],
        ("start", StateError),
    ],
)
def test_mistakes_are_named_and_write_nowhere(way: bool, name: str, error: Any) -> None:
    with pytest.raises(error):
        bad(way, name)
