"""The wall clock decides when things are done, never what is published in the end."""

from collections.abc import Sequence
from itertools import cycle

from hypothesis import given, settings
from hypothesis import strategies as st

from streams.cells.schedule import Revising
from streams.monitors import Drift, Monitors, Threshold, Window
from tests.builders import MINUTE_MS, Event, delayed, history
from tests.driver import AT_ONCE, NOW_MS, Driver, as_inputs, cut, disorder_of
from tests.examples import some

MONITORS = Monitors(
    windows=(Window(10 * MINUTE_MS, 10 * MINUTE_MS), Window(30 * MINUTE_MS, 10 * MINUTE_MS)),
    reference=10,
    baseline=(20 * MINUTE_MS, 40 * MINUTE_MS),
    resolve_ms=15 * MINUTE_MS,
    thresholds=(
        Threshold(
            name="floor",
            metric="accuracy",
            kind="below",
            given=0.9,
            minimum=2,
            window="7m",
            by="value",
        ),
        Threshold(
            name="drop",
            metric="accuracy",
            kind="falls_by",
            given=0.01,
            minimum=3,
            by="value",
            window="10m",
        ),
        Threshold(
            name="slow",
            metric="latency_p50_ms",
            kind="above",
            given=20.0,
            minimum=2,
            window="90s",
            by="value",
        ),
    ),
    drifts=(
        Drift(name="loss", input="loss", parameters={"delta": 0.4}),
        Drift(
            name="inputs",
            input="features",
            detector="page_hinkley",
            parameters={"reference": 5, "block": 1, "threshold": 1, "delta": 0.01},
        ),
    ),
)
MODELS = 6
"""So many that rows wait to be more, for as long as 24 ms."""

sizes = st.lists(st.integers(1, 90), min_size=1, max_size=5)
paces = st.sampled_from([AT_ONCE, Revising(), Revising(50, 50)])
clocks = st.lists(
    st.integers(-(10**12), 10**12) | st.integers(-60, 60) | st.just(0), min_size=1, max_size=8
)
"""How far the clock of the monitor is from what it was."""


class Wandering(Driver):
    """A driver whose monitor, alone, has another wall clock: it leaps, stands, and goes back."""

    def __init__(self, leaps: Sequence[int], **how: object) -> None:
        super().__init__(**how)  # type: ignore[arg-type]  # as they are given here
        self._leaps = cycle(leaps)
        self._wall_ms = NOW_MS

    def _evaluate(self, partition: int, values: Sequence[bytes]) -> None:
        steady_ms = self.now_ms
        self._wall_ms = self.now_ms = max(self._wall_ms + next(self._leaps), 0)
        super()._evaluate(partition, values)
        self.now_ms = steady_ms


def events_of(seed: int) -> list[Event]:
    events = delayed(history(seed, count=150), seed=seed, bound_ms=MINUTE_MS)
    for n, event in enumerate(events):
        if "model" in event:
            event["model"] = f"m{n % MODELS}"
    return events


def run(driver: Driver, events: list[Event], batches: list[int]) -> Driver:
    for batch in cut(as_inputs(events), batches):
        driver.feed(batch)
    driver.finish()
    return driver


@settings(max_examples=some(20))
@given(st.integers(0, 2**32 - 1), sizes, st.sampled_from([1, 3]), clocks, paces)
def test_last_values_and_alerts_do_not_depend_on_the_wall_clock(
    seed: int, batches: list[int], partitions: int, leaps: list[int], revising: Revising
) -> None:
    events = events_of(seed)
    how = {"monitors": MONITORS, "disorder_ms": disorder_of(events)}
    steady = run(Driver(**how), events, [len(events)])

    other = Wandering(leaps, partitions=partitions, revising=revising, **how)
    run(other, events, batches)

    assert other.result() == steady.result()


def test_the_histories_raise_alerts_and_rows_wait() -> None:
    """The property above would show little without."""
    events = events_of(1)
    driver = Wandering([0], monitors=MONITORS, disorder_ms=disorder_of(events))
    waited = []

    for batch in cut(as_inputs(events), [7]):
        driver.feed(batch)
        waited.append(driver.monitors[0].held)
    driver.finish()

    assert len({record["model"] for record in driver.metrics.values()}) > 4
    assert {alert["kind"] for alert in driver.alerts} == {"threshold", "drift"}
    assert any(waited)
