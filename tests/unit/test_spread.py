"""What is made of a mean and a mean of squares, and how large errors are."""

from typing import Any

import numpy as np
import pytest
from sklearn import metrics as sklearn

from streams import families
from streams.features import Block
from streams.outcomes import PredictionRows
from streams.task import Judged
from tests.plain_cells import PlainGrid, count_answers
from tests.plain_quality import Value

FAMILIES = families.CATALOGUE.families


def std(values: Any) -> Value | None:
    size = len(values)
    grid = PlainGrid(FAMILIES, [0])
    zeros, none = np.zeros(size, np.int64), np.full(size, np.nan)
    codes = np.full(size, -1, np.int32)
    rows = PredictionRows(zeros.astype(np.int32), zeros, zeros, none, codes, none, none, codes)
    block = Block(("x",), np.arange(size), np.array(values, float)[:, None])
    grid.count_predictions(rows, [0] * size, [block])
    [found] = grid.values([Judged("binary", "")])
    return found.get("std:x")


@pytest.mark.parametrize(("mean", "scale"), [(0, 1), (50, 4), (-1e6, 3), (1e-9, 1e-9), (0, 1e100)])
def test_it_is_the_sample_standard_deviation(mean: float, scale: float) -> None:
    values = np.random.default_rng(1).normal(mean, scale, 500)

    found = std([*values, np.nan])

    assert found is not None
    assert found.value == pytest.approx(values.std(ddof=1), rel=1e-3 if mean < -1 else 1e-9)
    assert found.count == 500


def test_a_feature_that_never_changes_has_one_of_0() -> None:
    found = std([0.1] * 1_000)

    assert found is not None
    assert (found.value, found.low, found.high) == (0.0, 0.0, 0.0)


def test_where_no_digit_is_left_there_is_none() -> None:
    assert std(1e9 + np.random.default_rng(2).random(100)) is None
    assert std([3.0]) is None
    assert std([np.nan, np.nan]) is None


def test_its_interval_holds_the_truth_as_often_as_it_says() -> None:
    random = np.random.default_rng(3)

    found = [std(random.normal(5, 2, 60)) for _ in range(200)]

    assert 0.91 <= np.mean([one.low <= 2 <= one.high for one in found]) <= 0.99


def regression(said: Any, true: Any, kind: str = "regression") -> dict[str, Value]:
    grid = PlainGrid(FAMILIES, [0])
    count_answers(grid, said, true)
    [found] = grid.values([Judged(kind, "")])
    return found


@pytest.mark.parametrize("noise", [0.1, 1.0, 5.0])
def test_r2_is_that_of_scikit_learn(noise: float) -> None:
    random = np.random.default_rng(4)
    true = random.normal(100, 2, 400)
    said = true + random.normal(0, noise, 400)

    found = regression(said, true)

    assert found["r2"].value == pytest.approx(sklearn.r2_score(true, said), abs=1e-9)
    assert found["r2"].count == 400


def test_labels_that_are_all_the_same_have_no_r2() -> None:
    assert "r2" not in regression([1.5, 2.5, 3.5], [0.1] * 3)
    assert "r2" not in regression([1.5], [2.5])
    assert "r2" not in regression([1, 0, 1], [1, 1, 0], "binary")


@pytest.mark.parametrize(("metric", "share"), [("ae_p50", 0.5), ("ae_p95", 0.95)])
def test_the_size_of_errors_is_a_quantile_of_them(metric: str, share: float) -> None:
    random = np.random.default_rng(5)
    true = random.normal(100, 2, 400)
    said = true + random.exponential(1.0, 400) * random.choice([-1, 1], 400)

    found = regression(said, true)[metric]

    exact = np.quantile(np.abs(said - true), share, method="inverted_cdf")
    assert found.value == pytest.approx(exact, rel=0.004)
    assert found.low < found.value < found.high
    assert found.count == 400
