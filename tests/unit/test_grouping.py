"""Rows by groups, against numpy and fractions."""

from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from streams.exact_sum import exact_sums
from streams.grouping import distinct, distinct_pairs

whole = st.integers(-50, 50) | st.integers(-(2**62), 2**62)
floats = st.floats(-1e300, 1e300) | st.sampled_from([5e-324, 2.0**996, -0.0, 1e-300])


@given(st.lists(whole, max_size=60))
def test_groups_are_those_of_numpy(keys: list[int]) -> None:
    column = np.array(keys, np.int64)

    values, places = distinct(column)

    assert values.tolist() == np.unique(column).tolist()
    assert values[places].tolist() == keys


@given(st.lists(st.tuples(st.integers(0, 2**22), st.integers(-(2**40), 2**40) | st.integers(0, 3))))
def test_pairs_are_those_of_a_set(pairs: list[tuple[int, int]]) -> None:
    columns = np.array(pairs, np.int64).reshape(-1, 2).T

    first, second = distinct_pairs(*columns)

    assert list(zip(first.tolist(), second.tolist(), strict=True)) == sorted(set(pairs))


@given(st.lists(st.tuples(floats, st.integers(0, 3)), max_size=120))
def test_exact_sums_are_the_sums_of_fractions(rows: list[tuple[float, int]]) -> None:
    values = np.array([value for value, _ in rows], float)
    group = np.array([number for _, number in rows], np.int64)

    sums = exact_sums(values, group, 4)

    for number, total in enumerate(sums):
        exact = sum(Fraction(value) for value, own in rows if own == number)
        assert Fraction(total, 2**1074) == exact
