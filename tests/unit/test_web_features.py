"""The screen of features: what has moved beyond chance comes first, whatever it is called."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests import webs
from tests.sinking import MINUTE_MS, START_MS, Log, metric
from tests.webs import api, ask, rows

WINDOWS = 4
NAMES = ("steady", "moved", "category", *webs.NASTY)


def a_log() -> Log:
    """Return windows of one model; of its features some are compared with a baseline."""
    log = Log()
    for number in range(WINDOWS):
        at = START_MS + number * MINUTE_MS
        place = {"window_start_ms": at, "window_end_ms": at + MINUTE_MS, "final": number < 3}
        log.add(metric(metric="predictions", value=100.0, low=None, **place), at_ms=at)
        log.add(
            # Chance does 0.1, and no value is below 0 or above 1.
            metric(metric="psi:moved", value=0.1 * number, low=max(0.1 * number - 0.1, 0.0),
                   high=0.1 * number + 0.1, **place),
            metric(metric="ks:moved", value=0.95, low=0.85, high=1.0, **place),
            metric(metric="psi:steady", value=0.05, low=0.0, high=0.15, **place),
            metric(metric="unseen_rate:category", value=0.25, low=0.2, high=0.3, **place),
            *(metric(metric=f"missing_rate:{name}", value=0.5, low=0.4, high=0.6, **place)
              for name in webs.NASTY),
            at_ms=at + MINUTE_MS,
        )  # fmt: skip
    return log


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with webs.page(webs.write(a_log(), tmp_path_factory.mktemp("history"))) as running:
        yield running.port


def by_name(answer: Any) -> dict[str, dict[str, Any]]:
    return {row["feature"]: row for row in rows(answer, "features")}


def test_features_beyond_chance_come_first_and_all_are_there(port: int) -> None:
    answer = api(port, "features", model="fraud")

    names = [row["feature"] for row in rows(answer, "features")]
    assert names[:3] == ["moved", "category", "steady"]
    assert set(names) == set(NAMES)
    assert (answer["facts"]["beyond"], answer["facts"]["compared"]) == (2, 2)
    assert answer["facts"]["drawn"] == "moved"


def test_the_chance_level_is_half_of_the_interval_even_where_that_is_cut_off(port: int) -> None:
    found = by_name(api(port, "features", model="fraud"))

    moved, steady = found["moved"], found["steady"]
    assert (moved["psi_chance"], moved["ks_chance"]) == pytest.approx((0.1, 0.1))
    assert moved["times_chance"] == pytest.approx(9.5)  # of ks: 0.95 / 0.1
    assert moved["beyond"] == ["psi", "ks"]
    assert steady["psi_chance"] == pytest.approx(0.1)
    assert (steady["times_chance"], steady["beyond"]) == (pytest.approx(0.5), [])
    assert (found["category"]["times_chance"], found["category"]["beyond"]) == (
        None,
        ["unseen_rate"],
    )


def test_a_feature_is_drawn_with_its_chance_level(port: int) -> None:
    answer = api(port, "features", model="fraud", feature="moved")

    psi = [row for row in rows(answer, "distance") if row["metric"] == "psi"]
    assert [row["value"] for row in psi] == pytest.approx([0.0, 0.1, 0.2, 0.3])
    assert [row["chance"] for row in psi] == pytest.approx([0.1] * 4)
    assert [row["final"] for row in psi] == [True, True, True, False]
    assert by_name(answer)["moved"]["before"][-4:] == pytest.approx([0.0, 0.1, 0.2, 0.3])


@pytest.mark.parametrize("name", webs.NASTY)
def test_any_name_of_a_feature_can_be_chosen(port: int, name: str) -> None:
    answer = api(port, "features", model="fraud", feature=name)

    assert answer["facts"]["drawn"] == name
    assert [row["value"] for row in rows(answer, "shares")] == [0.5] * WINDOWS


def test_features_are_searched_sorted_and_paged(port: int) -> None:
    def names(**asked: Any) -> list[str]:
        return [row["feature"] for row in rows(api(port, "features", **asked), "features")]

    assert names(search="STEAD") == ["steady"]
    assert names(sort="unseen_rate", size=1) == ["category"]
    assert names(sort="feature") == sorted(NAMES, key=str.casefold)
    assert names(sort="feature", size=2, page=1) == sorted(NAMES, key=str.casefold)[2:4]


def test_an_earlier_time_shows_what_was_known_then(port: int) -> None:
    answer = api(port, "features", model="fraud", at=START_MS + 2 * MINUTE_MS)

    found = by_name(answer)
    assert (found["moved"]["psi"], answer["facts"]["window_start_ms"]) == (
        pytest.approx(0.1),
        START_MS + MINUTE_MS,
    )


def test_a_feature_that_is_not_there_is_said(port: int) -> None:
    assert ask(port, "/api/features?feature=none").json == {
        "missing": "the newest window has no feature 'none'"
    }


def test_without_a_model_there_is_nothing(tmp_path_factory: pytest.TempPathFactory) -> None:
    log = Log()
    log.add(metric(model="host:a", version="", metric="cpu_utilization"))

    with webs.page(webs.write(log, tmp_path_factory.mktemp("history"))) as running:
        assert ask(running.port, "/api/features").json == {"missing": "there are no models yet"}


def test_a_window_that_has_just_begun_is_not_judged_yet(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    log = Log()
    for number in range(2):
        at = START_MS + number * MINUTE_MS
        place = {"window_start_ms": at, "window_end_ms": at + MINUTE_MS}
        log.add(
            metric(metric="predictions", value=9.0, **place),
            metric(metric="missing_rate:f", value=0.1 + number, **place),
            at_ms=at,
        )

    with webs.page(webs.write(log, tmp_path_factory.mktemp("history"))) as running:
        half, over = (
            by_name(api(running.port, "features", at=START_MS + at))["f"]["missing_rate"]
            for at in (MINUTE_MS * 3 // 2, 2 * MINUTE_MS)
        )

    assert (half, over) == (0.1, 1.1)


# ------------------------------------------------------------------ what values are like
HOUR_MS = 60 * MINUTE_MS


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    log = a_log()
    numbers = {"series": "feature", "feature": "moved", "edges": [1.0, 2.0, 3.0]}
    webs.told(log, "reference", START_MS - HOUR_MS, counts=[60, 40], missing=0, **numbers)
    webs.told(log, "window", START_MS, counts=[50, 50], at_ms=START_MS + HOUR_MS, **numbers)
    later = {**numbers, "counts": [1, 90], "above": 9, "missing": 25}
    webs.told(log, "window", START_MS + HOUR_MS, at_ms=START_MS + 2 * HOUR_MS, **later)
    texts = {"series": "feature", "feature": "category"}
    first = {"categories": ["#1", "#2"], "category_counts": [50, 20], "other": 30}
    webs.told(log, "reference", START_MS - HOUR_MS, **first, **texts)
    now = {"categories": ["#1", "#9"], "category_counts": [40, 60]}
    webs.told(log, "window", START_MS, **now, **texts)
    with webs.page(webs.write(log, tmp_path_factory.mktemp("history"))) as running:
        yield running.port


def test_numbers_of_the_newest_hour_are_beside_those_of_the_reference(told: int) -> None:
    answer = api(told, "features", model="fraud", feature="moved")

    assert answer["panels"]["numbers"]["rows"] == [
        [1.0, 2.0, 1, 60],
        [2.0, 3.0, 90, 40],
        [3.0, None, 9, 0],
    ]
    assert "categories" not in answer["panels"]
    assert answer["facts"]["hour"] == {
        "start_ms": START_MS + HOUR_MS,
        "missing": 0.2,
        "reference_missing": 0.0,
    }


def test_an_earlier_time_shows_the_hour_that_was_told_then(told: int) -> None:
    answer = api(told, "features", feature="moved", at=START_MS + HOUR_MS)

    assert [row["count"] for row in rows(answer, "numbers")] == [50, 50]


def test_categories_of_one_side_alone_may_be_among_the_others_of_the_other(told: int) -> None:
    answer = api(told, "features", model="fraud", feature="category")

    assert answer["panels"]["categories"]["rows"] == [
        ["#1", 40, 50],
        ["#2", 0, 20],  # this hour tells of all categories that it had
        ["#9", 60, None],
        ["(other)", 0, 30],
    ]


def test_of_a_feature_of_which_no_hour_is_told_nothing_is_drawn(told: int) -> None:
    answer = api(told, "features", model="fraud", feature="steady")

    assert answer["facts"]["hour"] == {}
    assert "numbers" not in answer["panels"]
