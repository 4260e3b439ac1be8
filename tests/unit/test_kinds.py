"""What kind of model it is: judged by all that it has shown, and the same however it is read."""

import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from streams.monitors import DEFAULT_DRIFTS, Monitors, Threshold
from streams.monitors_file import parse_monitors
from streams.task import Task
from tests.builders import HOUR_MS, MINUTE_MS, START_MS, Arrival, Event, delayed, label, prediction
from tests.driver import Driver, as_inputs, cut, disorder_of
from tests.examples import some
from tests.golden import watching

Row = tuple[Any, Any] | tuple[Any, Any, float | None]


def pairs(rows: list[Row], *, step_ms: int = 1_000, start_ms: int = START_MS) -> list[Event]:
    """Make a prediction and its label of every row (prediction, label, score)."""
    events = []
    for i, (guess, truth, *score) in enumerate(rows):
        at_ms, name = start_ms + i * step_ms, f"{start_ms}-{i}"
        scored = {"score": score[0]} if score and score[0] is not None else {}
        events.append(prediction(name, prediction=guess, timestamp_ms=at_ms, **scored))
        events.append(label(name, label=truth, timestamp_ms=at_ms))
    return events


def ran(events: list[Event], **options: Any) -> Driver:
    driver = Driver(**{"disorder_ms": MINUTE_MS, **options})
    driver.feed(as_inputs(events))
    driver.finish()
    return driver


def kind(driver: Driver) -> str:
    [one] = driver.monitor.kinds(driver.monitors[0])
    return one.kind


def values(driver: Driver, **where: Any) -> dict[str, float]:
    return {
        record["metric"]: record["value"]
        for record in driver.metrics.values()
        if all(record[name] == value for name, value in where.items())
    }


NUMBERS = [(n, n + 1) for n in range(20)]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([(1, 0), (0, 0)], "binary, positive class '1'"),
        ([(0, 0)], "binary, positive class '1'"),
        ([(-1, 1)], "binary, positive class '1'"),
        ([("yes", 1), (True, "No")], "binary, positive class '1'"),
        ([("fraud", "legit"), ("legit", "legit")], "binary, positive class 'fraud'"),
        ([("Spam", "ham")], "binary, positive class 'Spam'"),
        ([("churn", "stays")], "binary, positive class 'churn'"),
        ([("default", "paid")], "binary, positive class 'default'"),
        ([("positive", "neutral")], "binary, positive class '1'"),
        ([("fraud", "spam")], "multiclass"),
        ([("a", "b")], "multiclass"),
        ([("legit", "legit")], "multiclass"),
        ([("positive", "negative"), ("neutral", "neutral")], "multiclass"),
        ([(0, 1), (2, 2)], "multiclass"),
        ([(-1, 0), (1, 1)], "multiclass"),
        ([*NUMBERS, (5, 5)], "multiclass"),
        ([*NUMBERS, (20, 0)], "regression"),
        ([*NUMBERS, (20, 1)], "multiclass"),
        ([(str(n), str(n)) for n in range(40)], "multiclass"),
        ([(n, n, 0.5) for n in range(40)], "multiclass"),
        ([(1.5, 1)], "regression"),
        ([(1, 0.5)], "regression"),
        ([(0.7, 3)], "regression"),
        ([(0.7, 1), (0.7, 0.5)], "regression"),
        ([(0.7, 1), (1.5, 1)], "regression"),
        ([(0.7, 1)], "binary, predicted as a probability, positive class '1'"),
        ([(0.7, 1, 0.7)], "binary, predicted as a probability, positive class '1'"),
        ([(0.7, "Yes"), (1, "no")], "binary, predicted as a probability, positive class '1'"),
        ([(0.7, "legit"), (0.7, "fraud")], "binary, predicted as a probability, positive class"),
        ([(0.5, 1.5, 0.9), (1.5, 1, 0.9), (1, 1, 0.9)], "multiclass"),
        ([(1.5, "A"), ("A", "B")], "multiclass"),
    ],
)
def test_what_a_model_has_shown_says_of_what_kind_it_is(rows: list[Row], said: str) -> None:
    for order in (rows, rows[::-1]):
        assert kind(ran(pairs(order))).startswith(said)


ANYTHING = st.sampled_from([0, 1, 2, -1, 0.5, 1.5, "1", "no", "fraud", "legit", *range(3, 40)])


@settings(max_examples=some(40))
@given(st.lists(st.tuples(ANYTHING, ANYTHING, st.sampled_from([None, 0.5])), max_size=60))
def test_more_evidence_only_ever_raises_a_judgement(rows: list[Row]) -> None:
    driver = ran(pairs(rows, step_ms=20_000))
    shown = [one for state in driver.monitors for one in state.noticed.shown]

    rank = ["binary", "probability", "multiclass", "regression"].index
    for one in shown:
        judged = [one.at(START_MS + i * 20_000) for i in range(len(rows))]
        single = [found.kind == "multiclass" and "'" in found.reason for found in judged]
        undecided = [a and " and " not in b.reason for a, b in zip(single, judged, strict=True)]
        decided = [rank(b.kind) for a, b in zip(undecided, judged, strict=True) if not a]
        assert decided == sorted(decided)


def test_a_window_with_few_classes_is_judged_like_the_others() -> None:
    """By its own content, the second window would be binary, and its classes 1 and 0."""
    rows: list[Row] = [("positive", "positive"), ("negative", "neutral")]
    later = START_MS + 30 * MINUTE_MS
    quiet = pairs([("Positive", "Negative")], start_ms=later)

    driver = ran([*pairs(rows), *quiet])

    assert values(driver, window_start_ms=later)["recall:negative"] == 0.0
    assert "recall:1" not in values(driver)


def test_windows_that_are_open_are_revised_and_final_ones_stay() -> None:
    rows: list[Row] = [("yes", "yes"), ("no", "yes")] * 300
    driver = Driver(window_ms=10 * MINUTE_MS)
    driver.feed(as_inputs(pairs(rows, step_ms=10_000)))
    assert "recall:yes" not in values(driver)

    driver.feed(as_inputs(pairs([("maybe", "maybe")], start_ms=START_MS + 100 * MINUTE_MS)))

    windows = {r["window_start_ms"]: r["final"] for r in driver.metrics.values()}
    assert set(windows.values()) == {True, False}
    for start_ms, final in windows.items():
        found = values(driver, window_start_ms=start_ms)
        assert ("precision:yes" in found or "precision:maybe" in found) == (not final)
        assert ("precision:1" in found, "precision:0" in found) == (False, False)


@pytest.mark.parametrize("told", ["auto", "binary"])
@pytest.mark.parametrize("scored", [True, False], ids=["score", "no score"])
@pytest.mark.parametrize("classes", [(0, 1), (False, True), ("legit", "fraud"), ("No", "yes")])
def test_a_probability_as_prediction_is_a_score_and_no_class(
    told: str, scored: bool, classes: tuple[Any, Any]
) -> None:
    luck = np.random.default_rng(3)
    truth = luck.integers(0, 2, 150)
    chance = np.clip(np.round(luck.normal(0.35 + 0.3 * truth, 0.3), 2), 0.0, 1.0)
    assert {0.0, 1.0} <= set(chance.tolist())
    rows: list[Row] = [
        (share, classes[true], share if scored else None)
        for share, true in zip(chance.tolist(), truth.tolist(), strict=True)
    ]

    found = values(ran(pairs(rows), monitors=Monitors(models={"m": Task(told)})))

    assert found["roc_auc"] == pytest.approx(reference.roc_auc_score(truth, chance), abs=0.005)
    assert found["brier"] == pytest.approx(float(np.mean((chance - truth) ** 2)))
    likely = np.clip(np.where(truth == 1, chance, 1 - chance), 1e-15, 1)
    assert found["log_loss"] == pytest.approx(float(-np.log(likely).mean()))
    assert not {"accuracy", "precision", "recall", "f1", "mae"} & set(found)


def test_a_regression_with_whole_numbers_has_the_errors_of_all_its_rows() -> None:
    luck = np.random.default_rng(4)
    truth = luck.integers(0, 1_000, 200)
    guess = truth + luck.integers(-5, 6, 200)
    rows: list[Row] = list(zip(guess.tolist(), truth.tolist(), strict=True))

    found = values(ran(pairs(rows)))

    assert found["mae"] == pytest.approx(reference.mean_absolute_error(truth, guess))
    assert "accuracy" not in found


def test_the_loss_of_detectors_begins_anew_where_it_becomes_a_distance() -> None:
    """Losses of 0 and 1, and then errors of thousands, would be a drift that there is not."""
    luck = np.random.default_rng(5)
    truth = luck.integers(0, 100_000, 600)
    rows: list[Row] = [(int(true + luck.integers(-9_000, 9_001)), int(true)) for true in truth]
    rows = [(0, 1)] * 100 + rows

    driver = ran(pairs(rows))

    assert kind(driver).startswith("regression")
    assert [a for a in driver.alerts if a["evidence"].get("input") == "loss"] == []


def test_detectors_of_a_probability_see_how_far_it_is_from_the_truth() -> None:
    rows: list[Row] = [(0.25, 0)] * 300 + [(0.25, 1)] * 300

    driver = ran(pairs(rows), monitors=parse_monitors(watching.USUAL))

    worse = [a for a in driver.alerts if a["monitor"] == "loss-drift" and a["state"] == "firing"]
    assert [alert["direction"] for alert in worse] == ["worse"]
    assert worse[0]["threshold"] == pytest.approx(0.25, abs=0.1)


def test_a_rule_goes_by_what_was_known_at_its_boundary() -> None:
    rule = Threshold(
        name="r", metric="accuracy", kind="below", given=0.9, minimum=5, window="1m", by="value"
    )
    rows: list[Row] = [("yes", "yes"), ("no", "no")] * 30 + [("yes", 1)] * 60
    rows += [("maybe", "maybe")] * 60
    rows += [("yes", 1)] * 61

    driver = ran(pairs(rows), monitors=Monitors(thresholds=(rule,)))

    times = [(a["state"], (a["at_ms"] - START_MS) // MINUTE_MS) for a in driver.alerts]
    assert times == [("firing", 4)]


def test_a_kind_is_said_once_and_not_again_after_a_restart() -> None:
    driver = Driver()
    for minute in range(9):
        rows: list[Row] = [("a" if minute < 5 else "b", "legit"), ("legit", "legit")] * 10
        events = pairs(rows, start_ms=START_MS + minute * MINUTE_MS, step_ms=3_000)
        driver.feed(as_inputs(events))
        driver.restart(random.Random(minute))
        said = ["model 'm' is multiclass: its classes are 'a' and 'legit'"] if minute else []
        more = ["model 'm' is multiclass: its classes are three or more"] if minute > 5 else []
        assert driver.kinds == [*said, *more]


def test_what_is_told_wins() -> None:
    rows: list[Row] = [(n, n + 1) for n in range(30)]
    told = {name: Monitors(models={"m": Task(name)}) for name in ("multiclass", "regression")}

    assert values(ran(pairs(rows), monitors=told["multiclass"]))["accuracy"] == 0.0
    assert values(ran(pairs(rows[:5]), monitors=told["regression"]))["mae"] == 1.0


# --- in any order, batches and partitions

GROUPS: list[list[Any]] = [
    [0, 1, True, "1.0", "No"],
    ["positive", "Negative", "neutral", 1],
    ["fraud", "legit", 1],
    [0.25, 0.5, 0, 1, 1.0],
    [0.25, 1, 0, 2.5],
    list(range(30)),
]
WATCHED = Monitors(
    reference=20,
    thresholds=(
        Threshold(
            name="floor",
            metric="accuracy",
            kind="below",
            given=0.7,
            minimum=3,
            window="3m",
            by="value",
        ),
        Threshold(
            name="drop",
            metric="recall",
            kind="falls_by",
            given=0.1,
            minimum=2,
            by="value",
            window="10m",
        ),
        Threshold(
            name="mae", metric="mae", kind="above", given=0.3, minimum=2, by="value", window="10m"
        ),
        Threshold(
            name="area",
            metric="brier",
            kind="above",
            given=0.2,
            minimum=2,
            by="value",
            window="10m",
        ),
    ),
    drifts=(*parse_monitors(watching.USUAL).drifts, *DEFAULT_DRIFTS),
)


@st.composite
def histories(draw: st.DrawFn) -> list[Event]:
    """Draw models that show ever more of themselves, and labels that are corrected or go."""
    seed = draw(st.integers(0, 2**32 - 1))
    luck = random.Random(seed)
    arrivals = []
    for model in ("m", "n"):
        phases = [luck.choice(GROUPS) for _ in range(luck.randint(1, 3))]
        for i in range(60):
            values = phases[i * len(phases) // 60]
            at_ms = START_MS + i * 150_000 + luck.randint(0, 30_000)
            event = prediction(
                f"{model}{i}", model=model, timestamp_ms=at_ms, prediction=luck.choice(values)
            )
            if luck.random() < 0.3:
                event["score"] = luck.random()
            arrivals.append(Arrival(at_ms, event))
            for _ in range(luck.choice([0, 1, 1, 1, 2])):
                said_ms = at_ms + luck.randint(0, HOUR_MS // 2)
                said = label(f"{model}{i}", timestamp_ms=said_ms, label=luck.choice(values))
                arrivals.append(Arrival(said_ms, said))
    bound_ms = draw(st.sampled_from([1, MINUTE_MS, HOUR_MS]))
    return delayed(arrivals, seed=seed, bound_ms=bound_ms)


@settings(max_examples=some(20))
@given(histories(), st.lists(st.integers(1, 40), min_size=1, max_size=4), st.integers(1, 4))
def test_judgements_do_not_depend_on_batches_partitions_or_restarts(
    events: list[Event], sizes: list[int], partitions: int
) -> None:
    def run(sizes: list[int], partitions: int, *, restarts: bool) -> Any:
        driver = Driver(partitions=partitions, disorder_ms=disorder_of(events), monitors=WATCHED)
        luck = random.Random(len(events))
        for batch in cut(as_inputs(events), sizes):
            driver.feed(batch)
            if restarts and luck.random() < 0.3:
                driver.restart(luck)
        driver.finish()
        kinds = [one for state in driver.monitors for one in driver.monitor.kinds(state)]
        return driver.result(), sorted(map(str, kinds)), sorted(driver.kinds[-1:])

    whole = run([len(events)], 1, restarts=False)
    other = run(sizes, partitions, restarts=True)

    assert other[:2] == whole[:2]
