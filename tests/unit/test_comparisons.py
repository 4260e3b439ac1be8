"""What windows are compared with, where it is not how their model began."""

import random
from collections.abc import Callable, Sequence
from datetime import date
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.cells.summed import FIRST_DAY, FIRST_PROFILE
from streams.comparisons import (
    Between,
    OfVersion,
    Own,
    Trailing,
    compared_with,
    read_comparison,
)
from streams.errors import ConfigError, RecordError
from streams.moments import time_text
from streams.monitors import Monitors, Threshold, Window
from streams.monitors_file import parse_monitors
from streams.specification import monitors_of, write_specification
from tests.builders import HOUR_MS, MINUTE_MS, START_MS, Event, prediction
from tests.driver import Driver
from tests.examples import some
from tests.unit.test_baselines import MONITORS, feed, found, in_order, rows_of, values

DAY_MS = 24 * HOUR_MS
MIDNIGHT_MS = START_MS // DAY_MS * DAY_MS
HOURS = Monitors(
    windows=(Window(6 * HOUR_MS, 6 * HOUR_MS),), baseline=(DAY_MS,), thresholds=(), drifts=()
)


def days_of(
    days: Sequence[int],
    mean_of: Callable[[int], float],
    *,
    version: str = "v1",
    model: str = "m",
    each: int = 25,
    every_ms: int = 10 * MINUTE_MS,
) -> list[Event]:
    """Make so many rows in each quarter of days; `amount` is about a mean by the day."""
    rng = random.Random(f"{model} {version}")
    return [
        prediction(
            f"{model}-{version}-{day}-{quarter}-{n}",
            model=model,
            version=version,
            timestamp_ms=MIDNIGHT_MS + day * DAY_MS + quarter * 6 * HOUR_MS + n * every_ms,
            features={"amount": mean_of(day) + rng.random()},
        )
        for day in days
        for quarter in range(4)
        for n in range(each)
    ]


ONE_HOUR = (Window(HOUR_MS, HOUR_MS),)


def day_text(day: int) -> str:
    """Return a day so many days after that of the first rows, as files have it."""
    return time_text(MIDNIGHT_MS + day * DAY_MS)[:10]


def between(first: int, end: int) -> Between:
    return Between(MIDNIGHT_MS // DAY_MS + first, MIDNIGHT_MS // DAY_MS + end)


def spec(at_ms: int, **content: Any) -> bytes:
    return write_specification({"defaults": False, **content}, effective_ms=at_ms)


def ran(
    events: list[Event],
    *specs: bytes,
    monitors: Monitors,
    size: int = 100,
    restarts: bool = False,
    **how: Any,
) -> Driver:
    """Feed events, after the specifications."""
    driver, chance = Driver(monitors=monitors, disorder_ms=MINUTE_MS, **how), random.Random(size)
    for one in specs:
        driver.specify(one)
    for start in range(0, len(events), size):
        feed(driver, events[start : start + size], size=size)
        if restarts:
            driver.restart(chance)
    driver.finish()
    return driver


def by_day(driver: Driver, metric: str, *, version: str = "v1") -> dict[float, float]:
    """Return a metric by the day with which its window begins, in quarters."""
    return {
        (one["window_start_ms"] - MIDNIGHT_MS) / DAY_MS: one["value"]
        for one in driver.metrics.values()
        if one["metric"] == metric and one["version"] == version
    }


# --- another version


def test_all_versions_are_compared_with_the_one_that_is_named() -> None:
    usual = rows_of(0, 100, version="v1")
    other = rows_of(0, 100, version="v2", shift=2.0)
    monitors = Monitors(
        windows=MONITORS.windows,
        baseline=MONITORS.baseline,
        compared={"m": OfVersion("v1")},
        thresholds=(),
        drifts=(),
    )

    driver = ran(in_order(usual, other), monitors=monitors)

    assert sorted(found(driver, "ks:amount", version="v2")) == [30, 40, 50, 60, 70, 80, 90]
    assert min(values(driver, "ks:amount").values()) < 0.2
    assert max(values(driver, "ks:amount").values()) < 0.2
    v2 = found(driver, "ks:amount", version="v2").values()
    assert min(one["value"] for one in v2) > 0.5


def test_a_version_that_never_was_compares_with_nothing() -> None:
    monitors = Monitors(
        windows=MONITORS.windows,
        baseline=MONITORS.baseline,
        compared={"m": OfVersion("v0")},
        thresholds=(),
        drifts=(),
    )

    driver = ran(rows_of(0, 60), monitors=monitors)

    assert not found(driver, "ks:amount")


def test_a_version_that_others_are_compared_with_is_not_forgotten() -> None:
    old, new = days_of(range(4), float), days_of(range(4, 40), lambda _: 9.0, version="v2", each=5)
    how: dict[str, Any] = {"forget_ms": 5 * DAY_MS, "size": 200}

    kept = ran([*old, *new], monitors=hours(OfVersion("v1")), **how)
    gone = ran([*old, *new], monitors=hours(None), **how)

    assert set(kept.monitors[0].codes) == {("m", "v1"), ("m", "v2")}
    assert set(gone.monitors[0].codes) == {("m", "v2")}
    assert min(by_day(kept, "ks:amount", version="v2").values()) == 1.0


# --- the last days


def hours(found: Any) -> Monitors:
    compared = {} if found is None else {"*": found}
    return Monitors(
        windows=HOURS.windows, baseline=HOURS.baseline, compared=compared, thresholds=(), drifts=()
    )


def test_windows_are_compared_with_the_last_whole_days() -> None:
    events = days_of(range(9), lambda day: 100.0 if day == 3 else 1.0)

    ks = by_day(ran(events, monitors=hours(Trailing(2))), "ks:amount")

    assert min(ks) == 1.0
    far = {day for day, value in ks.items() if value > 0.4}
    # On day 3 all is other than before; on days 4 and 5, half of what was before is.
    assert far == {day + quarter / 4 for day in (3, 4, 5) for quarter in range(4)}
    assert {ks[3 + quarter / 4] for quarter in range(4)} == {1.0}


def test_days_of_the_same_weekday_alone() -> None:
    events = days_of(range(30), lambda day: 100.0 if day % 7 == 3 else 1.0)

    every = by_day(ran(events, monitors=hours(Trailing(28))), "ks:amount")
    same = by_day(ran(events, monitors=hours(Trailing(28, weekday=True))), "ks:amount")

    assert max(value for day, value in every.items() if day >= 10) > 0.8
    assert min(same) == 7.0
    assert max(same.values()) < 0.4


def test_the_last_days_are_of_all_versions() -> None:
    old, new = days_of(range(5), lambda _: 1.0), days_of([5, 6], lambda _: 1.0, version="v2")

    ks = by_day(ran([*old, *new], monitors=hours(Trailing(3))), "ks:amount", version="v2")

    assert sorted(ks) == [5 + quarter / 4 for quarter in range(8)]
    assert max(ks.values()) < 0.5


def test_days_that_nobody_needs_are_forgotten() -> None:
    driver = ran(days_of(range(60), float, each=5), monitors=hours(Trailing(28)), size=200)

    numbers = driver.monitors[0].windows.baselines.comparing.outlived(1 << 60)
    assert 30 < len(numbers) < 42


def test_windows_are_compared_with_the_same_hour_of_the_last_days() -> None:
    """Mornings are unlike evenings: a day as a whole is none of them."""
    events = days_of(range(5), lambda _: 1.0, each=20, every_ms=MINUTE_MS)
    for event in events:
        event["features"]["amount"] += 100 * (event["timestamp_ms"] // (6 * HOUR_MS) % 4)
    monitors = msgspec.structs.replace(hours(Trailing(2, hour=True)), windows=ONE_HOUR)
    days = msgspec.structs.replace(monitors, compared={"*": Trailing(2)})

    same = by_day(ran(events, monitors=monitors), "ks:amount")

    assert min(same) == 2.0  # of one day there are too few rows in an hour
    assert max(same.values()) < 0.4
    assert min(by_day(ran(events, monitors=days), "ks:amount").values()) >= 0.5


def test_the_same_hour_of_the_same_weekday_alone() -> None:
    days = [2, 3, 9, 10, 16, 17]
    means = {3: 100.0, 10: 100.0, 17: 100.0}
    events = days_of(days, lambda day: means.get(day, 1.0), each=20, every_ms=MINUTE_MS)
    monitors = hours(Trailing(28, weekday=True, hour=True))
    both = msgspec.structs.replace(monitors, windows=ONE_HOUR)

    ks = by_day(ran(events, monitors=both), "ks:amount")

    assert sorted(ks) == [day + quarter / 4 for day in (16, 17) for quarter in range(4)]
    assert max(ks.values()) < 0.5


def test_windows_are_compared_with_the_days_of_a_range_once_these_are_over() -> None:
    events = days_of(range(6), lambda day: 100.0 if day in {2, 5} else 1.0)

    driver = ran(events, monitors=hours(between(1, 3)))

    ks = by_day(driver, "ks:amount")
    assert sorted(ks) == [day + quarter / 4 for day in (3, 4, 5) for quarter in range(4)]
    # Half of the range is like every day.
    assert {day for day, value in ks.items() if not 0.4 < value < 0.7} == set()
    [told] = driver.models.values()
    assert told["reference"] == f"{day_text(1)} to {day_text(3)}"
    assert told["reference_since_ms"] == MIDNIGHT_MS + 3 * DAY_MS
    assert told["reference_rows"] == 200


@pytest.mark.parametrize(
    ("first", "end", "said"), [(7, 9, "not over yet"), (-9, -7, "no rows")], ids=["later", "gone"]
)
def test_a_range_without_rows_is_no_reference_and_models_say_so(
    first: int, end: int, said: str
) -> None:
    driver = ran(days_of(range(5), lambda _: 1.0), monitors=hours(between(first, end)))

    [told] = driver.models.values()
    assert not by_day(driver, "ks:amount")
    assert told["reference"] == f"{day_text(first)} to {day_text(end)}: {said}"
    assert (told["reference_rows"], told["reference_since_ms"]) == (0, -1)


def test_versions_of_a_range_are_not_forgotten_while_others_are_compared_with_it() -> None:
    old, new = days_of(range(4), float), days_of(range(4, 40), lambda _: 9.0, version="v2", each=5)

    kept = ran([*old, *new], monitors=hours(between(0, 3)), forget_ms=5 * DAY_MS, size=200)

    assert set(kept.monitors[0].codes) == {("m", "v1"), ("m", "v2")}
    assert min(by_day(kept, "ks:amount", version="v2").values()) == 1.0


def test_a_range_that_nobody_names_any_more_and_hours_that_nobody_needs_are_forgotten() -> None:
    events = days_of(range(45), float, each=5)
    own = msgspec.structs.replace(hours(between(0, 2)), windows=ONE_HOUR)
    how: dict[str, Any] = {"monitors": own, "size": 200}
    specs = (
        spec(
            MIDNIGHT_MS + day * DAY_MS,
            baseline={"trailing": "28d", "same_hour": True, "same_weekday": weekday},
        )
        for day, weekday in ((4, False), (20, True))
    )

    before, after = ran(events, **how), ran(events, *specs, **how)

    assert len(sums_of(before)) == 1
    # Of a quarter the first hour alone has rows.
    assert 4 * 34 < len(sums_of(after)) < 4 * 38
    assert not {*sums_of(before)} & {*sums_of(after)}


def sums_of(driver: Driver) -> list[int]:
    """Return numbers of what was added up."""
    members = driver.monitors[0].windows.grid.predictions.members
    return [number for number in members if FIRST_DAY <= number < FIRST_PROFILE]


@given(size=st.integers(20, 700), partitions=st.integers(1, 3), restarts=st.booleans())
@settings(max_examples=some(6))
def test_it_is_the_same_for_any_cuts_partitions_and_restarts(
    size: int, partitions: int, restarts: bool
) -> None:
    events = in_order(
        days_of(range(9), float, each=4),
        days_of(range(4, 14), lambda day: day / 2, version="v2", each=4),
        days_of(range(2, 14), lambda _: 1.0, model="other", each=2),
    )
    specs = (
        spec(
            MIDNIGHT_MS + 3 * DAY_MS + HOUR_MS,
            models={
                "m": {"baseline": {"trailing": "3d"}},
                "other": {"baseline": {"from": day_text(4), "until": day_text(6)}},
            },
        ),
        spec(
            MIDNIGHT_MS + 7 * DAY_MS + HOUR_MS,
            baseline={"from": day_text(7), "until": day_text(9)},
            models={"m": {"baseline": {"version": "v1"}}},
        ),
        spec(MIDNIGHT_MS + 11 * DAY_MS, baseline={"trailing": "3d", "same_hour": True}),
    )
    both = msgspec.structs.replace(hours(None), windows=(*HOURS.windows, *ONE_HOUR))
    how: dict[str, Any] = {"monitors": both, "forget_ms": 3 * DAY_MS}
    plain = ran(events, *specs, **how)

    again = ran(events, *specs, size=size, partitions=partitions, restarts=restarts, **how)

    assert again.result()["metrics"] == plain.result()["metrics"]
    assert sum(one["metric"] == "ks:amount" for one in plain.metrics.values()) > 10


# --- what is said


def test_a_name_comes_before_patterns_and_these_in_their_order() -> None:
    said = {
        "baseline": {"version": "v1"},
        "models": {
            "fr*": {"baseline": {"trailing": "28d", "same_weekday": True}},
            "f*": {"baseline": {"own": True}},
            "fraud": {"baseline": {"trailing": "1d"}},
        },
    }

    every = parse_monitors(said).compared

    assert compared_with(every, "fraud") == Trailing(1)
    assert compared_with(every, "frame") == Trailing(28, weekday=True)
    assert compared_with(every, "fame") == Own()
    assert compared_with(every, "price") == OfVersion("v1")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"version": 3}, "version: 3 is no text; write it in quotes"),
        ({"trailing": 28}, "28 is no duration such as 28d"),
        ({"trailing": "36h"}, "'36h' is no whole number of days from 1d to 35d"),
        ({"trailing": "36d"}, "'36d' is no whole number of days from 1d to 35d"),
        ({"trailing": "6d", "same_weekday": True}, "'6d' holds no day of the same weekday"),
        ({"trailing": "7d", "same_weekday": 1}, "same_weekday: 1 must be true or false"),
        ({"version": "1", "same_weekday": True}, "same_weekday belongs to trailing"),
        ({"version": "1", "own": True}, "says version and own; say one of them"),
        ({"trailing": "7d", "same_hour": "yes"}, "same_hour: 'yes' must be true or false"),
        ({"version": "1", "same_hour": True}, "same_hour belongs to trailing"),
        ({"until": "2026-01-15"}, "until belongs to from, such as from: 2026-01-01"),
        ({"from": "2026-01-01"}, "from: needs until, such as until: 2026-01-15"),
        (
            {"from": "2026-01-15", "until": "2026-01-15"},
            "until: 2026-01-15 is not after from: 2026-01-15",
        ),
        ({"from": "2026-01-01", "until": "2026-02-06"}, "36 days are more than 35"),
        ({"from": "2026-01-01T12:00", "until": "2026-02-06"}, "'2026-01-01T12:00' is within a day"),
        ({"from": "monday", "until": "2026-02-06"}, "from: 'monday' is no time"),
        ({"from": True, "until": "2026-02-06"}, "from: True is no day; write it as 2026-01-31"),
        ({"from": "1969-12-01", "until": "1969-12-03"}, "'1969-12-01' is before 1970"),
        ({"unti": "2026-01-01"}, "no such key 'unti'; did you mean until?"),
        ({"own": False}, "own: False must be true, or left out"),
    ],
)
def test_what_makes_no_sense_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        read_comparison(given, where="baseline")


def test_what_a_worker_does_not_keep_is_refused() -> None:
    off = Monitors(baseline=(), compared={"m": OfVersion("v1")})
    wide = Monitors(windows=(Window(7 * HOUR_MS, 7 * HOUR_MS),), compared={"*": Trailing(7)})

    with pytest.raises(ConfigError, match="leave `baseline: off` out"):
        Driver(monitors=off)
    with pytest.raises(ConfigError, match="panes of 7h do not divide a day"):
        Driver(monitors=wide)
    with pytest.raises(ConfigError, match="panes of 7h do not divide a day"):
        Driver(monitors=msgspec.structs.replace(wide, compared={"*": between(0, 3)}))
    six = msgspec.structs.replace(HOURS, compared={"*": Trailing(7, hour=True)})
    with pytest.raises(ConfigError, match="panes of 6h do not divide an hour"):
        Driver(monitors=six)
    with pytest.raises(Exception, match="panes of 7h do not divide a day"):
        monitors_of(b'{"baseline": {"trailing": "7d"}}', Monitors(windows=wide.windows))


def test_days_may_be_dates_of_yaml() -> None:
    said = {"from": date(2026, 1, 1), "until": "2026-01-15"}

    found = read_comparison(said, where="baseline")

    assert found == Between(20454, 20468)
    assert str(found) == "2026-01-01 to 2026-01-15"


# --- a number of rows


def early(rows: int) -> Monitors:
    parsed = parse_monitors({"baseline": {"spans": ["1d"], "rows": rows}, "defaults": False})
    assert (parsed.baseline, parsed.baseline_rows) == ((DAY_MS,), rows)
    return msgspec.structs.replace(parsed, windows=MONITORS.windows)


def test_enough_rows_are_a_baseline_before_its_time() -> None:
    events = [*rows_of(0, 30), *rows_of(30, 60, shift=2.0)]

    driver = ran(events, monitors=early(500))

    # 500 rows are there after 25 minutes, decided as the pane ends, at 30.
    assert sorted(found(driver, "ks:amount")) == [30, 40, 50]
    assert min(values(driver, "ks:amount").values()) > 0.5
    assert not found(ran(events, monitors=early(5_000)), "ks:amount")
    sooner = ran(events, monitors=early(400))
    assert sorted(found(sooner, "ks:amount")) == [20, 30, 40, 50]


@given(size=st.integers(30, 900), partitions=st.integers(1, 3), restarts=st.booleans())
@settings(max_examples=some(5))
def test_it_is_early_at_the_same_moment_for_any_cuts_partitions_and_restarts(
    size: int, partitions: int, restarts: bool
) -> None:
    rule = Threshold(
        name="far",
        metric="ks:amount",
        kind="above",
        given=0.4,
        minimum=20,
        by="value",
        window="10m",
    )
    monitors = msgspec.structs.replace(early(150), thresholds=(rule,))
    events = in_order(rows_of(0, 60, each=5), rows_of(40, 70, shift=2.0, version="v2", each=5))
    plain = ran(events, monitors=monitors)

    again = ran(events, monitors=monitors, size=size, partitions=partitions, restarts=restarts)

    assert again.result() == plain.result()
    assert plain.alerts
    assert len(found(plain, "ks:amount")) == 3
    assert len(found(plain, "ks:amount", version="v2")) > 0


def test_spans_and_rows_are_fixed_while_workers_run() -> None:
    own = early(500)

    with pytest.raises(RecordError, match="baseline: how much of a model's beginning"):
        monitors_of(b'{"baseline": {"spans": ["1d"], "rows": 400}}', own)
    assert monitors_of(b'{"baseline": {"spans": "1d", "rows": 500}}', own).baseline_rows == 500
    assert monitors_of(b"{}", own).baseline_rows == 500
    for content, said in (
        ({"rows": 0}, "rows: 0"),
        ({"spans": "1d", "row": 1}, "no such key 'row'; did you mean rows?"),
        ({"rows": 5, "version": "1"}, "no such key 'version'"),
    ):
        with pytest.raises(ConfigError, match=said):
            parse_monitors({"baseline": content})
