"""The oracle is checked by hand before anything is checked by the oracle."""

from collections import Counter
from typing import Any

import pytest

from tests import builders, oracle

START_MS = builders.START_MS
WINDOW_MS = 5 * builders.MINUTE_MS


def _expect(events: list[builders.Event]) -> oracle.Expected:
    return oracle.expect(builders.as_lines(events), window_ms=WINDOW_MS)


def _values(expected: oracle.Expected, **where: Any) -> dict[str, float]:
    return {
        key.metric: want.values[0]
        for key, want in expected.metrics.items()
        if all(getattr(key, name) == value for name, value in where.items())
    }


@pytest.mark.parametrize("case", builders.JOIN_CASES.values(), ids=builders.JOIN_CASES)
def test_each_case_of_the_join_table_ends_as_written_down_by_hand(case: builders.Case) -> None:
    """Fates and accuracy are those that stand beside the case."""
    expected = _expect(case.events)

    assert {name: n for name, n in expected.fates.items() if n} == case.fates
    assert _values(expected).get("accuracy") == case.accuracy
    assert sum(case.fates.values()) == len(case.events)


def test_a_binary_window_agrees_with_a_confusion_matrix_made_by_hand() -> None:
    """Three true positives, one false positive, two false negatives, four true negatives."""
    rows = [(1, 1, 0.9)] * 3 + [(1, 0, 0.6)] + [(0, 1, 0.4)] * 2 + [(0, 0, 0.2)] * 4
    events = [
        builders.prediction(f"{i}", prediction=guess, label=truth, score=score)
        for i, (guess, truth, score) in enumerate(rows)
    ]

    values = _values(_expect(events), segment="")

    assert values["accuracy"] == pytest.approx(7 / 10)
    assert values["precision"] == pytest.approx(3 / 4)
    assert values["recall"] == pytest.approx(3 / 5)
    assert values["f1"] == pytest.approx(2 / 3)
    assert values["brier"] == pytest.approx((3 * 0.01 + 0.36 + 2 * 0.36 + 4 * 0.04) / 10)
    assert values["roc_auc"] == pytest.approx((3 * 5 + 2 * 4) / 25)
    assert values["coverage"] == 1.0


def test_a_multiclass_window_agrees_with_fractions_made_by_hand() -> None:
    """A class that is predicted and never true has no recall; the macro mean takes it as zero."""
    rows = [("a", "a"), ("a", "b"), ("b", "b"), ("c", "b")]
    events = [
        builders.prediction(f"{i}", prediction=guess, label=truth)
        for i, (guess, truth) in enumerate(rows)
    ]

    values = _values(_expect(events))

    assert values["accuracy"] == pytest.approx(1 / 2)
    assert values["precision:a"] == pytest.approx(1 / 2)
    assert values["recall:b"] == pytest.approx(1 / 3)
    assert values["precision:c"] == values["f1:c"] == 0.0
    assert "recall:c" not in values
    assert values["precision"] == pytest.approx((1 / 2 + 1 + 0) / 3)
    assert values["recall"] == pytest.approx((1 + 1 / 3 + 0) / 3)
    assert values["f1"] == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)


def test_a_regression_window_agrees_with_sums_made_by_hand() -> None:
    """The bias is prediction minus label."""
    rows = [(1.5, 1.0), (2.0, 4.0), (3.0, 3.0), (0.0, 0.5)]
    events = [
        builders.prediction(f"{i}", prediction=guess, label=truth)
        for i, (guess, truth) in enumerate(rows)
    ]

    values = _values(_expect(events))

    assert values["mae"] == pytest.approx((0.5 + 2 + 0 + 0.5) / 4)
    assert values["rmse"] == pytest.approx(((0.25 + 4 + 0 + 0.25) / 4) ** 0.5)
    assert values["bias"] == pytest.approx((0.5 - 2 + 0 - 0.5) / 4)
    assert "accuracy" not in values


def test_inputs_count_null_and_absent_as_missing_and_bools_as_numbers() -> None:
    """A text feature has a missing rate and no mean."""
    rows = [{"x": 1, "on": True, "town": "Ulm"}, {"x": None, "on": False}, {"x": 4.0}]
    events = [builders.prediction(f"{i}", features=row) for i, row in enumerate(rows)]

    values = _values(_expect(events))

    assert values["mean:x"] == 2.5
    assert values["mean:on"] == 0.5
    assert values["missing_rate:x"] == pytest.approx(1 / 3)
    assert values["missing_rate:town"] == pytest.approx(2 / 3)
    assert "mean:town" not in values


def test_windows_are_closed_at_the_start_and_open_at_the_end() -> None:
    """A prediction at the end of a window belongs to the next one."""
    moments = [0, WINDOW_MS - 1, WINDOW_MS]
    events = [
        builders.prediction(f"{i}", timestamp_ms=START_MS + moment)
        for i, moment in enumerate(moments)
    ]

    expected = _expect(events)

    assert _values(expected, window_start_ms=START_MS)["predictions"] == 2
    assert _values(expected, window_start_ms=START_MS + WINDOW_MS)["predictions"] == 1


def test_a_segment_has_its_own_numbers_beside_those_of_all() -> None:
    """Predictions without the segment count only in the whole."""
    events = [
        builders.prediction("a", segments={"region": "eu"}, label=1),
        builders.prediction("b", segments={"region": "us"}, label=0),
        builders.prediction("c", label=1),
    ]

    expected = _expect(events)

    assert _values(expected, segment="")["accuracy"] == pytest.approx(2 / 3)
    assert _values(expected, segment="region=eu")["accuracy"] == 1.0
    assert _values(expected, segment="region=us")["accuracy"] == 0.0


def test_detectors_see_first_labels_in_the_order_of_their_times() -> None:
    """A correction does not change what the detectors saw."""
    events = [
        *(builders.prediction(name) for name in "abc"),
        builders.label("a", timestamp_ms=START_MS + 3, label=0),
        builders.label("b", timestamp_ms=START_MS + 1, label=1),
        builders.label("c", timestamp_ms=START_MS + 2, label=0),
        builders.label("c", timestamp_ms=START_MS + 4, label=1),
    ]

    expected = _expect(events)

    assert expected.losses == {("m", ""): [0, 1, 1]}


def test_detectors_see_labels_of_one_moment_in_the_order_of_their_predictions() -> None:
    """As a nightly job stamps them."""
    events = [
        *(builders.prediction(name, timestamp_ms=START_MS + i) for i, name in enumerate("cab")),
        *(builders.label(name, label=int(name == "a")) for name in "abc"),
    ]

    assert _expect(events).losses == {("m", ""): [1, 0, 1]}


@pytest.mark.parametrize("line", builders.POISON.values(), ids=builders.POISON)
def test_poison_is_recognised_and_fits_on_one_line(line: bytes) -> None:
    """Each poisonous line is one record, and a dead letter."""
    event = oracle.decode(line)

    assert event is None
    assert b"\n" not in line


def test_a_history_has_every_mishap_and_its_counts_agree_with_a_second_reckoning() -> None:
    """Counting per window with plain loops over an arrival in order gives the same numbers."""
    events = builders.in_order(builders.history(3, count=3_000))

    expected = _expect(events)

    made: dict[str, builders.Event] = {}
    right: dict[str, bool] = {}
    for event in sorted(events, key=lambda e: "prediction" not in e):
        name = event["prediction_id"]
        if "prediction" in event:
            made.setdefault(name, event)
        elif name in made and event["timestamp_ms"] - made[name]["timestamp_ms"] <= 3_600_000:
            if "retract" in event:
                del right[name]
            else:
                right[name] = float(event["label"]) == float(made[name]["prediction"])
    predictions: Counter[tuple[str, str, int]] = Counter()
    labels, hits = Counter(predictions), Counter(predictions)
    for name, event in made.items():
        window = (event["model"], event["version"], event["timestamp_ms"] // WINDOW_MS * WINDOW_MS)
        predictions[window] += 1
        labels[window] += name in right
        hits[window] += right.get(name, False)
    whole = {k: w.values[0] for k, w in expected.metrics.items() if k.segment == ""}
    for window, count in predictions.items():
        key = oracle.Key(window[0], window[1], "", window[2], window[2] + WINDOW_MS, "predictions")
        assert whole[key] == count
        assert whole[key._replace(metric="labels")] == labels[window]
        accuracy = whole[key._replace(metric="accuracy")]
        assert accuracy == pytest.approx(hits[window] / labels[window])
    assert sum(expected.fates.values()) == len(events)
    happened = {name for name, n in expected.fates.items() if n}
    assert happened == set(oracle.FATES) - {"pending", "dead_letter"}
