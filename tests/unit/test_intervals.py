"""Bounds that a rule compares with its limit: at the ends, and at the value itself."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import plain_intervals as intervals


def test_the_bounds_of_none_and_of_all_are_exactly_0_and_1() -> None:
    """Whatever the number of trials: the rounded formula misses them for a fifth of all."""
    for trials in range(1, 5_000):
        assert intervals.wilson(0, trials)[0] == 0.0
        assert intervals.wilson(trials, trials)[1] == 1.0
        assert intervals.f1(0, trials)[0] == 0.0
        assert intervals.f1(trials, 0)[1] == 1.0


@given(st.integers(1, 10**12), st.floats(0, 1))
def test_a_share_lies_within_its_own_bounds(trials: int, part: float) -> None:
    successes = round(part * trials)

    low, high = intervals.wilson(successes, trials)

    assert low is not None
    assert high is not None
    assert 0.0 <= low <= successes / trials <= high <= 1.0
    assert (low == 0.0) == (successes == 0)
    assert (high == 1.0) == (successes == trials)


@given(st.floats(-1e150, 1e150), st.integers(2, 10**9))
def test_the_bounds_of_a_constant_are_the_constant(value: float, count: int) -> None:
    assert intervals.normal(value, value * value, count) == (value, value)


@pytest.mark.parametrize("area", [0.0, 1.0])
@pytest.mark.parametrize(("positives", "negatives"), [(1, 1), (7, 3), (100_003, 17)])
def test_the_bounds_of_an_area_that_is_all_or_nothing_are_exact(
    area: float, positives: int, negatives: int
) -> None:
    assert intervals.roc_auc(area, positives, negatives) == (area, area)
