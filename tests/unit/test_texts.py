"""Byte strings in one buffer: put together again, they are what they were."""

from __future__ import annotations

from itertools import chain, pairwise

from hypothesis import given
from hypothesis import strategies as st

from streams.texts import Texts

columns = st.lists(st.lists(st.binary(max_size=5), max_size=9), min_size=1, max_size=4)


@given(columns, st.sets(st.integers(1, 8)))
def test_pieces_are_joined_to_the_whole(columns: list[list[bytes]], cuts: set[int]) -> None:
    pieces = [
        Texts.of(column)[start:end]
        for column in columns
        for start, end in pairwise([0, *sorted(cuts), 9])
    ]

    assert list(Texts.joined(pieces)) == list(chain.from_iterable(columns))


@given(st.lists(st.binary(max_size=5), max_size=9), st.sets(st.integers(1, 8)))
def test_what_is_behind_each_other_is_not_copied(column: list[bytes], cuts: set[int]) -> None:
    whole = Texts.of(column)
    pieces = [whole[start:end] for start, end in pairwise([0, *sorted(cuts), 9])]

    joined = Texts.joined(pieces)

    assert list(joined) == column
    assert joined.data is whole.data


def test_pieces_between_which_something_is_missing_are_copied() -> None:
    whole = Texts.of([b"a", b"b", b"c"])

    assert list(Texts.joined([whole[:1], whole[2:]])) == [b"a", b"c"]
    assert list(Texts.joined([whole[1:], whole[:1]])) == [b"b", b"c", b"a"]
