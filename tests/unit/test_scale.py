"""The scale of an input: neither units nor sentinels matter."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.scale import measure
from streams.watchers import BY_NAME
from streams.watchers.scaling import Scales
from streams.watchers.series import Series
from tests.watching import feed, lanes_of

STATIONARY = {
    "normal": lambda rng, n: rng.normal(1e6, 1.0, n),
    "lognormal": lambda rng, n: rng.lognormal(8.0, 2.0, n),
    "rare": lambda rng, n: (rng.random(n) < 0.01).astype(float),
    "constant": lambda _, n: np.full(n, 0.002),
    "counts": lambda rng, n: rng.poisson(0.3, n).astype(float),
    "sentinels": lambda rng, n: np.where(rng.random(n) < 0.01, 999999999.0, rng.normal(5, 1, n)),
    "no mean": lambda rng, n: rng.standard_cauchy(n),
}
SHIFTED = {
    "level": lambda rng, n: rng.normal(np.where(np.arange(n) < n // 2, 5, 15), 1.0),
    "sentinel": lambda rng, n: np.where(np.arange(n) == 50, 999999999.0, SHIFTED["level"](rng, n)),
    "constant": lambda _, n: np.where(np.arange(n) < n // 2, 2.0, 4.0),
    "constant and sentinel": lambda _, n: np.where(
        np.arange(n) == 50, 999999999.0, SHIFTED["constant"](None, n)
    ),
    "nothing": lambda _, n: np.where(np.arange(n) < n // 2, 0.0, 2.0),
    "nothing and sentinel": lambda _, n: np.where(
        np.arange(n) == 50, 999999999.0, SHIFTED["nothing"](None, n)
    ),
    "rare": lambda rng, n: (rng.random(n) < np.where(np.arange(n) < n // 2, 0.01, 0.2)).astype(
        float
    ),
    "always": lambda rng, n: 1.0 - SHIFTED["rare"](rng, n),
}


@pytest.mark.parametrize("name", BY_NAME)
@pytest.mark.parametrize("kind", SHIFTED)
def test_a_shift_is_found_in_any_unit_at_the_same_value(name: str, kind: str) -> None:
    values = SHIFTED[kind](np.random.default_rng(1), 4_000)
    found = []

    for unit in (1.0, 2.0**-10, 2.0**60, -(2.0**-70)):
        changes = feed(lanes_of(name), values * unit)
        found.append([change.index for change in changes])
        assert 0 <= changes[0].index - 2_000 < 500
        before, after = changes[0].before / unit, changes[0].after / unit
        assert before < after if kind != "always" else before > after
        assert abs(before - values[:2_000][values[:2_000] < 1e6].mean()) < 0.5

    assert found == [found[0]] * 4


@pytest.mark.parametrize("name", BY_NAME)
@pytest.mark.parametrize("kind", STATIONARY)
def test_what_does_not_change_raises_no_alarm(name: str, kind: str) -> None:
    for seed in range(10):
        values = STATIONARY[kind](np.random.default_rng(seed), 5_000)

        assert feed(lanes_of(name), values) == []


@pytest.mark.parametrize(
    ("sample", "centre", "spread"),
    [
        ([2.0] * 100, 2.0, 0.4),
        ([-0.002] * 100, -0.002, 0.0004),
        ([0.0] * 100, 0.0, 0.0),
        ([0.0] * 99 + [1e9], 0.0, 0.0),
        ([2.0] * 99 + [1e9], 2.0, 0.4),
        ([2.0] * 96 + [1e9] * 4, 2.0, 2.0),
        ([0.1 + 0.2] * 50 + [0.3] * 50, 0.3, 0.06),
        ([0.0] * 80 + [1.0] * 20, 0.0, 0.4),
        ([7.0], 7.0, 1.4),
    ],
)
def test_the_scale_of_inputs_without_quartiles(
    sample: list[float], centre: float, spread: float
) -> None:
    scale = measure(sample, wide=False)

    assert (scale.centre, scale.spread) == pytest.approx((centre, spread))


def test_the_scale_of_normal_values_is_mean_and_deviation() -> None:
    scale = measure(np.random.default_rng(1).normal(50, 3, 10_000).tolist(), wide=False)

    assert scale.centre == pytest.approx(50, abs=0.1)
    assert scale.spread == pytest.approx(3, rel=0.05)


floats = st.sampled_from([0.0, -0.0, 1.0, 2e150, 5e-324]) | st.floats(-2e150, 2e150)


def seen(scales: Scales, values: Sequence[float], before: int) -> list[float]:
    """Let lane 0 see values; return those after the reference, scaled."""
    series = Series(np.array([0]), np.array([len(values)]), np.array(values, float))
    return scales.take(series, np.array([before])).values.tolist()  # type: ignore[no-any-return]


def scales_of(size: int) -> Scales:
    scales = Scales(size, of_means=True)
    scales.begin(np.array([0]))
    return scales


@given(st.lists(floats, min_size=1, max_size=120), st.lists(floats, min_size=1))
def test_what_is_scaled_is_finite_and_one_value_is_scaled_like_many(
    sample: list[float], values: list[float]
) -> None:
    many, few = scales_of(len(sample)), scales_of(len(sample))
    for scales in (many, few):
        seen(scales, sample, 0)

    at_once = seen(many, values, len(sample))

    assert at_once == [x for one in values for x in seen(few, [one], len(sample))]
    assert np.isfinite(at_once).all()


@pytest.mark.parametrize("size", [1, 60, 100, 101, 250])
def test_a_reference_is_the_same_whatever_the_batches(size: int) -> None:
    values = np.random.default_rng(2).lognormal(1.0, 1.0, 300).tolist()
    whole, cut = scales_of(size), scales_of(size)

    at_once = seen(whole, values, 0)
    parts = []
    for start, end in pairwise([0, 1, 7, 99, 100, 130, 240, 300]):
        parts += seen(cut, values[start:end], start)

    assert parts == at_once
    assert len(at_once) == 300 - size
    assert cut.state.pack(np.array([0])) == whole.state.pack(np.array([0]))


def test_samples_take_no_room_once_there_is_a_scale() -> None:
    scales = Scales(500, of_means=False)
    lanes, nothing = np.arange(50), np.zeros(50, np.int64)

    for first in range(0, 1_000, 50):
        scales.begin(first + lanes)
        scales.take(Series(first + lanes, nothing + 100, np.ones(5_000)), nothing)

    assert scales.samples.room == 50
