"""State that was written down once is read by every later version, and goes on as it did.

`tests/golden/state-1.msgpack.xz` and so on are what both stages had written in the middle of a
stream: windows of two lengths, coarse panes, what a family of another version had counted, rules
with references, detectors, open alerts, a specification, a model that is set aside, rows that wait
to be counted and to be taken in order; from the second on also when models had records, and orders
to forget some. If this fails, users who upgrade lose their state, or get wrong numbers from
it: mend the code, do not record anew. `tests/golden/state.py` says when that is allowed.
"""

import pytest

from streams.cells.coarse import lacking_ms
from streams.monitor.tables import TABLES
from tests.golden import results, state
from tests.golden.state import Recorded


@pytest.fixture(scope="module", params=state.PATHS, ids=lambda path: path.name.partition(".")[0])
def recorded(request: pytest.FixtureRequest) -> Recorded:
    return state.read(request.param)


def test_a_state_that_was_recorded_opens_and_comes_to_the_results_that_were_recorded(
    recorded: Recorded,
) -> None:
    driver = state.opened(recorded)

    found = state.gone_on(driver, recorded.rest)

    results.check("recorded state", found, results.parsed(recorded.results))


def test_no_table_of_the_recorded_state_has_been_given_up(recorded: Recorded) -> None:
    assert state.tables_of(recorded) <= set(TABLES)


def test_the_recorded_state_has_rows_that_wait_alerts_that_fire_and_panes_that_lack_a_family(
    recorded: Recorded,
) -> None:
    driver = state.opened(recorded)

    for one in driver.monitors:
        assert one.to_reread == {}
        offsets = sorted(one.reread)
        assert offsets[0] < one.taken <= offsets[-1]
        assert "latency" in lacking_ms(one.windows.grid, pane_ms=one.windows.windowing.pane_ms)
    firing = [alert for one in driver.monitors for alert in one.alerts.firing()]
    assert len(firing) > 5
    kinds = {next(a["kind"] for a in driver.alerts if a["monitor"] == name) for _, name in firing}
    assert kinds == {"threshold", "drift"}


def test_the_newest_recorded_state_has_records_of_every_table() -> None:
    """What no recorded state has, no test opens: python -m tests.golden.state records one more."""
    newest = state.read(state.PATHS[-1])

    assert set(TABLES) - state.tables_of(newest) == set()
    orders = [order for one in state.opened(newest).monitors for order in one.forgets.past]
    assert {order.model for order in orders} == {"numbers"}
