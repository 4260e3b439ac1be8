"""Log loss and Brier score of what is no probability: absent, counted and said."""

import random
from typing import Any

import numpy as np
import pytest
from sklearn import metrics as reference

from streams.monitors import Monitors, Window
from tests.builders import MINUTE_MS, Event, label, prediction, retraction
from tests.driver import Driver, as_inputs

JUDGED = ("log_loss", "brier", "roc_auc", "accuracy")


def published(rows: list[tuple[dict[str, Any], Any]], *, partitions: int = 1) -> Driver:
    """Publish predictions with these fields, and their labels, of one minute."""
    window = Window(MINUTE_MS, MINUTE_MS)
    driver = Driver(partitions=partitions, monitors=Monitors(windows=(window,)))
    for batch in (events(rows)[::2], events(rows)[1::2]):
        driver.feed(as_inputs(batch))
    driver.finish()
    return driver


def events(rows: list[tuple[dict[str, Any], Any]]) -> list[Event]:
    return [
        event
        for i, (fields, truth) in enumerate(rows)
        for event in (prediction(f"{i}", **fields), label(f"{i}", label=truth))
    ]


def metrics(driver: Driver) -> dict[str, Any]:
    return {r["metric"]: r for r in driver.metrics.values() if r["metric"] in JUDGED}


def binary(count: int, *, outside: int = 0, odd: float = 1.5) -> list[tuple[dict[str, Any], Any]]:
    rng = np.random.default_rng(count)
    scores = rng.random(count)
    truths = rng.random(count) < scores
    scores[:outside] = odd
    return [
        ({"prediction": int(score > 0.5), "score": float(score)}, int(truth))
        for score, truth in zip(scores, truths, strict=True)
    ]


@pytest.mark.parametrize("odd", [1.5, -2.5, 97.0, 1.00001])
@pytest.mark.parametrize(("outside", "absent"), [(0, False), (2, False), (3, True), (200, True)])
def test_scores_outside_are_left_out_and_above_one_in_a_hundred_nothing_is_said(
    outside: int, absent: bool, odd: float
) -> None:
    rows = binary(200, outside=outside, odd=odd)

    driver = published(rows)

    found = metrics(driver)
    assert ("log_loss" in found, "brier" in found) == (not absent, not absent)
    assert found["accuracy"]["count"] == 200
    assert driver.improper_scores == outside
    if not absent:
        truths = np.array([truth for _, truth in rows[outside:]])
        scores = np.array([fields["score"] for fields, _ in rows[outside:]])
        right = reference.log_loss(truths, scores), np.mean((scores - truths) ** 2)
        assert [found[n]["value"] for n in ("log_loss", "brier")] == pytest.approx(right)
        assert found["log_loss"]["count"] == found["brier"]["count"] == 200 - outside
        assert driver.oddities == []


def test_it_is_said_once_a_model_with_its_numbers_and_in_its_status() -> None:
    rows = binary(200, outside=3)
    driver = published(rows)
    more = [e | {"prediction_id": f"x{i}", "model": "m"} for i, e in enumerate(events(rows)[::2])]
    driver.feed(as_inputs(more))

    assert len(driver.oddities) == 1
    assert "model 'm': 3 of 200 scores in a window are no probabilities" in driver.oddities[0]
    assert driver.monitor.warnings(driver.monitors[0]) == driver.oddities


@pytest.mark.parametrize("rounding", [1e-7, 9e-7])
def test_a_rounding_error_beyond_0_or_1_is_clipped(rounding: float) -> None:
    rows = [({"prediction": int(up), "score": up + rounding * (up or -1)}, up) for up in (0, 1) * 9]

    found = metrics(published(rows))

    assert found["log_loss"]["value"] == found["brier"]["value"] == 0.0
    assert found["log_loss"]["count"] == 18


SHARES = [0.7, 0.2, 0.1]


@pytest.mark.parametrize(
    ("scores", "log_loss", "said"),
    [
        (SHARES, -np.log(0.7), 0),
        ([70.0, 20.0, 10.0], None, 2),
        ([3.0, -1.0, 0.5], None, 2),
        ([0.9, 0.8, 0.7], -np.log(0.9), 1),
        ([0.333, 0.333, 0.333], -np.log(0.333), 0),
    ],
    ids=["shares", "percent", "logits", "a sigmoid each", "rounded"],
)
@pytest.mark.parametrize("together", [False, True])
def test_scores_by_class_that_are_no_probabilities_have_no_log_loss(
    scores: list[float], log_loss: float | None, said: int, together: bool
) -> None:
    fields = {"prediction": "cat", "scores": dict(zip(("cat", "dog", "cow"), scores, strict=True))}
    if together:  # the label comes with its prediction
        fields |= {"label": "cat"}
        driver = Driver()
        driver.feed(as_inputs([prediction(f"{i}", **fields) for i in range(50)]))
        driver.finish()
    else:
        driver = published([(fields, "cat")] * 50)

    found = metrics(driver)
    assert ("log_loss" in found) == (log_loss is not None)
    if log_loss is not None:
        assert found["log_loss"]["value"] == pytest.approx(log_loss)
    assert len(driver.oddities) == said
    assert driver.improper_scores == (50 if log_loss is None else 0)


def test_what_is_no_probability_is_taken_back_with_its_label_and_survives_a_restart() -> None:
    rows = binary(200, outside=3)
    driver = Driver()
    driver.feed(as_inputs(events(rows)))
    driver.restart(random.Random(1))
    driver.finish()
    assert "log_loss" not in metrics(driver)

    driver.feed(as_inputs([retraction("0"), retraction("1")]))
    driver.finish()

    assert metrics(driver)["log_loss"]["count"] == 197
