"""What is told of the values of features: of bins, against scipy on the values themselves."""

from typing import Any

import numpy as np
import pytest
from scipy import stats
from scipy.spatial.distance import jensenshannon
from scipy.stats.contingency import association

from streams.categories import category
from streams.families.distances import (
    PARTS,
    beside,
    categories,
    cramers_v,
    jensen_shannon,
    parted,
    tenths,
    wasserstein,
)
from streams.families.distribution import SHIFT, Distribution
from streams.families.feature_values import FeatureValues
from streams.families.histograms import pair_values, value_bins
from streams.features import Block
from streams.outcomes import PredictionRows
from streams.task import Judged
from tests.plain_cells import PlainCells, PlainGrid, coded

FAMILIES = (Distribution(), FeatureValues())


def grid_of(*windows: Any) -> PlainGrid:
    """Return a window for each list of values of the feature x."""
    grid = PlainGrid(FAMILIES, [0] * len(windows))
    for window, values in enumerate(windows):
        column = np.array([category(v) if isinstance(v, str) else v for v in values], np.float64)
        size = len(column)
        none, zeros = np.full(size, np.nan), np.zeros(size, np.int64)
        rows = PredictionRows(
            *(zeros.astype(np.int32), zeros, zeros, *coded("", [0] * size, []).values()),
            *(none, none, np.full(size, -1, np.int32)),
        )
        block = Block(("x",), np.arange(size), column[:, None])
        grid.count_predictions(rows, [window] * size, [block])
    return grid


def found(family: Any, now: Any, before: Any = None) -> dict[str, Any]:
    """Return estimates of one window by the name of the metric."""
    judged = [Judged("regression", "")]
    cells = PlainCells(grid_of(now), family, judged)
    if before is not None:
        cells.baseline = PlainCells(grid_of(before), family, judged)  # type: ignore[assignment]
    return {one.metric: one for one in family.compute(cells)}


LARGE = {"skewed", "a flag"}
SAMPLES = {
    "normal": lambda rng, n: rng.normal(3, 1, n),
    "about zero": lambda rng, n: rng.normal(0, 1, n),
    "median ten deviations away": lambda rng, n: rng.normal(-10, 1, n),
    "skewed": lambda rng, n: rng.lognormal(1, 1.5, n),
    "a flag": lambda rng, n: (rng.random(n) < 0.1).astype(float),
    "whole": lambda rng, n: rng.integers(-4, 9, n).astype(float),
}


@pytest.mark.parametrize("name", SAMPLES)
def test_wasserstein_is_that_of_the_values_within_a_hundredth_of_sigma(name: str) -> None:
    rng = np.random.default_rng(7)
    before, now = SAMPLES[name](rng, 4_000), SAMPLES[name](rng, 700) * 1.1 + 0.3

    one = found(Distribution(), now, before)["wasserstein"]

    expected = stats.wasserstein_distance(now, before) / np.std(before)
    # A few large values may all be at the same end of their bins.
    assert one.value[0] == pytest.approx(expected, abs=0.02 if name in LARGE else 0.01)
    middles = [pair_values(value_bins(side) >> SHIFT) for side in (now, before)]
    binned = stats.wasserstein_distance(*middles) / np.std(middles[1])
    assert one.value[0] == pytest.approx(binned, rel=1e-9)
    assert (one.low[0] > 0) == (name != "skewed")
    assert one.count.tolist() == [700]


def entries_of(rows: Any) -> tuple[Any, Any, Any]:
    """Return group, bin and count of bins, a group a row."""
    group = np.repeat(np.arange(len(rows)), rows.shape[1])
    pairs, counts = np.unique(np.stack([group, rows.ravel()]), axis=1, return_counts=True)
    return pairs[0], pairs[1], counts


@pytest.mark.parametrize("name", SAMPLES)
def test_by_chance_distances_stay_below_their_interval_in_nineteen_of_twenty(name: str) -> None:
    """A window of the same distribution: `low` is above 0 in about 5 % of cases."""
    rng = np.random.default_rng(11)
    groups = 1_000
    sides = [
        entries_of(value_bins(SAMPLES[name](rng, (groups, size))) >> SHIFT) for size in (200, 400)
    ]
    bins = beside(*sides, groups)
    texts = beside(*(entries_of(rng.integers(0, 8, (groups, n))) for n in (200, 400)), groups)

    for value, chance, _ in (
        wasserstein(bins),
        jensen_shannon(parted(((bins, tenths(bins)),), groups)),
        jensen_shannon(parted(((texts, categories(texts)),), groups)),
        cramers_v(parted(((texts, categories(texts)),), groups)),
    ):
        assert 0.025 < np.mean(value > chance) < 0.085


def test_jensen_shannon_and_cramers_v_are_those_of_scipy_on_parts() -> None:
    rng = np.random.default_rng(3)
    names = np.array(["Rome", "Oslo", "Bern", "Lima"])
    before = names[rng.choice(4, 900, p=[0.4, 0.3, 0.3, 0.0])].tolist()
    now = names[rng.choice(4, 300, p=[0.1, 0.3, 0.3, 0.3])].tolist()
    counts = np.array([[side.count(name) for name in names] for side in (now, before)])

    one = found(Distribution(), now, before)

    shares = counts / counts.sum(axis=1, keepdims=True)
    assert one["js"].value[0] == pytest.approx(jensenshannon(*shares, base=2), abs=1e-12)
    alike = counts * [[900], [300]]  # both sides are as large
    expected = association(alike, method="cramer", correction=False)
    assert one["cramers_v"].value[0] == pytest.approx(expected, abs=1e-12)
    assert np.isnan(one["wasserstein"].value[0])
    assert len(names) < PARTS


def test_a_baseline_of_one_value_has_no_wasserstein_distance() -> None:
    one = found(Distribution(), [1.0, 2.0] * 20, [1.0] * 40)

    assert np.isnan(one["wasserstein"].value[0])
    assert one["out_of_range_rate"].value.tolist() == [0.5]


@pytest.mark.parametrize("value", [1e308, -1.7e308, 5e-324, 0.0])
def test_numbers_of_any_size_give_numbers(value: float) -> None:
    values = [value, value / 2, -value] * 20

    for family in (Distribution(), FeatureValues()):
        for one in found(family, values, [*values, 1.0, 2.0]).values():
            assert np.isfinite(one.value).all() or one.metric in (
                "text_rate",
                "cramers_v",
                "unseen_rate",
            )
            for bound in (one.low, one.high):
                assert bound is None or not np.isinf(bound).any() or one.metric == "psi"


def test_values_beyond_the_baseline_are_out_of_range_on_both_sides() -> None:
    before = np.linspace(10, 20, 200)
    now = [*np.linspace(11, 19, 80), *[5.0] * 15, *[30.0] * 5]

    one = found(Distribution(), now, before)["out_of_range_rate"]

    assert one.value.tolist() == [0.2]
    assert one.count.tolist() == [100]
    assert one.low[0] < 0.2 < one.high[0]


@pytest.mark.parametrize("name", SAMPLES)
def test_quantiles_and_ends_are_those_of_the_values_within_a_bin(name: str) -> None:
    values = SAMPLES[name](np.random.default_rng(5), 999)

    one = found(FeatureValues(), values)

    for metric, share in {
        "feature_p05": 0.05,
        "feature_p50": 0.5,
        "feature_p95": 0.95,
        "min": 0.0,
        "max": 1.0,
    }.items():
        expected = np.quantile(values, share, method="inverted_cdf")
        assert one[metric].value[0] == pytest.approx(expected, rel=0.008)
    assert one["feature_p50"].low[0] <= one["feature_p50"].value[0] <= one["feature_p50"].high[0]


def test_the_most_frequent_value_and_the_number_of_different_ones_are_of_numbers_and_texts() -> (
    None
):
    one = found(FeatureValues(), [1.0] * 5 + [2.0] * 2 + ["Rome"] * 13)

    assert one["top_share"].value.tolist() == [0.65]
    assert one["distinct"].value.tolist() == [3.0]
    assert one["max"].count.tolist() == [7]


def test_a_frozen_feature_has_one_value() -> None:
    one = found(FeatureValues(), [41.5] * 30)

    assert one["top_share"].value.tolist() == [1.0]
    assert one["distinct"].value.tolist() == [1.0]


def test_a_window_that_took_back_all_has_neither() -> None:
    """Counts below 0 are there where a family began anew between a value and its correction."""
    grid = grid_of([1.0, 2.0])
    for key in grid.counts:
        for number in grid.counts[key]:
            grid.counts[key][number] *= -1
    cells = PlainCells(grid, FeatureValues(), [Judged("regression", "")])

    assert all(np.isnan(one.value).all() for one in FeatureValues().compute(cells))
