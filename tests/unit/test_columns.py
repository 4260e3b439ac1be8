"""The column store: both ways of keeping it give what a naive count gives, in any order."""

from __future__ import annotations

import shutil
from collections import Counter
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from agents import fetching
from streams.columns import (
    Index,
    Table,
    counts_column,
    kernels,
    sparse_column,
    sums_column,
    totals_column,
)
from tests.examples import some
from tests.naive_cells import (
    FANS,
    WAYS,
    WIDTH,
    Cell,
    Naive,
    Seen,
    assert_same,
    count,
    count_naively,
    kept_by,
    new_table,
    rows_of,
)


def test_a_worker_says_that_kernels_are_missing() -> None:
    with kept_by(False):
        assert "compiled parts: no" in fetching.describe()


def test_where_there_is_a_compiler_the_kernels_are_there() -> None:
    """Else half of this was not tested, and nobody would notice."""
    assert kernels.available or not any(map(shutil.which, ("cc", "gcc", "clang")))


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


@settings(max_examples=some(300))
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


@settings(max_examples=some(200))
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


def test_a_run_turns_dense_and_back_and_loses_nothing(way: bool) -> None:
    chance = np.random.default_rng(3)
    bins = np.concatenate(
        [chance.permutation(400) + 1_000, [2**32 - 1, 0], chance.integers(0, 2**32, 500)]
    )
    table = Table({"bins": sparse_column()})
    rows, _ = table.find(np.zeros(len(bins), np.int64), add=True)
    naive: Counter[int] = Counter()

    for start in range(0, len(bins), 7):
        part = slice(start, start + 7)
        table.columns["bins"].add(rows[part], 1, bins[part])
        naive.update(bins[part].tolist())
        assert table.columns["bins"].get(0) == sorted(naive.items())
        if way and start == 392:
            assert table.columns["bins"].sizes()[0] == 399
            assert table.columns["bins"].block_bytes(0) <= 4 * 600
    for start in range(0, len(bins), 7):
        part = slice(start, start + 7)
        table.columns["bins"].add(rows[part], 1, bins[part], np.full(len(rows[part]), -1, np.int8))
        naive.subtract(bins[part].tolist())
        assert table.columns["bins"].get(0) == sorted((+naive).items())
    assert not naive.total()


def test_counts_of_a_dense_run_are_taken_back(way: bool) -> None:
    table = Table({"bins": sparse_column()})
    bins = np.arange(1_000, 1_100)
    rows, _ = table.find(np.zeros(len(bins), np.int64), add=True)
    column = table.columns["bins"]
    column.add(rows, 1, bins)

    column.add(rows[::2], 1, bins[::2], np.full(50, -1, np.int8))

    assert column.get(0) == [(place, 1) for place in bins[1::2].tolist()]
    column.add(rows[1::2], 1, bins[1::2], np.full(50, -1, np.int8))
    assert column.get(0) == []
    assert bytes(table.pack(np.array([0], np.int32))[0]) == bytes(1)


def test_free_blocks_are_left_out_and_the_rest_stays(way: bool) -> None:
    table = Table({"bins": sparse_column()})
    rows, _ = table.find(np.arange(3_000), add=True)
    for place in range(100):
        table.columns["bins"].add(rows, 1, 1_000 * place + rows.astype(np.int64) % 7)
    before = bytes(table.pack(rows[::10])[0])
    size = table.nbytes

    table.drop(np.setdiff1d(np.arange(3_000), np.arange(3_000)[::10]))

    assert bytes(table.pack(rows[::10])[0]) == before
    assert table.nbytes < size / 4


def test_rows_that_were_dropped_are_used_again_by_keys_of_the_same_fan(way: bool) -> None:
    table = new_table()
    count(table, [Seen(key, 1, ((1, 2, 3, 0.5),) * 3) for key in FANS[3]])
    used = len(table)

    table.drop(np.array([10, 77, 12]), 3)
    first, new = table.find(np.array([100, 101, 11, 102]), 3, add=True)

    assert sorted(first[:2].tolist()) == [0, 6]
    assert first[2:].tolist() == [3, used]
    assert new.tolist() == [first[0], first[1], used]
    rows = np.array([0, 1, 2, 6, 7, 8], np.int32)
    assert bytes(table.pack(rows)[0]) == bytes(5 * len(rows))
    assert table.key.tolist() == [101] * 3 + [11] * 3 + [100] * 3 + [13] * 3 + [102] * 3
    assert table.find(np.array([10, 12, 77, -1]), 3)[0].tolist() == [-1] * 4


any_key = (
    st.integers(-(2**63), 2**63 - 1) | st.integers(0, 30) | st.integers(0, 9).map(lambda n: n << 32)
)


@settings(max_examples=some(200))
@given(st.lists(st.lists(any_key, max_size=60), max_size=6), st.sampled_from([1, 2**64 - 59]))
def test_an_index_numbers_keys_in_the_order_in_which_they_come(
    batches: list[list[int]], factor: int
) -> None:
    for compiled in WAYS:
        with kept_by(compiled):
            index, naive = Index(factor), dict[int, int]()
            for batch in batches:
                keys = np.array(batch, np.int64)
                known = [naive.get(key, -1) for key in batch]
                assert index.find(keys)[0].tolist() == known
                new = []
                for place, key in enumerate(batch):
                    if key not in naive:
                        naive[key] = len(naive)
                        new.append(place)

                places, fresh = index.find(keys, add=True)

                assert places.tolist() == [naive[key] for key in batch]
                assert fresh.tolist() == new
                assert index.keys.tolist() == list(naive)
                assert len(index) == len(naive)


def test_many_keys_come_and_go() -> None:
    """Through all sizes of the index, with more keys that go than stay."""
    found = []
    for compiled in WAYS:
        with kept_by(compiled):
            table, there = Table({"n": counts_column()}), dict[int, int]()
            chance = np.random.default_rng(5)
            for _ in range(60):
                keys = chance.integers(0, 1 << 13, 1_500) << chance.integers(0, 40)
                rows, _ = table.find(keys, add=True)
                table.columns["n"].add(rows, 1, np.zeros(len(rows), int))
                for key in keys.tolist():
                    there[key] = there.get(key, 0) + 1
                gone = chance.choice(np.array(list(there)), len(there) * 2 // 3, replace=False)
                table.drop(gone)
                for key in gone.tolist():
                    del there[key]
            rows, _ = table.find(np.array(list(there)))
            assert table.columns["n"].data[rows, 0].tolist() == list(there.values())
            assert table.live == len(there)
            assert not table.find(gone)[0].tolist().count(0)
            assert table.columns["n"].data.sum() == sum(there.values())
            found.append((rows.tolist(), len(table)))

    assert all(one == found[0] for one in found)


def test_growing_moves_no_number_even_if_somebody_looks(way: bool) -> None:
    table = Table({"totals": totals_column(8), "bins": sparse_column(), "sum": sums_column()})
    views = []
    for start in range(0, 40_000, 4_000):
        rows, _ = table.find(np.arange(start, start + 4_000), add=True)
        table.columns["totals"].add(rows, 1, (rows % 8, rows.astype(np.int64)))
        table.columns["bins"].add(rows, 1, rows)
        table.columns["sum"].add(rows, 1, rows / 8)
        views.append((table.key, table.columns["totals"].data) if start % 8_000 else ())

    every = np.arange(40_000)
    assert table.key.tolist() == every.tolist()
    totals = table.columns["totals"].merged(every, every, len(every))
    assert np.array_equal(totals[every, every % 8], every)
    assert totals.sum() == every.sum()
    assert np.array_equal(table.columns["bins"].merged(every, every, len(every)).bin, every)
    means = table.columns["sum"].merged(every, every, len(every)).means(np.ones(40_000, int))
    assert np.array_equal(means, every / 8)
