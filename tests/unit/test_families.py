"""What families compute of thousands of windows at once, against one window after the other."""

import math
from typing import Any

import numpy as np
import pytest
from sklearn import metrics as sklearn

from streams import families
from streams.families import histograms, intervals
from streams.families.family import ON_FATES, Part
from streams.task import Judged
from tests import plain_bins as bins
from tests import plain_intervals as scalar
from tests import plain_quality as quality
from tests.plain_cells import PlainCells, PlainGrid, count_answers
from tests.plain_tallies import Inputs, Outcomes, add_outcomes, add_predictions
from tests.row_batches import TASKS, Batch, judgement, random_readings

FAMILIES = families.CATALOGUE.families
SEEDS = 80


class Case:
    """The same rows as tallies and as cells."""

    def __init__(self, seed: int, *, windows: int = 6, most: int = 400) -> None:
        random = np.random.default_rng(seed)
        models = random.integers(0, 3, windows).tolist()
        self.inputs = [Inputs() for _ in models]
        self.outcomes = [Outcomes() for _ in models]
        self.grid = PlainGrid(FAMILIES, models)
        told = [TASKS[random.integers(len(TASKS))] for _ in range(3)]
        for _ in range(3):
            batch = Batch(random, models, int(random.integers(1, most)))
            if random.random() < 0.7:  # labels may bring their predictions, which count nowhere
                rows, blocks = batch.predictions()
                every = np.arange(batch.size)
                add_predictions(self.inputs, rows, blocks, chosen=every, group=batch.windows)
                own = batch.windows.tolist()
                self.grid.count_predictions(rows, own, blocks, strings=batch.strings)
            readings, within = random_readings(random, models, count=20)
            self.grid.count_readings(readings, within)
            columns, where = batch.outcomes(told)
            every = np.arange(len(where))
            add_outcomes(self.outcomes, columns, chosen=every, group=where)
            self.grid.count_outcomes(columns, where.tolist())
        self.judged = [judgement(random, classes=bool(tally.confusion)) for tally in self.outcomes]

    def values(self) -> list[dict[str, quality.Value]]:
        """Return what families compute, of metrics that `expected` has."""
        return [
            {
                name: value
                for name, value in one.items()
                if name.partition(":")[0] in quality.METRICS
            }
            for one in self.grid.values(self.judged)
        ]

    def expected(self) -> list[dict[str, quality.Value]]:
        parts = zip(self.inputs, self.outcomes, self.judged, strict=True)
        return [{value.metric: value for value in quality.compute(*part)} for part in parts]


@pytest.mark.parametrize("seed", range(SEEDS))
def test_families_compute_what_was_computed_of_each_window_to_the_bit(seed: int) -> None:
    case = Case(seed)

    found = case.values()

    for window, expected in enumerate(case.expected()):
        assert found[window] == expected  # floats that are equal, and None where there is none
        assert repr(sorted(found[window].items())) == repr(sorted(expected.items()))


def test_all_metrics_and_all_kinds_of_models_occur_in_these_windows() -> None:
    found: set[tuple[str, str]] = set()
    expected: set[str] = set()
    for seed in range(SEEDS):
        case = Case(seed)
        for judged, values in zip(case.judged, case.grid.values(case.judged), strict=True):
            found |= {(judged.kind, name.partition(":")[0]) for name in values}
        expected |= {name.partition(":")[0] for values in case.expected() for name in values}

    assert expected == quality.METRICS
    every = families.CATALOGUE.metrics.values()
    alone = [one for one in every if not one.compares and one.part is not Part.KEY]
    for metric in alone:
        for kind in metric.tasks - {"binary"}:
            assert (kind, metric.name) in found
        assert "binary" not in metric.tasks or ("binary", metric.name) in found
    assert ("probability", "roc_auc") in found
    assert ("probability", "accuracy") not in found


@pytest.mark.parametrize("seed", range(40))
def test_what_is_said_about_scores_that_are_no_probabilities_is_the_same(seed: int) -> None:
    case = Case(seed)
    [chances] = [one for one in FAMILIES if one.name == "chances"]

    outside, inside = chances.improper(PlainCells(case.grid, chances, case.judged))  # type: ignore[attr-defined]

    pairs = zip(outside.tolist(), inside.tolist(), strict=True)
    found = [pair if pair[0] else None for pair in pairs]
    tallies = zip(case.outcomes, case.judged, strict=True)
    assert found == [quality.improper_scores(*tally) for tally in tallies]


@pytest.mark.parametrize("seed", range(10))
def test_no_metric_rests_on_more_than_it_says(seed: int) -> None:
    case = Case(seed)
    catalogue = families.CATALOGUE
    most = {
        metric: catalogue.most_observations(metric, PlainCells(case.grid, family, case.judged))
        for family in FAMILIES
        for metric in (one.name for one in family.metrics if one.at_most)
    }

    for window, values in enumerate(case.grid.values(case.judged)):
        for value in values.values():
            base = value.metric.partition(":")[0]
            metric = catalogue.metrics[base]
            if metric.part != Part.FEATURE and metric.rests_on != ON_FATES:
                assert value.count <= most[base][window]
    assert most["mae"].tolist() == [o.absolute.count for o in case.outcomes]


def test_windows_without_any_rows_have_counts_of_zero_and_nothing_else() -> None:
    grid = PlainGrid(FAMILIES, [0, 0, 0])
    judged = [Judged(kind, "") for kind in ("binary", "probability", "regression")]

    found = grid.values(judged)

    assert [sorted(values) for values in found] == [["labels", "predictions"]] * 3


@pytest.mark.parametrize("seed", range(10))
def test_windows_whose_labels_are_all_taken_back_have_no_quality(seed: int) -> None:
    case = Case(seed)
    for window in (0, 3):
        case.grid.labels[window] = case.outcomes[window].count = 0

    found = case.values()

    assert found == case.expected()
    assert not found[0].keys() & {"accuracy", "f1", "roc_auc", "log_loss", "mae"}


@pytest.mark.parametrize(("outside", "there"), [(1, True), (2, False)])
def test_one_of_a_hundred_scores_may_be_no_probability(outside: int, *, there: bool) -> None:
    grid = PlainGrid(FAMILIES, [0])
    scores = np.full(100, 0.75)
    scores[:outside] = 75.0
    count_answers(grid, [1] * 100, [1, 0] * 50, scores=scores)

    [found] = grid.values([Judged("binary", "")])

    assert ("log_loss" in found) == ("brier" in found) == there


def test_a_power_is_that_of_python_to_the_last_bit() -> None:
    """In one of a thousand values, numpy's root or product has another last bit."""
    root, square = 183.70444405758226, 0.5778546367819534

    assert intervals.powers(np.array([root]), 0.5).tolist() == [root**0.5]
    assert intervals.powers(np.array([square]), 2).tolist() == [square**2]


def test_the_root_of_the_mean_squared_error_is_that_of_python() -> None:
    grid = PlainGrid(FAMILIES, [0])
    one, other = 495.3974609375, 706.1796875
    count_answers(grid, [one, other], [0.0, 0.0])

    [found] = grid.values([Judged("regression", "")])

    assert found["rmse"].value == ((one * one + other * other) / 2) ** 0.5


@pytest.mark.parametrize("seed", range(20))
def test_a_window_that_took_back_more_than_it_had_disturbs_no_other(seed: int) -> None:
    """A family that began anew between a label and its correction counts the latter alone."""
    case = Case(seed)
    whole = case.grid.values(case.judged)

    for key in [key for key in (*case.grid.counts, *case.grid.sums) if key[2] == 2]:
        if key in case.grid.sums:
            case.grid.sums[key] *= -1
        else:
            for number in case.grid.counts[key]:
                case.grid.counts[key][number] *= -1 if number % 3 else 1

    found = case.grid.values(case.judged)
    assert found[:2] + found[3:] == whole[:2] + whole[3:]


def test_no_windows_are_no_values() -> None:
    assert PlainGrid(FAMILIES, []).values([]) == []


@pytest.mark.parametrize("share", [0.0, 0.07, 0.5, 0.55, 0.95, 0.99, 1.0])
def test_quantiles_of_any_number_of_values_have_the_rank_that_one_has(share: float) -> None:
    """0.07 of 100 values are 7.000000000000001 as a float, but the rank is 7, not 8."""
    totals = np.arange(1, 1_000)
    group = np.repeat(np.arange(len(totals)), 3)
    first = np.rint(share * totals).astype(np.int64)
    parts = np.stack([first, (totals - first) // 2, totals - first - (totals - first) // 2], axis=1)
    kept = parts.ravel() > 0
    shares = np.full((len(totals), 2), share)
    numbers = np.tile(histograms.VALUE_ZERO + np.array([-3, 0, 5]), len(totals))
    entries = (group[kept], numbers[kept], parts.ravel()[kept])

    found = histograms.quantiles(entries, shares, totals)

    expected = [
        bins.quantiles({b: n for b, n in zip((-3, 0, 5), row, strict=True) if n}, [share] * 2)
        for row in parts.tolist()
    ]
    assert found.tolist() == expected


# --- large numbers


def test_groups_without_values_have_no_quantiles_wherever_they_stand() -> None:
    one = np.array([2])
    entries = (np.array([1]), np.array([histograms.VALUE_ZERO]), one)

    found = histograms.quantiles(entries, np.full((3, 1), 0.5), np.array([0, 2, 0]))

    assert np.isnan(found[:, 0]).tolist() == [True, False, True]


@pytest.mark.parametrize("seed", range(20))
def test_areas_and_ties_of_many_groups_are_those_of_each(seed: int) -> None:
    random = np.random.default_rng(seed)
    certain = int(bins.score_bins(np.ones(1))[0])
    groups = [
        [
            {int(number): int(random.integers(1, 50)) for number in random.choice(numbers, size)}
            for size in random.integers(0, 6, 2)
        ]
        for numbers in ([0, 1], [0, 1, 2, 5, 9], [-certain, 0, certain], range(-90, 90))
        for _ in range(20)
    ]
    rows = [
        (group << histograms.SCORE_BITS | (number + histograms.SCORE_ZERO), *counts)
        for group, (up, down) in enumerate(groups)
        for number in sorted({*up, *down})
        for counts in [(up.get(number, 0), down.get(number, 0))]
    ]

    found = histograms.areas(*np.array(rows, np.int64).T, len(groups))

    for place, (up, down) in enumerate(groups):
        expected = bins.roc_auc_and_ties(up, down)
        if expected is None:
            assert math.isnan(found.area[place])
        else:
            assert (found.area[place], found.tied[place]) == expected


@pytest.mark.parametrize("ones", [1, 1 << 26, (1 << 26) + 1, 1 << 30, (1 << 31) + 1, 1 << 40])
def test_areas_of_any_number_of_rows_are_those_of_whole_numbers(ones: int) -> None:
    """Numpy would round twice above 2**53 pairs, and overflow above 2**63."""
    positive = {-9: ones, 3: 5, 4: ones - 1, 90: 7}
    negative = {-10: 3, -9: ones, 4: 11, 80: 2 * ones}
    numbers = np.array(sorted({*positive, *negative}))
    keys = np.concatenate(
        [group << histograms.SCORE_BITS | (numbers + histograms.SCORE_ZERO) for group in (0, 2)]
    )
    ups, downs = (
        np.array([counts.get(number, 0) for number in numbers.tolist()] * 2)
        for counts in (positive, negative)
    )

    found = histograms.areas(keys, ups, downs, 3)

    expected = bins.roc_auc_and_ties({k: n for k, n in positive.items() if n}, negative)
    assert expected is not None
    for place in (0, 2):
        assert (found.area[place], found.tied[place]) == expected
    assert math.isnan(found.area[1])


@pytest.mark.parametrize("seed", range(50))
def test_intervals_over_arrays_are_those_of_each_value(seed: int) -> None:
    random = np.random.default_rng(seed)
    trials = np.concatenate(
        [[0, 1, 2, 3], random.integers(1, 10 ** int(random.integers(1, 13)), 60)]
    )
    hits = (random.random(64) * (trials + 1)).astype(np.int64)
    others = random.integers(1, 10**6, 64)
    area, tied = random.random(64), random.choice([0.0, 0.005, 0.01, 0.02, 0.5], 64)
    mean = random.normal(0, 1, 64) * 10.0 ** random.integers(-9, 9, 64)
    squares = mean * mean * random.choice([1 - 1e-16, 1.0, 1 + 1e-15, 3.0], 64)
    ones = np.maximum(trials, 1)

    pairs: list[tuple[Any, list[Any]]] = [
        (intervals.wilson(hits, trials), list(map(scalar.wilson, *_lists(hits, trials)))),
        (intervals.f1(hits, others), list(map(scalar.f1, *_lists(hits, others)))),
        (
            intervals.normal(mean, squares, trials),
            list(map(scalar.normal, *_lists(mean, squares, trials))),
        ),
        (
            intervals.quantile_ranks(0.95, others),
            [scalar.quantile_ranks(0.95, n) for n in others.tolist()],
        ),
        (
            intervals.roc_auc(area, ones, others, tied=tied),
            [
                scalar.roc_auc(a, n, m, tied=t)
                for a, n, m, t in zip(*_lists(area, ones, others, tied), strict=True)
            ],
        ),
    ]

    for (low, high), expected in pairs:
        bounds = zip(*_lists(low, high), strict=True)
        found = [tuple(None if math.isnan(x) else x for x in pair) for pair in bounds]
        assert found == expected


def _lists(*columns: Any) -> list[list[Any]]:
    return [column.tolist() for column in columns]


# --- by other means


def test_classes_are_judged_as_by_scikit_learn() -> None:
    random = np.random.default_rng(5)
    names = np.array(["ant", "bee", "cow", "dog"])
    true, said = (names[random.integers(0, size, 500)] for size in (4, 3))
    grid = PlainGrid(FAMILIES, [0])
    count_answers(grid, said, true)

    [found] = grid.values([Judged("multiclass", "", words=True)])

    scores = sklearn.precision_recall_fscore_support(true, said, average="macro", zero_division=0)
    for name, value in zip(("precision", "recall", "f1"), scores, strict=False):
        assert found[name].value == pytest.approx(value, abs=1e-12)
    assert found["accuracy"].value == sklearn.accuracy_score(true, said)
    assert "precision:dog" not in found
    assert found["recall:dog"].value == 0.0


def test_scores_are_judged_as_by_scikit_learn() -> None:
    random = np.random.default_rng(6)
    score = random.integers(0, 101, 500) / 100
    true = (random.random(500) < score).astype(float)
    grid = PlainGrid(FAMILIES, [0])
    count_answers(grid, np.round(score), true, scores=score)

    [found] = grid.values([Judged("binary", "")])

    assert found["roc_auc"].value == pytest.approx(sklearn.roc_auc_score(true, score), abs=1e-12)
    assert found["brier"].value == pytest.approx(sklearn.brier_score_loss(true, score), abs=1e-12)
    assert found["log_loss"].value == pytest.approx(sklearn.log_loss(true, score), abs=1e-9)
