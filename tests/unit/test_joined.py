"""Records that are put together from columns are what MessagePack makes of them one by one."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.columns.joined import Joined, Texts, array_head, bounds_of, map_head
from tests.examples import some
from tests.naive_cells import WAYS, kept_by

encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder().decode

rows = st.tuples(
    st.lists(st.integers(0, 1 << 40), max_size=20),
    st.binary(max_size=10) | st.sampled_from([bytes(255), bytes(256), bytes(1 << 16)]),
    st.lists(st.text(max_size=3), max_size=20),
)


def joined(every: list[tuple[list[int], bytes, list[str]]]) -> list[bytes]:
    records = Joined(len(every))
    records.same(array_head(5))
    records.array(np.array([len(numbers) for numbers, _, _ in every], np.int64))
    pieces = [b"".join(map(encode, numbers)) for numbers, _, _ in every]
    records.span(b"".join(pieces), bounds_of(pieces))
    records.binary(b"".join(own for _, own, _ in every), bounds_of([own for _, own, _ in every]))
    records.same(map_head(1) + encode("key") + encode(None))
    texts = [text for _, _, texts in every for text in texts]
    known = sorted({*texts, "no record has this"})
    bounds = np.cumsum([0, *(len(texts) for _, _, texts in every)])
    chosen = np.array([known.index(text) for text in texts], np.int64)
    named = Texts.of(list(map(encode, known)))
    records.texts(named, chosen, bounds)
    records.chosen(named, np.array([len(texts) % len(known) for _, _, texts in every], np.int64))
    return records.records()


@given(st.lists(rows, max_size=6))
@settings(max_examples=some(200))
def test_records_are_what_messagepack_makes_of_each(every: Any) -> None:
    known = sorted({text for _, _, texts in every for text in texts} | {"no record has this"})
    found = [
        [numbers, own, {"key": None}, texts, known[len(texts) % len(known)]]
        for numbers, own, texts in every
    ]

    for compiled in WAYS:
        with kept_by(compiled):
            assert joined(every) == list(map(encode, found))


@pytest.mark.parametrize("length", [0, 15, 16, 65_535, 65_536])
def test_an_array_of_any_length_begins_as_in_messagepack(way: bool, length: int) -> None:
    records = Joined(1)
    records.array(np.array([length]))
    records.same(bytes(length))

    [found] = records.records()

    assert decode(found) == [0] * length


@pytest.mark.parametrize("length", [0, 15, 16, 300])
def test_a_map_of_any_length_begins_as_in_messagepack(length: int) -> None:
    entries = dict.fromkeys(range(length), 0)

    own = b"".join(encode(number) + encode(0) for number in entries)

    assert map_head(length) + own == encode(entries)


@pytest.mark.parametrize(
    "bounds", [[0, 3], [-1, 1], [2, 1]], ids=["beyond the end", "before the beginning", "falling"]
)
def test_bytes_that_are_not_there_are_refused(way: bool, bounds: list[int]) -> None:
    for add in (Joined.span, Joined.binary):
        records = Joined(1)
        add(records, b"ab", np.array(bounds))
        with pytest.raises(IndexError, match="no such row"):
            records.records()


def test_a_negative_length_is_refused(way: bool) -> None:
    records = Joined(1)
    records.array(np.array([-1]))

    with pytest.raises(IndexError, match="no such row"):
        records.records()


@pytest.mark.parametrize("chosen", [[0, 2], [-1, 0]], ids=["beyond the last", "negative"])
def test_texts_that_are_not_there_are_refused(way: bool, chosen: list[int]) -> None:
    records = Joined(1)
    records.texts(Texts.of([b"\x01", b"\x02"]), np.array(chosen), np.array([0, 2]))

    with pytest.raises(IndexError, match="no such row"):
        records.records()


@pytest.mark.parametrize("bounds", [[0, 9, 2], [0, 1 << 40, 2], [0, -1, 2]])
def test_more_texts_than_are_chosen_are_refused(way: bool, bounds: list[int]) -> None:
    records = Joined(2)
    records.texts(Texts.of([b"\x01", b"\x02"]), np.array([0, 1]), np.array(bounds))

    with pytest.raises(IndexError, match="no such row"):
        records.records()


@pytest.mark.parametrize("chosen", [2, -1])
def test_a_text_that_is_not_there_is_refused(way: bool, chosen: int) -> None:
    records = Joined(1)
    records.chosen(Texts.of([b"\x01", b"\x02"]), np.array([chosen]))

    with pytest.raises(IndexError, match="no such row"):
        records.records()


def test_numbers_for_other_records_are_refused() -> None:
    with pytest.raises(ValueError, match="3 numbers for 1 records"):
        Joined(1).span(b"", np.zeros(3, np.int64))
    with pytest.raises(ValueError, match="2 numbers for 1 records"):
        Joined(1).array(np.zeros(2, np.int64))
    with pytest.raises(ValueError, match="1 texts for 2 places"):
        Joined(1).texts(Texts.of([b"x"]), np.zeros(1, np.int64), np.array([0, 2]))


def test_no_records_take_no_bytes(way: bool) -> None:
    records = Joined(0)
    records.same(b"x")
    records.span(b"", np.zeros(1, np.int64))
    records.array(np.empty(0, np.int64))

    assert records.records() == []
