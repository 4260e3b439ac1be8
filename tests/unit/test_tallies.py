"""Tallies and metrics, against scikit-learn, fractions and numpy."""

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from streams import exact_sum
from streams.categories import category
from streams.families import histograms
from tests import plain_bins as bins
from tests.builders import Event, label, prediction
from tests.driver import Driver, as_inputs
from tests.examples import some
from tests.plain_tallies import Mean, _add_bins, add_mean

floats = st.floats(-1e300, 1e300)


def published(events: list[Event]) -> Driver:
    driver = Driver()
    driver.feed(as_inputs(events))
    driver.finish()
    return driver


def take(mean: Mean, values: np.ndarray, weight: np.ndarray | None = None) -> None:
    add_mean([mean], values, np.zeros(len(values), np.int64), weight)


@given(st.lists(floats | st.sampled_from([5e-324, 2.0**996, -0.0]), max_size=80))
def test_an_exact_sum_is_the_sum_of_fractions(values: list[float]) -> None:
    total = exact_sum.exact_sum(np.array(values, float))

    assert Fraction(total, 2**1074) == sum(map(Fraction, values))
    assert exact_sum.unpack(exact_sum.pack(total)) == total


@pytest.mark.parametrize(
    ("value", "packed"),
    [
        (0.0, b""),
        (1.0, b"\x86\x04"),
        (-1.0, b"\x86\xfc"),
        (2.0**1000, b"\xff\0\0\0\0\x04"),
    ],
)
def test_exact_sums_are_written_as_they_are_in_state_logs(value: float, packed: bytes) -> None:
    assert exact_sum.pack(exact_sum.exact(value)) == packed


@pytest.mark.parametrize("exponent", [486, 487, 498])
def test_the_sum_of_squares_of_a_huge_power_of_two_can_be_written(exponent: int) -> None:
    mean = Mean()
    take(mean, np.array([2.0**exponent]))

    assert Mean.unpack(mean.pack()).mean_of_squares() == 2.0 ** (2 * exponent)


@settings(max_examples=some(50))
@given(st.lists(st.tuples(floats, st.booleans()), min_size=1, max_size=60), st.randoms())
def test_a_mean_forgets_what_is_taken_back(rows: list[tuple[float, bool]], luck: object) -> None:
    values = np.clip(np.array([value for value, _ in rows]), -1e150, 1e150)
    gone = np.array([back for _, back in rows])
    mean, kept = Mean(), Mean()

    take(mean, values)
    take(mean, values[gone], np.full(gone.sum(), -1, np.int8))
    take(kept, values[~gone][::-1])

    assert mean.pack() == kept.pack()


@given(
    st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=2, max_size=200).filter(
        lambda rows: len({truth for _, truth in rows}) == 2
    )
)
def test_the_area_under_the_roc_curve_is_that_of_scikit_learn(
    rows: list[tuple[float, bool]],
) -> None:
    scores = np.array([score for score, _ in rows])
    truths = np.array([truth for _, truth in rows])
    numbers = bins.score_bins(scores)
    sides = [Counter(numbers[truths == side].tolist()) for side in (False, True)]

    area = bins.roc_auc(sides[1], sides[0])

    assert area == pytest.approx(reference.roc_auc_score(truths, numbers), abs=1e-12)


@pytest.mark.parametrize("bins_each", [3, 400])
def test_the_area_is_the_same_however_many_bins_there_are(
    bins_each: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(2)
    one, zero = (
        dict(zip(random.permutation(2 * bins_each)[:bins_each].tolist(), counts, strict=True))
        for counts in random.integers(-1, 9, (2, bins_each)).tolist()
    )

    few = bins.roc_auc(one, zero)
    monkeypatch.setattr("streams.bins._FEW_BINS", -1 if bins_each == 3 else 10_000)

    assert few == bins.roc_auc(one, zero)


@pytest.mark.parametrize(("scale", "factor"), [(1, 1), (1_000_003, 1), (1, 10**12)])
def test_the_area_is_exact_for_scores_far_apart_and_for_more_pairs_than_fit_64_bits(
    scale: int, factor: int
) -> None:
    random = np.random.default_rng(4)
    one, zero = (
        {place * scale: count * factor for place, count in zip(places, counts, strict=True)}
        for places, counts in zip(
            (random.permutation(900)[:400].tolist() for _ in range(2)),
            random.integers(1, 9, (2, 400)).tolist(),
            strict=True,
        )
    )
    won = sum(up * down * ((a > b) + (a >= b)) for a, up in one.items() for b, down in zero.items())

    area = bins.roc_auc(one, zero)

    assert area == won / (2 * sum(one.values()) * sum(zero.values()))


@pytest.mark.parametrize("alike", [1, 50, 100_000])
@pytest.mark.parametrize("weighted", [False, True])
def test_bins_are_counted_whether_rows_are_alike_or_not(alike: int, weighted: bool) -> None:
    """Rows with much the same value are counted another way."""
    random = np.random.default_rng(3)
    group, delay = random.integers(0, 3, 2_000), random.integers(0, alike, 2_000)
    weight = random.choice(np.array([1, -1], np.int8), 2_000) if weighted else None
    tallies: list[bins.Histogram] = [{}, {5: 1}, {}]

    _add_bins(tallies, group, delay, weight)

    right = [Counter[int](), Counter({5: 1}), Counter[int]()]
    for row, (number, value) in enumerate(zip(group.tolist(), delay.tolist(), strict=True)):
        right[number][value] += 1 if weight is None else int(weight[row])
    assert tallies == [{value: n for value, n in counts.items() if n} for counts in right]


@given(st.lists(st.floats(-1e150, 1e150), min_size=1, max_size=100), st.floats(0, 1))
def test_a_quantile_is_within_half_a_percent(values: list[float], q: float) -> None:
    histogram = Counter(bins.value_bins(np.array(values)).tolist())
    rank = max(1, int(np.ceil(q * len(values) - 1e-9)))

    [found] = bins.quantiles(histogram, [q])
    assert found == pytest.approx(sorted(values)[rank - 1], rel=0.005, abs=1e-300)


def test_the_error_of_huge_numbers_is_a_metric_like_any_other() -> None:
    driver = published(
        [
            prediction("a", prediction=1e150),
            label("a", label=-1e150),
            prediction("b", prediction=0.5),
            label("b", label=0.25),
        ]
    )

    assert driver.value("mae") == 1e150
    assert driver.value("rmse") == pytest.approx(2e150 / 2**0.5)


def test_a_regression_has_no_confusion_to_grow_with_its_traffic() -> None:
    driver = published(
        [
            event
            for i in range(500)
            for event in (prediction(f"{i}", prediction=i + 0.5), label(f"{i}", label=i + 0.25))
        ]
    )

    cells = driver.monitors[0].windows.grid.outcomes
    every = np.arange(len(cells.table.key), dtype=np.int32)
    confusion = cells.table.columns["classification", "confusion"]
    assert len(confusion.merged(every, every.astype(np.int64), len(every))[0]) == 0
    assert driver.value("mae") == 0.25


@pytest.mark.parametrize("together", [True, False])
def test_a_feature_is_missing_where_it_is_null_and_unknown_where_nobody_names_it(
    together: bool,
) -> None:
    """Whether other records of the batch name it must not matter."""
    driver = Driver()
    later = prediction("b", timestamp_ms=prediction("b")["timestamp_ms"] + 3_600_000)
    events = [
        prediction("a", features={"x": None, "y": 1.0}),
        later | {"features": {"x": 1.0, "z": "text"}},
        later | {"prediction_id": "c"},
    ]

    for batch in [as_inputs(events)] if together else [[record] for record in as_inputs(events)]:
        driver.feed(batch)
    driver.finish()

    first, second = sorted({key[3] for key in driver.metrics})
    assert driver.value("missing_rate:x", window_start_ms=first) == 1.0
    assert driver.value("missing_rate:x", window_start_ms=second) == 0.5
    assert driver.value("missing_rate:z", window_start_ms=second) == 0.5
    names = {(record["window_start_ms"], record["metric"]) for record in driver.metrics.values()}
    assert (first, "missing_rate:z") not in names
    assert (second, "missing_rate:y") not in names
    assert (second, "mean:z") not in names


@settings(max_examples=some(30))
@given(
    st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("abcd")), min_size=1, max_size=60)
)
def test_multiclass_metrics_are_those_of_scikit_learn(pairs: list[tuple[str, str]]) -> None:
    guesses, truths = zip(*pairs, strict=True)

    driver = published(
        [
            event
            for i, (guess, truth) in enumerate(pairs)
            for event in (prediction(f"{i}", prediction=guess), label(f"{i}", label=truth))
        ]
    )

    precision, recall, f1, _ = reference.precision_recall_fscore_support(
        truths, guesses, average="macro", zero_division=0
    )
    assert driver.value("accuracy") == reference.accuracy_score(truths, guesses)
    assert driver.value("precision") == pytest.approx(precision)
    assert driver.value("recall") == pytest.approx(recall)
    assert driver.value("f1") == pytest.approx(f1)


@settings(max_examples=some(30))
@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 1)), min_size=1, max_size=60))
def test_binary_scores_are_judged_as_by_scikit_learn(rows: list[tuple[float, int]]) -> None:
    driver = published(
        [
            event
            for i, (score, truth) in enumerate(rows)
            for event in (
                prediction(f"{i}", prediction=int(score > 0.5), score=score),
                label(f"{i}", label=truth),
            )
        ]
    )

    scores = np.array([score for score, _ in rows])
    truths = np.array([truth for _, truth in rows])
    clipped = np.clip(np.where(truths == 1, scores, 1 - scores), 1e-15, 1)
    assert driver.value("brier") == pytest.approx(np.mean((scores - truths) ** 2), abs=1e-12)
    assert driver.value("log_loss") == pytest.approx(-np.log(clipped).mean(), abs=1e-12)
    guesses = scores > 0.5
    if guesses.any() or truths.any():
        assert driver.value("f1") == pytest.approx(reference.f1_score(truths, guesses))


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ([(1, 1)] * 3 + [(1, 0)] + [(0, 1)] * 2, {"precision": 4, "recall": 5, "f1": 6}),
        ([(0, 1)] * 2 + [(0, 0)] * 7, {"recall": 2, "f1": 2}),
        ([(1, 0)] * 3 + [(0, 0)], {"precision": 3, "f1": 3}),
        ([(0, 0)] * 5, {}),
    ],
    ids=["all defined", "never said", "never true", "neither"],
)
def test_a_ratio_of_nothing_is_absent_and_others_count_what_they_rest_on(
    pairs: list[tuple[int, int]], expected: dict[str, int]
) -> None:
    driver = published(judged(pairs))

    counts = {record["metric"]: record["count"] for record in driver.metrics.values()}
    assert {name: counts[name] for name in ("precision", "recall", "f1") if name in counts} == (
        expected
    )
    assert counts["accuracy"] == len(pairs)
    truths, guesses = [t for _, t in pairs], [g for g, _ in pairs]
    for name in expected:
        right = getattr(reference, f"{name}_score")(truths, guesses, zero_division=0)
        assert driver.value(name) == pytest.approx(right, abs=1e-12)


def test_a_class_without_a_ratio_counts_as_zero_in_the_mean_over_classes() -> None:
    """As scikit-learn has it with `zero_division=0`."""
    pairs = [("a", "a")] * 6 + [("b", "a")] * 2 + [("b", "b")] * 3 + [("b", "c")]

    driver = published(judged(pairs))

    found = {record["metric"]: record["count"] for record in driver.metrics.values()}
    assert "precision:c" not in found
    assert [found[name] for name in ("recall:c", "f1:c", "precision:b", "recall:b")] == [1, 1, 6, 3]
    assert found["precision"] == found["recall"] == found["f1"] == len(pairs)
    assert driver.value("precision") == pytest.approx((6 / 6 + 3 / 6 + 0) / 3)
    assert driver.value("f1:c") == 0.0


def test_log_loss_rests_on_the_outcomes_that_have_a_score() -> None:
    scored = [prediction(f"s{i}", prediction=1, score=0.75) for i in range(3)]
    events = [*scored, *(prediction(f"p{i}", prediction=1) for i in range(5))]

    driver = published(events + [label(event["prediction_id"]) for event in events])

    counts = {record["metric"]: record["count"] for record in driver.metrics.values()}
    assert [counts[n] for n in ("log_loss", "brier", "accuracy", "recall")] == [3, 3, 8, 8]


def judged(pairs: Sequence[tuple[int | str, int | str]]) -> list[Event]:
    """Make a prediction and its label of each pair."""
    return [
        event
        for i, (guess, truth) in enumerate(pairs)
        for event in (prediction(f"{i}", prediction=guess), label(f"{i}", label=truth))
    ]


def test_bins_of_many_values_are_those_of_each() -> None:
    random = np.random.default_rng(5)
    values = random.normal(size=2_000) * 10.0 ** random.integers(-300, 300, 2_000)
    odd = [0.0, -0.0, np.nan, category("Rome"), np.inf, -np.inf, 5e-324, -5e-324, 1e308]
    every = np.concatenate([values, odd])
    known = np.isfinite(every)

    found = histograms.value_bins(every.reshape(-1, 7))

    expected = bins.value_bins(np.where(known, every, 0.0)) + histograms.VALUE_ZERO
    assert found.ravel().tolist() == np.where(known, expected, -1).tolist()
