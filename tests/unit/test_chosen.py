"""Which metrics are published of which model, and what is counted for that."""

import random

import msgspec
import pytest

from streams import families
from streams.chosen import Choice, counted
from streams.errors import ConfigError, RecordError
from streams.monitors import Monitors, Threshold, Window, counted_for
from streams.monitors_file import parse_monitors
from streams.specification import monitors_of
from tests.builders import MINUTE_MS, START_MS, Event, label, prediction
from tests.driver import Driver, as_inputs

ONLY = Choice(exclude=("all",), include=("accuracy", "mean"))


def rows(*models: str) -> list[Event]:
    events: list[Event] = []
    for number in range(120):
        for model in models:
            at_ms, name = START_MS + number * 10_000, f"{model}-{number}"
            events.append(
                prediction(
                    name,
                    model=model,
                    timestamp_ms=at_ms,
                    prediction=number % 2,
                    features={"age": number, "town": "Rome"},
                )
            )
            events.append(label(name, timestamp_ms=at_ms + 1_000, label=1))
    return events


def published(driver: Driver, model: str) -> set[str]:
    return {one["metric"] for one in driver.metrics.values() if one["model"] == model}


def fed(monitors: Monitors, *, size: int = 50, models: tuple[str, ...] = ("a", "b")) -> Driver:
    driver = Driver(monitors=monitors, disorder_ms=MINUTE_MS)
    events = rows(*models)
    for start in range(0, len(events), size):
        driver.feed(as_inputs(events[start : start + size]))
    driver.finish()
    return driver


def monitors(*choices: Choice, thresholds: tuple[Threshold, ...] = ()) -> Monitors:
    windows = (Window(10 * MINUTE_MS, 10 * MINUTE_MS),)
    return Monitors(windows=windows, metrics=choices, thresholds=thresholds)


def test_metrics_that_are_not_usual_are_published_where_they_are_included() -> None:
    usual = published(fed(monitors()), "a")

    driver = fed(monitors(Choice(model="b", include=("top_share", "feature_p50"))))

    more = {"top_share:age", "top_share:town", "feature_p50:age"}
    assert published(driver, "a") == usual
    assert published(driver, "b") == usual | more
    assert not usual & more


def test_what_is_excluded_is_not_published_and_all_else_is_the_same() -> None:
    whole = fed(monitors())

    driver = fed(monitors(Choice(exclude=("mean",)), Choice(model="a", exclude=("accuracy",))))

    def without(model: str, *names: str) -> set[str]:
        return {n for n in published(whole, model) if n.partition(":")[0] not in names}

    assert published(driver, "a") == without("a", "mean", "accuracy")
    assert published(driver, "b") == without("b", "mean")
    for key, record in driver.metrics.items():
        assert whole.metrics[key] == record


def test_coverage_is_in_the_records_also_where_it_is_no_metric() -> None:
    driver = fed(monitors(ONLY))

    assert published(driver, "a") == {"accuracy", "mean:age"}
    assert {one["coverage"] for one in driver.metrics.values()} == {1.0}


@pytest.mark.parametrize("size", [7, 240])
def test_it_is_the_same_however_rows_come_in_and_after_a_restart(size: int) -> None:
    chosen = monitors(ONLY, Choice(model="b", include=("distinct",)))
    whole = fed(chosen, size=50)

    driver = Driver(monitors=chosen, disorder_ms=MINUTE_MS)
    events = rows("a", "b")
    for start in range(0, len(events), size):
        driver.feed(as_inputs(events[start : start + size]))
        driver.restart(random.Random(size + start))
    driver.finish()

    assert _numbers(driver) == _numbers(whole)


def _numbers(driver: Driver) -> dict[object, object]:
    return {key: (one["value"], one["count"]) for key, one in driver.metrics.items()}


def test_families_are_not_counted_where_no_model_has_a_metric_of_them() -> None:
    assert [one.name for one in counted([ONLY], [])] == [*("error_rate", "mean", "classification")]
    assert [one.name for one in counted([ONLY], ["psi:age"])] == [
        *("error_rate", "mean", "distribution", "classification")
    ]
    assert "sure" in {one.name for one in counted([Choice(exclude=("ece",))], [])}
    some = Choice(model="a*", exclude=("all",))
    assert set(counted([some], [])) == set(counted([], []))  # others have them
    every = {one.name for one in families.CATALOGUE.families}
    assert {one.name for one in counted([Choice(include=("all",))], [])} == every


def test_a_rule_is_judged_on_a_metric_that_is_not_published() -> None:
    rule = Threshold(
        name="stuck",
        metric="top_share:town",
        kind="above",
        given=0.9,
        minimum=10,
        by="value",
        window="10m",
    )

    driver = fed(monitors(ONLY, thresholds=(rule,)))

    assert {one["monitor"] for one in driver.alerts} == {"stuck"}
    assert published(driver, "a") == {"accuracy", "mean:age"}


def test_a_specification_on_what_is_not_counted_is_refused() -> None:
    rule = {"name": "old", "metric": "latency_p95_ms", "above": 200}

    with pytest.raises(RecordError, match=r"is not counted.*include latency_p95_ms"):
        monitors_of(msgspec.json.encode({"thresholds": [rule]}), monitors(ONLY))
    assert monitors_of(msgspec.json.encode({"thresholds": [rule]}), monitors()).thresholds
    with pytest.raises(RecordError, match="metrics: which metrics are published cannot change"):
        monitors_of(b'{"metrics": {"include": ["js"]}}', monitors())


def test_what_was_counted_before_a_metric_was_excluded_is_left_out_silently() -> None:
    driver = Driver(monitors=monitors(), disorder_ms=MINUTE_MS)
    driver.feed(as_inputs(rows("a")[:40]))

    driver.monitor = Driver(monitors=monitors(ONLY), disorder_ms=MINUTE_MS).monitor
    driver.restart(random.Random(1))
    driver.feed(as_inputs(rows("a")[40:]))
    driver.finish()

    assert published(driver, "a") == {"accuracy", "mean:age"}
    assert not driver.restarted
    assert not [remark for remark in driver.kinds if "begins anew" in remark]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"include": ["wassertein"]}, "'wassertein' is unknown; did you mean wasserstein?"),
        ({"exclude": ["mean:age"]}, "for all features and classes; write mean"),
        ({"include": ["js"], "exclude": ["js"]}, "'js' is included and excluded"),
        ({"includes": ["js"]}, "no such key 'includes'; did you mean include?"),
        ([{"model": "a", "include": "js"}], "include"),
    ],
)
def test_a_choice_that_makes_no_sense_is_refused(given: object, says: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse_monitors({"metrics": given})

    assert "monitors.yaml: metrics" in str(error.value)
    assert says in str(error.value)


def test_one_choice_or_several_may_be_given() -> None:
    one = parse_monitors({"metrics": {"include": ["js"]}})
    several = parse_monitors({"metrics": [{"include": ["js"]}, {"model": "a", "exclude": ["js"]}]})

    assert one.metrics == (Choice(include=("js",)),)
    assert several.metrics == (*one.metrics, Choice(model="a", exclude=("js",)))
    assert counted_for(one) == counted_for(several)
