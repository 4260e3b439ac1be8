"""ADWIN and Page-Hinkley on what the scan makes of losses: as river, quiet, and beside the scan."""

from typing import Any

import numpy as np
import pytest
from river import drift

from streams.monitors import SCAN, Monitors
from streams.noticed import Noticed
from streams.scan.lanes import CHUNK
from streams.scan.river import River
from streams.scan.watch import Alarm, Scan
from streams.watchers.lanes import Input
from tests.builders import START_MS
from tests.unit.test_scan import DAY_MS, LOSS, times, wrong

LANE = np.array([3])


def fed(deviations: Any, *, by_hour: bool, again: int = 0) -> list[int]:
    """Return at which values something is found; written down and read again now and then."""
    river, found = River(), []
    river.begin(LANE)
    for index, one in enumerate(deviations):
        if again and index % again == 0:
            packed, river = river.pack(range(CHUNK)), River()
            river.restore(range(CHUNK), packed)
        found += [index for _ in river.take(LANE, np.array([one]), by_hour=by_hour)]
    return found


def steps(seed: int) -> Any:
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.normal(level, 1, 300) for level in (0, 3, 0, -1.5, 6)])


@pytest.mark.parametrize("again", [0, 7])
def test_adwin_finds_what_river_finds_in_deviations_between_0_and_1(again: int) -> None:
    theirs, want = drift.ADWIN(delta=0.002), []
    for index, one in enumerate(steps(1)):
        theirs.update(0.5 + np.clip(one, -4, 4) / 8)
        want += [index] if theirs.drift_detected else []

    assert fed(steps(1), by_hour=False, again=again) == want != []


@pytest.mark.parametrize("again", [0, 7])
def test_page_hinkley_finds_what_river_finds_in_clipped_deviations(again: int) -> None:
    theirs = drift.PageHinkley(min_instances=10, delta=0.25, threshold=30, mode="both")
    want = []
    for index, one in enumerate(steps(2)):
        theirs.update(np.clip(one, -5, 5))
        want += [index] if theirs.drift_detected else []

    assert fed(steps(2), by_hour=True, again=again) == want != []


def alarms_in(rate: Any, *, days: float = 30, a_day: int = 1_000, seed: int = 1) -> list[Alarm]:
    """Return what is found in the losses of one model."""
    at = times(days, a_day=a_day, seed=seed)
    scan = Scan(Monitors(drifts=(LOSS,)), [("m", "")])
    scan.watch(0, ["loss"])
    losses = wrong(at, rate(at), seed=seed + 1)
    one, count = np.zeros(1, np.int64), np.array([len(at)])
    rows = Input("loss", one, count, at, losses, np.array([1]))
    span = {"from_ms": START_MS, "until_ms": int(at[-1])}
    return list(scan.advance([], [rows], Noticed(), **span))


def test_both_are_quiet_where_nothing_changes() -> None:
    assert alarms_in(lambda at: np.full(len(at), 0.05)) == []


def test_both_join_what_the_scan_has_found_on_its_first_day_and_say_no_more_then() -> None:
    step_ms = START_MS + 20 * DAY_MS

    found = alarms_in(lambda at: np.where(at < step_ms, 0.05, 0.2))

    assert found[0].detector == SCAN
    others = {one.detector: one.found for one in found if one.detector != SCAN}
    assert set(others) == {"adwin", "page_hinkley"}
    for one in others.values():
        assert step_ms < one.at_ms < step_ms + 2 * DAY_MS
        assert (one.state, one.direction) == ("firing", "worse")
        assert one.evidence["before"] < 0.1 < one.evidence["after"]
