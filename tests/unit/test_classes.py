"""Which values are one class: the same everywhere, however they are written."""

import random
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from agents.settings import read_monitors_file
from streams.classes import class_name, same_class, scores_by_class
from streams.monitors import Monitors, Threshold
from streams.monitors_file import parse_monitors
from streams.released import losses
from streams.shown import NEVER_MS
from tests.builders import HOUR_MS, MINUTE_MS, START_MS, Event, label, prediction
from tests.driver import Driver, as_inputs
from tests.examples import some

ONE = (1, 1.0, True, "1", "1.0", "true", "TRUE", "Yes", "pOsItIvE")
ZERO = (0, 0.0, -0.0, False, "0", "0.0", "-0", "-0.0", "False", "NO", "negative")


def pairs(rows: list[tuple[Any, Any]], **fields: Any) -> list[Event]:
    """Make a prediction and its label of every row, a second apart from the next."""
    return [
        event
        for i, (guess, truth) in enumerate(rows)
        for event in (
            prediction(f"{i}", prediction=guess, timestamp_ms=START_MS + 1_000 * i, **fields),
            label(f"{i}", label=truth, timestamp_ms=START_MS + 1_000 * i),
        )
    ]


def ran(events: list[Event], **options: Any) -> Driver:
    driver = Driver(**options)
    driver.feed(as_inputs(events))
    driver.finish()
    return driver


def values(driver: Driver) -> dict[str, float]:
    return {record["metric"]: record["value"] for record in driver.metrics.values()}


@pytest.mark.parametrize("values", [ONE, ZERO], ids=["one", "zero"])
def test_however_a_class_is_written_among_two_it_is_the_same(values: tuple[Any, ...]) -> None:
    assert all(same_class(one, other) for one in values for other in values)


@pytest.mark.parametrize("text", ["2", "2.0", 2, 2.0])
def test_a_whole_number_is_one_class_as_a_number_and_as_text(text: object) -> None:
    assert class_name(text) == "2"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text",
    [
        *("01", "007", "+1", " 1", "1 ", "1_000", "18_24", "1E3", "1e0", "0x1", "1.", ".0", "1.00"),
        *("1.50", "１", "²", "nan", "NaN", "inf", "-Infinity", "US", "us", "Fraud", "on", "t", ""),
        *("--1", "-01", "1,0", "1\n", "1.0\n", "true ", "y\u0065s\u0301"),
    ],
)
def test_any_other_text_is_compared_as_it_is(text: str) -> None:
    others = [1, 0, 1000, text.swapcase() if text.swapcase() != text else text + "x"]

    assert class_name(text) == text
    assert not any(same_class(text, other) for other in others)


def test_whole_numbers_that_no_float_tells_apart_are_classes_of_their_own() -> None:
    large = 2**53
    rows = [(large, large + 1), (f"{large + 1}.0", large + 1), (float(large), f"{large}")]

    driver = ran(pairs(rows))

    assert driver.value("accuracy") == pytest.approx(2 / 3)


@given(st.text(max_size=9) | st.integers() | st.floats(allow_nan=False) | st.booleans())
def test_the_name_of_a_class_names_it(value: Any) -> None:
    name = class_name(value)

    assert class_name(name) == name
    assert same_class(name, value)


@pytest.mark.parametrize(
    ("yes", "no"),
    [
        (("Yes", "yes"), ("No", "no")),
        (("True", "TRUE"), ("False", "FALSE")),
        ((1, "1.0"), (0, "0")),
    ],
    ids=["yes", "true", "numbers"],
)
def test_accuracy_f1_and_the_loss_know_the_same_classes(yes: Any, no: Any) -> None:
    """Classes were one for F1 and two for accuracy: accuracy 0 beside F1 0.83."""
    rows = [(no[0], no[1])] * 130 + [(no[0], yes[1])] * 20 + [(yes[0], yes[1])] * 50
    random.Random(1).shuffle(rows)

    driver = ran(pairs(rows), disorder_ms=MINUTE_MS)

    found = values(driver)
    assert {name: found[name] for name in ("accuracy", "precision", "recall", "f1")} == {
        "accuracy": 0.9,
        "precision": 1.0,
        "recall": pytest.approx(5 / 7),
        "f1": pytest.approx(5 / 6),
    }
    waits = Driver(disorder_ms=HOUR_MS)
    waits.feed(as_inputs(pairs(rows)))
    [state] = waits.monitors
    [due] = losses(state.waiting, state.noticed, from_ms=0, until_ms=NEVER_MS)
    assert due.values.mean() == pytest.approx(0.1)


def test_words_are_words_beside_a_third_class_and_ignore_case() -> None:
    rows = [
        *[("Positive", "positive")] * 3,
        *[("NEGATIVE", "negative"), ("neutral", "Negative"), ("neutral", "Neutral")],
        *[(1, "positive"), ("true", "Yes")],
    ]

    found = values(ran(pairs(rows)))

    assert found["accuracy"] == 0.5
    assert {name for name in found if name.startswith("f1:")} == {
        f"f1:{name}" for name in ("positive", "negative", "neutral", "Neutral", "1", "true", "yes")
    }
    assert found["recall:positive"] == pytest.approx(3 / 4)


@pytest.mark.parametrize(
    ("keys", "guesses"),
    [
        (("0", "1"), (0, 1)),
        (("0.0", "1.0"), (0.0, 1.0)),
        (("false", "true"), (False, True)),
        (("No", "Yes"), ("no", "yes")),
        (("Negative", "Positive"), ("0", "1")),
    ],
)
def test_scores_go_by_the_same_classes_as_predictions(keys: Any, guesses: Any) -> None:
    luck = np.random.default_rng(5)
    truth, chance = luck.integers(0, 2, 60), luck.random(60).round(3)
    events = [
        event
        for i, (true, share) in enumerate(zip(truth.tolist(), chance.tolist(), strict=True))
        for event in (
            prediction(
                f"{i}",
                prediction=guesses[share > 0.5],
                scores=dict(zip(keys, (1 - share, share), strict=True)),
            ),
            label(f"{i}", label=guesses[true]),
        )
    ]

    found = values(ran(events))

    assert found["roc_auc"] == pytest.approx(reference.roc_auc_score(truth, chance), abs=0.005)
    assert found["log_loss"] == pytest.approx(reference.log_loss(truth, chance))
    assert found["brier"] == pytest.approx(float(np.mean((chance - truth) ** 2)))


def test_scores_of_three_classes_go_by_words_that_ignore_case() -> None:
    scores = {"positive": 0.5, "Neutral": 0.25, "NEGATIVE": 0.25}
    rows = [("positive", "POSITIVE"), ("positive", "negative"), ("positive", "Neutral")]

    found = values(ran(pairs(rows, scores=scores)))

    assert found["log_loss"] == pytest.approx(-(np.log(0.5) + 2 * np.log(0.25)) / 3)


def test_a_label_with_its_own_prediction_finds_its_score_by_the_same_rule() -> None:
    own = {"label": True, "scores": {"0.0": 0.25, "1.0": 0.75}}

    found = values(ran([prediction("a", **own)]))

    assert found["log_loss"] == pytest.approx(-np.log(0.75))


@pytest.mark.parametrize(
    ("before", "again"),
    [(1, True), (True, "1.0"), ("yes", "Yes"), ("Negative", 0), (2, "2.0"), ("a", "a")],
)
def test_a_label_that_means_the_same_is_the_same_again(before: Any, again: Any) -> None:
    said = [label("a", label=before), label("a", label=again, timestamp_ms=START_MS + 2_000)]

    assert ran([prediction("a"), *said]).fates == {"joined": 2, "duplicate_label": 1}


@pytest.mark.parametrize(("before", "then"), [("US", "us"), ("1", "01"), (1, "one"), ("no", "yes")])
def test_a_label_that_means_another_class_is_a_correction(before: Any, then: Any) -> None:
    said = [label("a", label=before), label("a", label=then, timestamp_ms=START_MS + 2_000)]

    assert ran([prediction("a"), *said]).fates == {"joined": 2, "correction": 1}


@pytest.mark.parametrize(
    ("written", "positive", "other"),
    [
        ("yes", "Yes", "no"),
        ("no", "No", "yes"),
        ("on", "on", "off"),
        ("off", "off", "on"),
        ("1.0", 1, 0),
        ("true", "1", "0"),
        ("2.0", "2", 1),
        ("01", "01", "1"),
        ("fraud", "fraud", "legit"),
    ],
)
def test_the_positive_class_is_what_the_file_says_whatever_yaml_makes_of_it(
    written: str, positive: Any, other: Any, tmp_path: Path
) -> None:
    file = tmp_path / "monitors.yaml"
    file.write_text(f"models: {{m: {{task: binary, positive: {written}}}}}")
    rows = [(positive, positive)] * 3 + [(positive, other)] + [(other, other)] * 4

    driver = ran(pairs(rows), monitors=parse_monitors(read_monitors_file(file)[1]))

    assert driver.value("precision") == 0.75
    assert driver.value("accuracy") == 7 / 8


@pytest.mark.parametrize("positive", [True, 1, 1.0, "1", "yes"])
def test_a_positive_class_may_be_given_as_any_value(positive: object) -> None:
    monitors = parse_monitors({"models": {"m": {"positive": positive}}})

    driver = ran(pairs([(1, 1), ("1", 0)]), monitors=monitors)

    assert driver.value("precision") == 0.5


@pytest.mark.parametrize("written", ["2", "2.0"])
def test_a_rule_finds_a_class_however_it_is_written(written: str) -> None:
    rule = Threshold(
        name="r",
        metric=f"recall:{written}",
        kind="below",
        given=0.9,
        minimum=1,
        by="value",
        window="10m",
    )
    rows = [(2, "2.0"), (3, 2), ("cat", "cat")] * 30

    driver = ran(pairs(rows), monitors=Monitors(thresholds=(rule,)), disorder_ms=1)

    assert [alert["state"] for alert in driver.alerts] == ["firing"]


@settings(max_examples=some(25))
@given(st.integers(0, 2**32 - 1))
def test_no_result_depends_on_how_classes_are_written(seed: int) -> None:
    luck = random.Random(seed)
    kinds = luck.choice(
        [
            [ONE, ZERO],
            [(2, 2.0, "2", "2.0"), (1, 1.0, True, "1", "1.0"), (0, "0", False, "0.0")],
            [("positive", "Positive"), ("negative", "NEGATIVE"), ("neutral",)],
        ]
    )
    rows = [(luck.choice(kinds), luck.choice(kinds)) for _ in range(40)]
    written = [(luck.choice(guess), luck.choice(truth)) for guess, truth in rows]
    plain = [(guess[0], truth[0]) for guess, truth in rows]

    one, other = (ran(pairs(r), disorder_ms=MINUTE_MS).result() for r in (plain, written))

    assert one == other


def test_a_model_that_names_other_classes_each_time_fills_no_memory() -> None:
    tracemalloc.start()
    for number in range(150):
        scores_by_class({f"{number}-{name:0240d}": 0.001 for name in range(1_000)})

    kept_bytes, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept_bytes < 25_000_000
