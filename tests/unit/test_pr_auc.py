"""Average precision against scikit-learn."""

from typing import Any

import numpy as np
import pytest
from sklearn import metrics as sklearn

from streams import families
from streams.task import Judged
from tests.plain_cells import PlainGrid, count_answers
from tests.plain_quality import Value

FAMILIES = families.CATALOGUE.families


def found(true: Any, scores: Any, *, said: Any = None, kind: str = "binary") -> Value | None:
    grid = PlainGrid(FAMILIES, [0])
    count_answers(grid, np.ones(len(true)) if said is None else said, true, scores=scores)
    [values] = grid.values([Judged(kind, "")])
    return values.get("pr_auc")


@pytest.mark.parametrize(("share", "size"), [(0.5, 1_000), (0.05, 4_000), (0.01, 20_000)])
@pytest.mark.parametrize("scale", ["probabilities", "logits", "tiny", "few"])
def test_it_is_that_of_scikit_learn(share: float, size: int, scale: str) -> None:
    random = np.random.default_rng(7)
    true = (random.random(size) < share).astype(int)
    logits = random.normal(2.0 * true - 3.0, 1.0)
    scores = {
        "probabilities": 1 / (1 + np.exp(-logits)),
        "logits": logits,
        "tiny": np.exp(logits) * 1e-6,
        "few": np.round(1 / (1 + np.exp(-logits)), 1),
    }[scale]

    value = found(true, scores)

    assert value is not None
    assert value.value == pytest.approx(sklearn.average_precision_score(true, scores), abs=0.005)
    assert value.count == len(true)
    assert value.low < value.value < value.high


@pytest.mark.parametrize("seed", range(5))
def test_of_few_positives_it_is_off_by_far_less_than_its_interval(seed: int) -> None:
    """Which of a handful within the highest bin comes first tells much, and no bin tells it."""
    random = np.random.default_rng(seed + 5)
    true = (random.random(4_000) < 0.01).astype(int)
    scores = 1 / (1 + np.exp(-random.normal(2.0 * true - 3.0, 1.0)))

    value = found(true, scores)

    assert value is not None
    off = abs(value.value - sklearn.average_precision_score(true, scores))
    assert off < 0.1 * (value.high - value.low)


def test_predictions_of_exactly_0_and_1_have_their_place_among_probabilities() -> None:
    said, true = [0.25, 0.75, 1, 0, 1, 0.5, 1, 0], [0, 1, 1, 0, 0, 1, 1, 1]

    value = found(true, None, said=said, kind="probability")

    assert value is not None
    assert value.value == pytest.approx(sklearn.average_precision_score(true, said), abs=1e-12)


@pytest.mark.parametrize("true", [[1, 1, 1], [0, 0, 0]])
def test_of_one_class_alone_there_is_none(true: list[int]) -> None:
    assert found(true, np.array([0.1, 0.2, 0.3])) is None


def test_windows_do_not_disturb_each_other() -> None:
    random = np.random.default_rng(8)
    windows = [(random.integers(0, 2, n), random.random(n)) for n in (50, 3, 400)]
    grid = PlainGrid(FAMILIES, range(3))
    for window, (true, scores) in enumerate(windows):
        count_answers(grid, true, true, scores=scores, window=window)

    together = [one["pr_auc"] for one in grid.values([Judged("binary", "")] * 3)]

    assert together == [found(*window) for window in windows]
