"""Features that go and come, by whole replays."""

import random
from collections.abc import Callable, Sequence

import pytest

from streams.monitors import Monitors, Window
from tests.builders import MINUTE_MS, START_MS, Event, prediction
from tests.driver import Driver, as_inputs

WINDOW_MS, SPAN_MS = 10 * MINUTE_MS, 30 * MINUTE_MS
MONITORS = Monitors(
    windows=(Window(WINDOW_MS, WINDOW_MS),), baseline=(SPAN_MS,), thresholds=(), drifts=()
)


def usual(number: int) -> dict[str, object]:
    rare: dict[str, object] = {"rare": 1} if number % 40 == 0 else {}
    return {"amount": number, "town": "Rome", "empty": None, **rare}


def rows(later: Callable[[int], dict[str, object]]) -> list[Event]:
    """Return five rows a minute; the last twenty minutes have other features."""
    return [
        prediction(
            f"p{number}",
            timestamp_ms=START_MS + number * 12_000,
            features=usual(number) if number < 150 else later(number),
        )
        for number in range(250)
    ]


def found(events: Sequence[Event], *, size: int = 60, restart: bool = False) -> list[list[float]]:
    """Return by window of the last twenty minutes how many are missing, and how many are new."""
    driver = Driver(monitors=MONITORS, disorder_ms=MINUTE_MS)
    for start in range(0, len(events), size):
        driver.feed(as_inputs(events[start : start + size]))
        if restart:
            driver.restart(random.Random(start))
    driver.come_to(START_MS + 3 * SPAN_MS)
    driver.finish()
    values = {
        (one["metric"], (one["window_start_ms"] - START_MS) // MINUTE_MS): one["value"]
        for one in driver.metrics.values()
        if one["metric"].startswith("features_")
    }
    assert {minute for _, minute in values} == {30, 40}
    names = ("features_missing", "features_new")
    return [[values[name, minute] for name in names] for minute in (30, 40)]


@pytest.mark.parametrize(
    ("later", "expected"),
    [
        pytest.param(usual, [0, 0], id="nothing changes"),
        pytest.param(lambda n: {"amount": n}, [1, 0], id="one is gone"),
        pytest.param(lambda _: {"amount": None, "town": "Oslo"}, [1, 0], id="one is null"),
        pytest.param(lambda n: {**usual(n), "empty": 3, "more": "x"}, [0, 2], id="two are new"),
        pytest.param(lambda n: {"sum": n, "town": 3}, [1, 1], id="one has another name"),
        pytest.param(lambda _: {}, [2, 0], id="all are gone"),
    ],
)
def test_features_that_go_and_come_are_counted(
    later: Callable[[int], dict[str, object]], expected: list[float]
) -> None:
    """The rare one is in 4 of 150 rows: of 50 it may be in none."""
    assert found(rows(later)) == [expected, expected]


@pytest.mark.parametrize(("size", "restart"), [(1, False), (250, False), (40, True)])
def test_it_does_not_depend_on_how_rows_are_cut(size: int, *, restart: bool) -> None:
    """Blocks of features have what any row of a batch names."""
    events = rows(lambda n: {"amount": n, f"every{n % 2}": n, **({"once": 1} if n == 190 else {})})

    assert found(events, size=size, restart=restart) == [[1, 2], [1, 2]]
