"""What hours and references look like, as it is published: bins, categories, confusions."""

import random
from collections import Counter
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.categories import category_names
from streams.edges import MOST_BINS, binned, cuts_of, score_edges, value_edges
from streams.errors import ConfigError
from streams.families.histograms import score_bins, value_bins
from streams.forget_record import forget_key, write_forget
from streams.monitors_file import parse_monitors
from tests.builders import HOUR_MS, MINUTE_MS, START_MS, Event, label, prediction
from tests.driver import TOPICS, Driver, as_inputs
from tests.examples import some
from tests.unit.test_models_told import PANES, events, ran


def found(driver: Driver, series: str, **where: Any) -> list[dict[str, Any]]:
    """Return distributions of a series, by when they begin."""
    every = [
        one
        for one in driver.distributions.values()
        if one["series"] == series and all(one[name] == value for name, value in where.items())
    ]
    return sorted(every, key=lambda one: int(one["start_ms"]))


def chances(*, hours: int = 3) -> list[Event]:
    """Return predictions of probabilities, with labels."""
    luck = random.Random(1)
    every: list[Event] = []
    for number in range(hours * 60):
        at_ms, name, score = START_MS + number * MINUTE_MS, f"c-{number}", luck.random()
        true = int(luck.random() < score)
        every.append(prediction(name, timestamp_ms=at_ms, score=score, prediction=int(score > 0.5)))
        every.append(label(name, timestamp_ms=at_ms + 1, label=true))
    return every


def test_the_bins_of_an_hour_have_the_values_that_are_between_their_edges() -> None:
    every = events(hours=3.5)

    driver = ran(every)

    for one in found(driver, "feature", feature="age", role="window"):
        values = [
            event["features"]["age"]
            for event in every
            if "features" in event and one["start_ms"] <= event["timestamp_ms"] < one["end_ms"]
        ]
        below = sum(value < one["edges"][0] for value in values)
        above = sum(value >= one["edges"][-1] for value in values)
        inside = np.histogram(values, [*one["edges"][:-1], np.nextafter(one["edges"][-1], 0)])[0]
        assert one["counts"] == inside.tolist()
        assert (one["below"], one["above"]) == (below, above)
        assert one["count"] == len(values) == 60
        assert one["missing"] == 0


def test_what_is_missing_of_a_feature_is_of_the_predictions_of_its_own_model() -> None:
    every: list[Event] = []
    for model, count in (("few", 40), ("many", 120)):
        for number in range(count):
            at_ms, features = START_MS + number * 30_000, {"a": number, "b": number, "c": number}
            if number % 4 == 0:
                del features["b"]
            name = f"{model}-{number}"
            every.append(prediction(name, model=model, timestamp_ms=at_ms, features=features))

    every.append(prediction("later", model="few", timestamp_ms=START_MS + 2 * HOUR_MS))

    driver = ran(sorted(every, key=lambda event: int(event["timestamp_ms"])))

    shown = {
        (one["model"], one["feature"]): (one["count"], one["missing"])
        for one in found(driver, "feature", role="window")
    }
    assert shown == {
        **{("few", name): (40, 0) for name in "ac"},
        **{("many", name): (120, 0) for name in "ac"},
        ("few", "b"): (30, 10),
        ("many", "b"): (90, 30),
    }


def test_windows_have_the_edges_of_their_reference_which_is_published_once_it_is_complete() -> None:
    driver = ran(events())

    [reference] = found(driver, "feature", feature="age", role="reference")
    windows = found(driver, "feature", feature="age", role="window")

    assert reference["start_ms"] == START_MS + 2 * HOUR_MS
    assert reference["count"] == sum(reference["counts"]) == 120
    assert [one["edges"] == reference["edges"] for one in windows] == [False, False] + [True] * (
        len(windows) - 2
    )
    assert len(windows) > 3


def test_texts_are_told_by_hashes_those_of_too_many_different_ones_not_at_all() -> None:
    driver = ran(events(hours=4))

    cities = found(driver, "feature", feature="city")
    mails = found(driver, "feature", feature="mail")

    assert all(set(one["categories"]) == {"#2155", "#2803"} for one in cities)
    assert all(sum(one["category_counts"]) == one["count"] for one in cities)
    assert all((one["categories"], one["other"]) == ([], one["count"]) for one in mails)
    told = (TOPICS.distributions, TOPICS.models)
    written = b"".join(value for topic, _, value in driver.written if topic in told)
    assert written
    assert b"Rome" not in written
    assert b"@" not in written


@pytest.mark.parametrize("values", [{"city": "never", "age": "never"}, {"*": "never"}])
def test_of_features_whose_values_are_never_told_there_is_how_many_there_are(
    values: dict[str, str],
) -> None:
    told, driver = (
        ran(events(hours=4), monitors=msgspec.structs.replace(PANES, values=own))
        for own in ({}, values)
    )

    hidden = [one for name in ("city", "age") for one in found(driver, "feature", feature=name)]
    for one in hidden:
        assert (one["other"], one["edges"], one["counts"]) == (one["count"], [], [])
        assert (one["categories"], one["below"], one["above"]) == ([], 0, 0)
    shown = [one for name in ("city", "age") for one in found(told, "feature", feature=name)]
    assert [one["count"] for one in hidden] == [one["count"] for one in shown] != []
    assert driver.metrics == told.metrics


def test_categories_are_called_by_a_key_and_counted_as_without_it() -> None:
    keyed, plain = Driver(monitors=PANES), Driver(monitors=PANES)
    keyed.monitor.categories = names = category_names(b"a secret of an installation")
    for driver in (keyed, plain):
        for start in range(4):
            driver.feed(as_inputs(events(hours=4))[start::4])
        driver.finish()

    [renamed, told] = (found(driver, "feature", feature="city") for driver in (keyed, plain))
    assert [one["category_counts"] for one in renamed] == [one["category_counts"] for one in told]
    assert [one["categories"] for one in renamed] == [
        [names[int(category[1:])] for category in one["categories"]] for one in told
    ]
    assert renamed[-1]["categories"] != told[-1]["categories"] != []
    assert keyed.metrics == plain.metrics


def test_every_key_calls_all_hashes_differently() -> None:
    keys = [b"a secret of an installation", b"a secret of another one", None]
    plain, *others = (category_names(key) for key in reversed(keys))

    assert all(sorted(names) == sorted(plain) for names in others)
    same = [sum(map(str.__eq__, plain, names)) for names in others]
    assert max(same) < 10


def test_a_name_says_more_than_a_pattern_of_how_values_are_told() -> None:
    monitors = parse_monitors({"values": {"*": "never", "a*": "hash", "age": "never"}})

    assert [monitors.hides(name) for name in ("city", "area", "age")] == [True, True, True]
    monitors = parse_monitors({"values": {"a*": "hash", "*": "never", "abc": "never"}})
    assert [monitors.hides(name) for name in ("city", "area", "abc")] == [True, False, True]


def test_texts_cannot_be_shown() -> None:
    with pytest.raises(ConfigError, match=r"values.*'show'.*hash.*never"):
        parse_monitors({"values": {"city": "show"}})


def test_of_an_hour_with_few_predictions_nothing_is_published() -> None:
    every = events(hours=5, every_ms=2 * MINUTE_MS)
    scarce = [one for one in every if one["timestamp_ms"] >= START_MS + 4 * MINUTE_MS]

    many, few = ran(every), ran(scarce)

    assert min(one["start_ms"] for one in many.distributions.values()) == START_MS
    assert min(one["start_ms"] for one in few.distributions.values()) == START_MS + HOUR_MS


def test_panes_of_an_hour_are_kept_until_it_is_over_however_short_windows_and_horizon_are() -> None:
    driver = ran(events(hours=4), horizon_ms=MINUTE_MS, size=50)

    ages = found(driver, "feature", feature="age", role="window")
    assert [one["count"] for one in ages] == [60] * len(ages)
    assert len(ages) >= 3
    assert [one["count"] for one in found(driver, "confusion")] == [60] * 3


def test_the_confusion_of_an_hour_counts_its_outcomes_once_labels_are_too_late() -> None:
    every = events()

    driver = ran(every)

    confusions = found(driver, "confusion")
    assert [one["start_ms"] for one in confusions] == [
        START_MS + hour * HOUR_MS for hour in range(4)
    ]
    for one in confusions:
        said = Counter(
            event["prediction"]
            for event in every
            if "prediction" in event and one["start_ms"] <= event["timestamp_ms"] < one["end_ms"]
        )
        assert dict(zip(one["predicted_classes"], one["counts"], strict=True)) == said
        assert set(one["true_classes"]) == {"cat"}


def test_the_reliability_of_an_hour_says_what_came_true_of_what_was_predicted() -> None:
    every = chances()
    true = {one["prediction_id"]: one["label"] for one in every if "label" in one}

    driver = ran(every)

    one = found(driver, "reliability")[0]
    own = [
        event
        for event in every
        if "score" in event and one["start_ms"] <= event["timestamp_ms"] < one["end_ms"]
    ]
    places = [min(int(event["score"] * 15), 14) for event in own]
    assert one["counts"] == np.bincount(places, minlength=15).tolist()
    positives = [true[event["prediction_id"]] for event in own]
    assert one["positives"] == np.bincount(places, positives, 15).tolist()
    sums = np.bincount(places, [event["score"] for event in own], 15)
    for many, total, mean in zip(one["counts"], sums, one["probabilities"], strict=True):
        assert mean is None if not many else mean == pytest.approx(total / many)


def test_scores_and_predictions_are_series_of_their_own() -> None:
    driver = ran(chances())

    score, said = found(driver, "score")[0], found(driver, "prediction")[0]

    assert sum(score["counts"]) == score["count"] == 60
    assert dict(zip(said["categories"], said["category_counts"], strict=True)).keys() == {"0", "1"}


@pytest.mark.parametrize(
    ("size", "restarts", "partitions"),
    [pytest.param(11, 0, 1, marks=pytest.mark.long), (60, 3, 2), (1_000, 5, 3)],
)
def test_nothing_of_it_depends_on_steps_restarts_or_partitions_and_all_is_written_once(
    size: int, restarts: int, partitions: int
) -> None:
    every = [*events(), *events(model="n", hours=4), *events(hours=3, version="2"), *chances()]
    every.sort(key=lambda event: int(event["timestamp_ms"]))
    at_once = ran(every)

    driver = ran(every, size=size, restarts=restarts, partitions=partitions)

    assert driver.distributions == at_once.distributions
    keys = [key for topic, key, _ in driver.written if topic == TOPICS.distributions]
    assert len(keys) == len(set(keys)) == len(driver.distributions)


def test_hours_before_a_model_is_forgotten_are_published_however_large_the_steps_are() -> None:
    def forgotten(size: int) -> Driver:
        driver = Driver(disorder_ms=MINUTE_MS, horizon_ms=HOUR_MS)
        value = write_forget("m", None, effective_ms=START_MS + 3 * HOUR_MS)
        driver.specify(value, key=forget_key("m", None))
        every = [*events(hours=4), *events(hours=6, model="n")]
        records = as_inputs(sorted(every, key=lambda event: int(event["timestamp_ms"])))
        for start in range(0, len(records), size):
            driver.feed(records[start : start + size])
        driver.finish()
        return driver

    at_once, other = forgotten(10_000), forgotten(37)

    own = [one for one in at_once.distributions.values() if one["model"] == "m"]
    assert {one["start_ms"] for one in own} == {START_MS + hour * HOUR_MS for hour in range(4)}
    assert other.distributions == at_once.distributions
    assert other.models == at_once.models


# --- bins


@settings(max_examples=some(100))
@given(st.lists(st.floats(-1e300, 1e300) | st.integers(-3, 3), min_size=1, max_size=300))
def test_few_bins_have_every_value_once(values: list[float]) -> None:
    numbers, counts = np.unique(value_bins(np.array(values, np.float64)) >> 1, return_counts=True)

    cuts = cuts_of(numbers, counts)
    found = binned(numbers, counts, cuts)

    assert 1 <= len(found.counts) <= MOST_BINS
    assert (sum(found.counts), found.below, found.above) == (len(values), 0, 0)
    edges = value_edges(cuts)
    assert (np.diff(edges) > 0).all()
    assert np.isfinite(edges).all()


@settings(max_examples=some(100))
@given(st.floats(-1e100, 1e100) | st.floats(0, 1))
def test_a_score_is_between_the_edges_of_its_bin(score: float) -> None:
    number = score_bins(np.array([score]))

    assert score_edges(number)[0] <= score <= score_edges(number + 1)[0]


def test_a_value_that_many_have_is_a_bin_of_its_own() -> None:
    values = np.concatenate([np.linspace(-50, 50, 300), np.zeros(300)])
    numbers, counts = np.unique(value_bins(values) >> 1, return_counts=True)

    cuts = cuts_of(numbers, counts)

    edges = value_edges(cuts)
    place = int(np.flatnonzero(edges == 0)[0])
    assert binned(numbers, counts, cuts).counts[place] == 300
