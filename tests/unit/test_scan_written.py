"""What the scan knows of a model does not depend on restarts."""

import random
from typing import Any

import numpy as np

from streams.monitors import DEFAULT_DRIFTS, Monitors
from tests.builders import HOUR_MS, MINUTE_MS, START_MS, Event, label, prediction
from tests.driver import Driver, as_inputs, cut

COLUMNS = "first_hour", "final", "days", "total_rows", "total_sum", "held", "hour_rows", "hour_sum"


def traffic(hours: int, *, per_hour: int) -> list[Event]:
    """Make predictions whose first hour alone has some categories and a segment that is rare."""
    rng = np.random.default_rng(1)
    events: list[Event] = []
    for number, at in enumerate(np.sort(rng.integers(0, hours * HOUR_MS, hours * per_hour))):
        early, at_ms = at < HOUR_MS, START_MS + int(at)
        size = "n/a" if at > (hours - 0.9) * HOUR_MS else float(rng.normal())
        features = {"city": f"town {number % 7}" if early else "Rome", "size": size}
        site = "rare" if early and number % 4 == 0 else "ab"[number % 2]
        events.append(
            prediction(
                f"m-{number}",
                timestamp_ms=at_ms,
                prediction=number % 2,
                features=features,
                segments={"site": site},
            )
        )
        delay_ms = 59 * MINUTE_MS + number % 5
        events.append(label(f"m-{number}", label=number % 3 % 2, timestamp_ms=at_ms + delay_ms))
    return sorted(events, key=lambda one: one["timestamp_ms"])


def known_of(driver: Driver) -> dict[Any, Any]:
    """Return what is known, by the names of lanes, and what is counted of names without."""
    [scan] = [monitor.scan for monitor in driver.monitors]
    written, lanes, found = scan.written, scan.lanes, {}
    for lane, name in enumerate(lanes.names):
        if name is not None:
            columns = [lanes[one][..., lane].tolist() for one in COLUMNS]
            moments = lanes.moments.of(np.array([lane])).tobytes()
            found[name] = columns, moments, written.sets.pack(lane)
    return found | {key: dict(written.tally.pack(*key) or {}) for key in written.tally}


def driven(events: list[Event], *, restarts: bool) -> Driver:
    driver = Driver(monitors=Monitors(drifts=DEFAULT_DRIFTS))
    for number, records in enumerate(cut(as_inputs(events), [23])):
        driver.feed(records)
        if restarts and number % 2:
            driver.restart(random.Random(number))
    driver.feed([])
    return driver


def test_all_that_is_known_is_the_same_with_restarts_and_without() -> None:
    events = traffic(50, per_hour=8)

    with_restarts, without = (known_of(driven(events, restarts=one)) for one in (True, False))

    assert with_restarts == without
    names = {(name[1], name[2]) for name in without if len(name) == 3}
    assert {"site=a", "site=b", "city", "size"} <= {what for _, what in names}
    assert any(counts for key, counts in without.items() if len(key) == 2)
    assert any(len(one[2]) > 10 for key, one in without.items() if len(key) == 3)
