"""What predictions tell before any label: shares of classes, and where scores lie."""

import random
from typing import Any

import numpy as np
import pytest

from streams import families
from streams.cells import names as cell_names
from streams.cells.names import MOST_PREDICTED, Classes, ClassNames
from streams.families.family import OTHER
from streams.task import Judged
from tests.builders import START_MS, label, prediction
from tests.driver import Driver, as_inputs
from tests.plain_cells import PlainGrid, count_said
from tests.plain_quality import Value

FAMILIES = families.CATALOGUE.families
SEVERAL = Judged("multiclass", "", words=True)


def values(said: Any, judged: Judged, *, scores: Any = None) -> dict[str, Value]:
    grid = PlainGrid(FAMILIES, [0])
    count_said(grid, said, scores=scores)
    [found] = grid.values([judged])
    return {n: v for n, v in found.items() if n.startswith(("prediction_share", "score_"))}


def test_every_class_has_its_share_of_predictions() -> None:
    found = values(["ant"] * 6 + ["bee"] * 3 + ["cow"], SEVERAL)

    assert {name: value.value for name, value in found.items()} == {
        "prediction_share:ant": 0.6,
        "prediction_share:bee": 0.3,
        "prediction_share:cow": 0.1,
    }
    assert {value.count for value in found.values()} == {10}
    assert found["prediction_share:cow"].low == pytest.approx(0.0179, abs=1e-4)


@pytest.mark.parametrize(
    ("said", "positive", "share"),
    [
        (["yes", 1, "No", 0.0, False], "1", 0.4),
        (["legit"] * 5, "fraud", 0.0),
        (["fraud"] * 5, "fraud", 1.0),
    ],
)
def test_of_two_classes_it_is_that_of_the_positive_one(
    said: list[Any], positive: str, share: float
) -> None:
    found = values(said, Judged("binary", "", positive))

    assert found.keys() == {"prediction_share"}
    assert (found["prediction_share"].value, found["prediction_share"].count) == (share, 5)


def test_a_model_without_labels_has_the_shares_of_what_it_predicts() -> None:
    """Without any label it passes for one of two classes, 1 and 0."""
    unknown = Judged("binary", "nothing has a label yet")

    assert values(["cat", "dog"], unknown).keys() == {
        "prediction_share:cat",
        "prediction_share:dog",
    }
    assert len(values(list(range(20)), unknown)) == 20
    assert values(list(range(21)), unknown) == {}


@pytest.mark.parametrize("kind", ["regression", "text", "probability"])
def test_other_models_have_none(kind: str) -> None:
    assert not values(["a", "b", 1, 0.5], Judged(kind, "")).keys() & {"prediction_share:a"}


def test_too_many_classes_have_no_shares() -> None:
    assert values([f"c{n}" for n in range(101)], SEVERAL) == {}
    assert len(values([f"c{n}" for n in range(100)], SEVERAL)) == 100


def test_scores_have_a_mean_and_a_median() -> None:
    scores = np.random.default_rng(1).random(501) ** 3

    found = values([1] * 501, Judged("binary", ""), scores=scores)

    assert found["score_mean"].value == pytest.approx(scores.mean(), abs=1e-15)
    assert found["score_p50"].value == pytest.approx(np.median(scores), rel=0.01)
    spread = 1.96 * scores.std(ddof=1) / np.sqrt(501)
    assert found["score_mean"].high == pytest.approx(scores.mean() + spread, abs=1e-4)


def test_predictions_that_are_probabilities_are_scores() -> None:
    said = [0.2, 0.4, 1, 0, 1, 0.7, 1.0]

    found = values(said, Judged("probability", ""))

    assert found["score_mean"].value == pytest.approx(np.mean(said))
    assert found["score_p50"].value == pytest.approx(0.7, rel=0.01)
    assert found["score_mean"].count == found["score_p50"].count == 7
    assert values(said, Judged("regression", "")) == {}
    assert values([1, 0, 1], Judged("binary", "")).keys() == {"prediction_share"}


# ---------------------------------------------------------------------- codes
def test_predictions_alone_give_codes_to_so_many_classes() -> None:
    names, texts = ClassNames(), [f"c{n}" for n in range(MOST_PREDICTED + 50)]
    classes, models = Classes(names), np.zeros(len(texts), np.int64)
    codes = names.codes(texts)

    found = classes.of_few(models, codes)

    assert (found[:MOST_PREDICTED] < MOST_PREDICTED).all()
    assert (found[MOST_PREDICTED:] == OTHER).all()
    assert classes.are_many(models).all()
    assert len(classes.names_of(0)) == MOST_PREDICTED
    assert not classes.full
    of_outcomes = classes.of(models, codes)
    assert sorted(of_outcomes.tolist()) == list(range(len(texts)))
    assert (classes.of_few(models, codes) == of_outcomes).all()


def test_a_window_with_classes_without_a_code_has_no_shares(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cell_names, "MOST_PREDICTED", 3)
    driver = Driver()
    driver.feed(
        as_inputs([prediction(f"p{n}", prediction=f"c{n % 4}") for n in range(8)])
        + as_inputs([prediction("q", model="other", prediction="a")])
    )

    driver.finish()

    names = {record["metric"] for record in driver.metrics.values()}
    assert not any(name.startswith("prediction_share:c") for name in names)
    assert "predictions" in names


@pytest.mark.parametrize("seed", range(3))
def test_shares_are_the_same_after_a_restart_between_predictions_and_labels(seed: int) -> None:
    said = [prediction(f"p{n}", prediction=f"c{n % 5}", score=n / 40) for n in range(40)]
    told = [label(f"p{n}", label=f"c{n % 3}", timestamp_ms=START_MS + 1_000) for n in range(40)]
    whole, broken = Driver(), Driver()
    for driver in (whole, broken):
        driver.feed(as_inputs(said[:25]))
    broken.restart(random.Random(seed))

    for driver in (whole, broken):
        driver.feed(as_inputs([*said[25:], *told]))
        driver.finish()

    assert broken.result() == whole.result()
    assert broken.value("prediction_share:c4") == 0.2
    assert broken.value("score_mean") == pytest.approx(sum(range(40)) / 40 / 40)
