"""The table of predictions and what it stands on, against a dictionary."""

import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from streams import native
from streams.grouping import all_different
from streams.hash_index import SEED_BYTES, HashIndex
from streams.held import PREDICTION, Hashes, HeldTable, hash_ids
from streams.packing import pack, unpack
from streams.renumbering import renumber
from tests.unit.test_properties import QUICK


def columns(keys: Hashes, times_ms: list[int]) -> dict[str, NDArray[np.generic]]:
    filler = {name: np.zeros(len(times_ms), kind) for name, kind in PREDICTION.items()}
    times = {"time_ms": np.array(times_ms, np.int64)}
    return filler | times | {"high": keys.high, "low": keys.low}


operations = st.lists(
    st.tuples(st.sampled_from(["insert", "forget", "find"]), st.integers(0, 2**32)),
    min_size=1,
    max_size=25,
)


@QUICK
@given(operations, st.sampled_from([1, 2, 2**64]))
def test_a_table_finds_what_a_dictionary_finds(steps: list[tuple[str, int]], spread: int) -> None:
    """With a small `spread` all low halves are alike, so that every probe collides."""
    table, known = HeldTable(), dict[tuple[int, int], int]()
    for name, seed in steps:
        rng = random.Random(seed)
        if name == "forget":
            limit_ms = rng.randrange(1_000)
            table.remove(table.older_than(limit_ms))
            known = {key: at for key, at in known.items() if at >= limit_ms}
        fresh = [(rng.randrange(300), rng.randrange(spread)) for _ in range(rng.randrange(120))]
        fresh = list(dict.fromkeys(fresh))
        if name == "insert":
            new = {key: rng.randrange(1_000) for key in fresh if key not in known}
            table.insert(columns(_hashes(list(new)), list(new.values())))
            known |= new
        slots = table.find(_hashes(fresh))

        found = [int(table.time_ms[slot]) if slot >= 0 else None for slot in slots]
        assert found == [known.get(key) for key in fresh]
        assert len(table) == len(table.slots) == len(known)


def _hashes(keys: list[tuple[int, int]]) -> Hashes:
    halves = np.array(keys, np.uint64).reshape(-1, 2)
    return Hashes(halves[:, 0].copy(), halves[:, 1].copy())


def test_an_index_does_not_grow_while_as_much_goes_as_comes() -> None:
    table = HeldTable()
    sizes = set()
    for step in range(300):
        keys = hash_ids([b"%d-%d" % (step, number) for number in range(100)])
        table.insert(columns(keys, [step] * 100))
        table.remove(table.older_than(step - 20))
        sizes.add(table.size_bytes)

    assert len(table) == 2_100
    assert max(sizes) < 500_000


def test_hashes_of_ids_are_the_same_for_ever() -> None:
    """They are in state logs."""
    keys = hash_ids([b"", b"request-1"])

    assert [f"{int(h):016x}{int(low):016x}" for h, low in zip(*keys, strict=True)] == [
        "99aa06d3014798d86001c324468d497f",
        "fb3405c57319927e8e8b812cfece5b0d",
    ]


floats = st.floats(width=64) | st.sampled_from([0.0, -0.0, 1.0, math.nan, math.inf, 2.0**40])
float_columns = (
    st.lists(floats, max_size=20)
    | st.lists(st.sampled_from([0.0, 1.0, 3.0]), max_size=20)
    | st.lists(st.floats(width=32), max_size=20)
)


@given(float_columns)
def test_floats_are_packed_bit_for_bit(values: list[float]) -> None:
    column = np.array(values, "<f8")

    assert unpack(pack(column), len(column), "<f8").tobytes() == column.tobytes()


@given(
    st.lists(st.integers(-(2**63), 2**63 - 1), max_size=20)
    | st.lists(st.integers(10**12, 10**12 + 300), max_size=20)
)
def test_whole_numbers_are_packed_exactly(values: list[int]) -> None:
    column = np.array(values, "<i8")

    assert unpack(pack(column), len(column), "<i8").tolist() == values


@given(st.lists(st.integers(0, 2**64 - 1), max_size=20))
def test_hashes_are_packed_exactly(values: list[int]) -> None:
    column = np.array(values, "<u8")

    assert unpack(pack(column), len(column), "<u8").tolist() == values


@pytest.mark.parametrize("kind", ["<u1", "<i4", "<u4"])
def test_narrow_columns_come_back_in_their_own_type(kind: str) -> None:
    limits = np.iinfo(kind)
    column = np.array([limits.min, limits.max, 1], kind)

    found = unpack(pack(column), 3, kind)

    assert (found.dtype, found.tolist()) == (column.dtype, column.tolist())


ODD_FLOATS = [0.0, -0.0, 1.0, -3.0, 0.5, 0.1, 255.0, 256.0, 65_536.0, 1e300, math.nan, math.inf]
EDGES = [2.0**31, 2.0**31 - 1, -(2.0**31), -math.inf]


@QUICK
@given(
    st.lists(st.sampled_from(ODD_FLOATS + EDGES), min_size=1, max_size=32)
    | st.integers(1, 32).flatmap(
        lambda n: st.lists(st.sampled_from(ODD_FLOATS[:5]), min_size=n, max_size=n)
    )
)
def test_few_floats_are_packed_as_many_are(values: list[float]) -> None:
    column = np.array(values, np.float64)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("streams.packing._FEW", 0)
        expected = pack(column)

    assert pack(column) == expected
    assert unpack(expected, len(column), "<f8").tobytes() == column.tobytes()


@QUICK
@given(
    st.sampled_from(["<i8", "<u8", "<i4", "<u4", "<u1"]),
    st.sampled_from([0, 1, 2**8 - 1, 2**8, 2**16 - 1, 2**16, 2**32 - 1, 2**32, 2**63]),
    st.data(),
)
def test_few_whole_numbers_are_packed_as_many_are(
    kind: str, span: int, data: st.DataObject
) -> None:
    low = data.draw(st.integers(int(np.iinfo(kind).min), int(np.iinfo(kind).max)))
    high = min(low + span, int(np.iinfo(kind).max))
    inside = data.draw(st.lists(st.integers(low, high), max_size=30))
    column = np.array([low, high, *inside], kind)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("streams.packing._FEW", 0)
        expected = pack(column)

    assert pack(column) == expected
    assert unpack(expected, len(column), kind).tobytes() == column.tobytes()


@QUICK
@given(st.lists(st.lists(st.integers(-1, 6), max_size=9), min_size=1, max_size=4).filter(any))
def test_few_codes_are_numbered_as_many_are(rows: list[list[int]]) -> None:
    columns = [np.array(row, np.int32) for row in rows]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("streams.renumbering._FEW", 0)
        expected, old = renumber(columns)

    found, own = renumber(columns)
    assert own == old
    assert [(c.dtype, c.tolist()) for c in found] == [(np.int32, c.tolist()) for c in expected]


def test_an_index_is_empty_at_first() -> None:
    rows = (np.zeros(4, np.uint64), np.zeros(4, np.uint64))

    assert HashIndex().find(rows[0], rows[1], rows=rows).tolist() == [-1] * 4


def crafted(kind: str, count: int = 20_000) -> Hashes:
    """Return different keys that whoever may write predictions can choose ids for."""
    rng = np.random.default_rng(1)
    high, low = rng.integers(0, 2**64, (2, count), np.uint64)
    steps = np.arange(count, dtype=np.uint64)
    if kind == "low bits alike":
        low &= np.uint64(2**64 - 2**20)
    elif kind == "low halves alike":
        low[:] = 7
    elif kind == "high halves alike, low bits alike":
        high[:], low = 7, steps << np.uint64(40)
    elif kind == "neighbours":
        high[:], low = 7, steps
    return Hashes(high, low)


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("seed", [None, bytes(range(1, SEED_BYTES + 1))], ids=["fixed", "another"])
@pytest.mark.parametrize(
    "kind",
    [
        "any",
        "low bits alike",
        "low halves alike",
        "high halves alike, low bits alike",
        "neighbours",
    ],
)
def test_crafted_keys_make_no_long_searches(
    kind: str, seed: bytes | None, compiled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """200,000 of one kind took three minutes, where a second is usual: every search read all."""
    monkeypatch.setattr(native, "available", compiled and native.available)
    keys, index = crafted(kind), HashIndex(seed)

    index.insert(np.arange(len(keys.low)), rows=keys, count=len(keys.low))

    free = np.flatnonzero(index._cells == 0)
    assert np.diff(free, prepend=-1).max() < 200
    assert index.find(*keys, rows=keys).tolist() == list(range(len(keys.low)))


def test_ids_that_share_half_of_their_key_are_told_apart_at_once() -> None:
    keys = crafted("low halves alike")

    assert all_different(HeldTable().scattered(keys))
