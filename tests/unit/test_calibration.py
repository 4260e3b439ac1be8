"""Calibration against the plain formula."""

from typing import Any

import numpy as np
import pytest

from streams import families
from streams.families.calibration import BINS
from streams.task import Judged
from tests.plain_cells import PlainGrid, count_answers
from tests.plain_quality import Value

FAMILIES = families.CATALOGUE.families
BINARY, CHANCE = Judged("binary", ""), Judged("probability", "")


def values(said: Any, true: Any, judged: Judged = BINARY, *, scores: Any = None) -> Any:
    grid = PlainGrid(FAMILIES, [0])
    count_answers(grid, said, true, scores=scores)
    [found] = grid.values([judged])
    return found.get("ece"), found.get("calibration_bias")


def plain(share: Any, true: Any) -> float:
    total = 0.0
    for place in range(BINS):
        low, high = place / BINS, (place + 1) / BINS
        own = (share >= low) & ((share < high) | (place == BINS - 1))
        if own.any():
            total += abs(share[own].mean() - true[own].mean()) * own.sum() / len(share)
    return total


def told(seed: int, exponent: float, *, size: int = 2_000) -> tuple[Any, Any]:
    random = np.random.default_rng(seed)
    share = random.random(size)
    return share, (random.random(size) < share**exponent).astype(int)


@pytest.mark.parametrize("exponent", [0.2, 1.0, 3.0])
def test_of_scores_it_is_that_of_the_formula(exponent: float) -> None:
    share, true = told(1, exponent)

    ece, bias = values(np.round(share), true, scores=share)

    assert ece.value == pytest.approx(plain(share, true), abs=1e-9)
    assert bias.value == pytest.approx((share - true).mean(), abs=1e-9)
    assert ece.count == bias.count == len(true)
    spread = 1.96 * (share - true).std(ddof=1) / len(true) ** 0.5
    assert bias.high - bias.value == pytest.approx(spread, rel=1e-3)


def test_a_model_that_says_what_is_has_next_to_none_and_a_wrong_one_has() -> None:
    share, true = told(2, 1.0, size=20_000)
    right: Value = values(np.round(share), true, scores=share)[0]
    sure: Value = values(np.round(share), true, scores=np.round(share))[0]

    assert right.value < 0.02
    assert sure.value == pytest.approx(0.25, abs=0.02)


def test_predictions_that_are_probabilities_count_with_those_of_exactly_0_and_1() -> None:
    said = [0.25, 0.75, 1, 0, 1, 0.5, 1, 0]
    true = [0, 1, 1, 0, 0, 1, 1, 1]

    ece, bias = values(said, true, CHANCE)

    share, real = np.array(said, float), np.array(true)
    assert (ece.count, bias.count) == (8, 8)
    assert ece.value == pytest.approx(plain(share, real), abs=1e-9)
    assert bias.value == pytest.approx((share - real).mean(), abs=1e-9)
    assert bias.low < bias.value < bias.high


@pytest.mark.parametrize(("outside", "there"), [(1, True), (2, False)])
def test_what_is_no_probability_has_none(outside: int, *, there: bool) -> None:
    scores = np.full(100, 0.75)
    scores[:outside] = 75.0

    found = values([1] * 100, [1, 0] * 50, scores=scores)

    assert [one is not None for one in found] == [there, there]


def test_models_of_other_kinds_have_none() -> None:
    for kind in ("multiclass", "regression", "text"):
        assert values([0.25, 0.5], [0, 1], Judged(kind, "")) == (None, None)
