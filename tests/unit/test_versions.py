"""State of another version: what was counted by it is left out, and nothing is made of the rest."""

import random
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec
import pytest

from streams import families
from streams.cells.store import Cells, World
from streams.errors import StateError
from streams.monitor.state import _bucket
from streams.monitor.tables import FORMAT
from streams.monitors import Drift, Monitors, Threshold, Window
from streams.rules.lengths import USUAL
from streams.steps import Effects
from tests.builders import MINUTE_MS, START_MS, drifting, history, in_order
from tests.driver import TOPICS, Driver, as_inputs, cut

WATCHED = Monitors(
    windows=(Window(30 * MINUTE_MS, 10 * MINUTE_MS),),
    reference=40,
    thresholds=(
        Threshold(
            name="accuracy",
            metric="accuracy",
            kind="below",
            given=0.85,
            minimum=10,
            window="10m",
            by="value",
        ),
        Threshold(
            name="drop",
            metric="accuracy",
            kind="falls_by",
            given=0.05,
            minimum=10,
            window="10m",
            by="value",
        ),
        Threshold(
            name="slow",
            metric="latency_p50_ms",
            kind="above",
            given=20.0,
            minimum=5,
            window="10m",
            by="value",
        ),
        Threshold(
            name="slower",
            metric="latency_p50_ms",
            kind="rises_by",
            given=0.02,
            minimum=5,
            window="10m",
            by="value",
        ),
        Threshold(
            name="quiet", metric="predictions", kind="falls_by", given=0.2, window="10m", by="value"
        ),
        Threshold(
            name="gaps",
            metric="missing_rate:age",
            kind="above",
            given=0.02,
            minimum=5,
            window="20m",
            by="value",
        ),
    ),
    drifts=(Drift(name="loss", input="loss", detector="adwin", parameters={"delta": 0.2}),),
)
INPUTS = as_inputs(in_order(history(11, count=800)))
PANE_MS = 10 * MINUTE_MS
CELLS = ("predictions", "outcomes", "rule", "reference")

decode = msgspec.msgpack.decode
encode = msgspec.msgpack.encode
Change = Callable[[str, int, Any], tuple[int, Any]]
"""Gets table, version and content of a record, and returns the latter two as they shall be."""


def rewritten(driver: Driver, change: Change) -> None:
    """Let the state that was written down be that of another version."""
    log = driver.monitor_logs[0]
    for key, value in list(log.items()):
        *head, version, content = decode(value)
        table = decode(key)[0]
        log[key] = encode([*head, *change(table, version, content)])


def of_family(name: str, version: Any) -> Change:
    """Let all that a family counted be of a version, or not there for `None`."""

    def change(table: str, own: int, content: Any) -> tuple[int, Any]:
        if table in CELLS:
            for parts in (content[4], content[5][3] if content[5] else {}):
                if name in parts:
                    parts[name][0] = version
                    if version is None:
                        del parts[name]
        return own, content

    return change


def of_table(name: str, version: int = 99) -> Change:
    """Let a table be of another version."""

    def change(table: str, own: int, content: Any) -> tuple[int, Any]:
        return (version if table == name else own), content

    return change


class Then(NamedTuple):
    """What was published when the state was read, and what panes and buckets it lacks.

    Attributes
    ----------
    watermark_ms
        How far rules were judged.
    anew_ms
        By bucket, when rules on the last ten minutes have nothing in view that is lacking.
    """

    metrics: dict[Any, Any]
    lacking: set[tuple[int, int]]
    watermark_ms: int
    anew_ms: dict[int, int]

    def lacks(self, key: tuple[Any, ...]) -> bool:
        """Tell whether a window lacks anything."""
        panes = range(key[3] // PANE_MS, key[4] // PANE_MS)
        return any((number, _bucket((key[0], key[1]))) in self.lacking for number in panes)


def run(
    change: Change | None, *, again: bool = False, watched: Monitors = WATCHED
) -> tuple[Driver, Then]:
    """Feed all, with a restart at half time if anything is changed; return what was there then."""
    driver, then = Driver(monitors=watched), Then({}, set(), -1, {})
    batches = list(cut(INPUTS, [150]))
    for number, batch in enumerate(batches):
        driver.feed(batch)
        if number == len(batches) // 2:
            then = then._replace(metrics=dict(driver.metrics))
            if change is not None:
                rewritten(driver, change)
                driver.restart(random.Random(1))
                [state] = driver.monitors
                then = then._replace(watermark_ms=state.watermark_ms)
                for side in state.windows.grid.sides:
                    then.lacking.update(side.lacking.places)
                for pane_ms, grid in state.rules.watches[USUAL].grids.items():
                    places = sorted(place for one in grid.sides for place in one.lacking.places)
                    for pane, bucket in places:
                        then.anew_ms[bucket] = (pane + 1) * pane_ms + 10 * MINUTE_MS
        elif again and number == len(batches) // 2 + 1:
            driver.restart(random.Random(2))
    driver.finish()
    return driver, then


@pytest.fixture(scope="module")
def plain() -> Driver:
    return run(None)[0]


def metrics_of(family: str) -> set[str]:
    """Return the metrics of a family and of those that use it."""
    return {
        metric.name
        for one in families.CATALOGUE.families
        if family in {one.name, *(used.name for used in one.uses)}
        for metric in one.metrics
    }


def without_revision(records: dict[Any, Any]) -> dict[Any, Any]:
    return {
        key: {name: value for name, value in record.items() if name != "revision"}
        for key, record in records.items()
    }


def alerts_of(driver: Driver, monitor: str) -> list[dict[str, Any]]:
    """Return the alerts of a monitor in an order that does not depend on restarts."""
    return [alert for alert in driver.result()["alerts"] if alert["monitor"] == monitor]


def rules_on(metrics: set[str]) -> set[str]:
    return {t.name for t in WATCHED.thresholds if t.metric.partition(":")[0] in metrics}


@pytest.mark.parametrize(
    ("family", "version", "again"),
    [
        ("classification", 0, False),
        ("classification", None, True),
        ("sure", "x", False),
        ("latency", 2, True),
        ("mean", 2, True),
    ],
    ids=["older", "not there, and another restart", "unknown", "newer", "features"],
)
def test_a_family_of_another_version_is_silent_until_windows_have_it_and_others_never_notice(
    plain: Driver, family: str, version: Any, again: bool
) -> None:
    own = metrics_of(family)

    driver, then = run(of_family(family, version), again=again)

    found, expected = without_revision(driver.metrics), without_revision(plain.metrics)
    silent = complete = 0
    for key in found.keys() | expected.keys():
        metric = key[5].partition(":")[0]
        if metric in own and then.lacks(key):
            assert driver.metrics.get(key) == then.metrics.get(key)
            silent += 1
        else:
            assert found[key] == expected[key]
            complete += metric in own
    assert silent
    assert complete
    others = rules_on({metric.name for f in families.CATALOGUE.families for metric in f.metrics})
    others -= rules_on(own)
    for monitor in {*others, "loss"}:
        assert alerts_of(driver, monitor) == alerts_of(plain, monitor)
    assert any(alert["monitor"] in others for alert in plain.alerts)


def test_a_rule_on_a_family_that_begins_anew_waits_and_then_finds_what_it_would_have_found(
    plain: Driver,
) -> None:
    driver, then = run(of_family("latency", 2))

    early, late = [], []
    for one in (driver, plain):
        alerts = [a for a in alerts_of(one, "slow") if a["at_ms"] > then.watermark_ms]
        waits = [a["at_ms"] < then.anew_ms[_bucket((a["model"], a["version"]))] for a in alerts]
        early.append([a for a, waiting in zip(alerts, waits, strict=True) if waiting])
        late.append({a["alert_id"] for a, w in zip(alerts, waits, strict=True) if not w})
    assert early[0] == []
    assert early[1] != []
    opened_meanwhile = {a["alert_id"] for a in early[1]}
    assert late[0] - opened_meanwhile >= late[1] - opened_meanwhile != set()


@pytest.mark.parametrize("again", [False, True], ids=["one restart", "and another"])
def test_a_relative_rule_gets_a_reference_of_what_its_family_counts_from_then_on(
    again: bool,
) -> None:
    """The reference of others stays as it is; this one grows from panes that are complete."""
    events = as_inputs(in_order(drifting("worse", seed=5, before=0.1, after=0.5, count=4_000)))
    watched = Monitors(
        windows=(Window(10 * MINUTE_MS, 10 * MINUTE_MS),),
        reference=200,
        thresholds=(
            Threshold(
                name="drop", metric="accuracy", kind="falls_by", given=0.3, window="5m", by="value"
            ),
        ),
    )
    driver = Driver(monitors=watched)
    batches = list(cut(events, [100]))
    for number, batch in enumerate(batches):
        driver.feed(batch)
        if number == len(batches) // 4:
            rewritten(driver, of_family("classification", 2))
            driver.restart(random.Random(1))
        elif again and number == len(batches) // 4 + 1:
            driver.restart(random.Random(2))
    driver.finish()

    [fired] = [alert for alert in driver.alerts if alert["state"] == "firing"]
    halfway_ms = START_MS + 2_000_000
    assert 0 < fired["at_ms"] - halfway_ms < 10 * MINUTE_MS
    assert fired["evidence"]["reference"] == pytest.approx(0.9, abs=0.06)


def remarks(driver: Driver) -> list[str]:
    return [text for text in driver.kinds if "partition" in text]


def test_what_begins_anew_is_said_once_a_start_and_counted() -> None:
    driver, _ = run(of_family("classification", 2))

    [text] = remarks(driver)
    assert "without this version of classification" in text
    assert "windows with panes before 2024-06-01 01:" in text
    assert driver.restarted == ["classification"]


def test_a_start_after_that_says_what_is_still_silent_and_counts_nothing_twice() -> None:
    driver, _ = run(None)
    rewritten(driver, of_family("classification", 2))
    driver.restart(random.Random(1))
    driver.feed([])
    [first] = remarks(driver)
    driver.restart(random.Random(2))
    driver.feed([])

    assert remarks(driver)[0] == first


@pytest.mark.parametrize("table", ["predictions", "outcomes"])
def test_counts_of_another_version_keep_all_windows_with_their_panes_silent(
    plain: Driver, table: str
) -> None:
    driver, then = run(of_table(table))

    expected, found = without_revision(plain.metrics), without_revision(driver.metrics)
    for key in found.keys() | expected.keys():
        if then.lacks(key):
            assert driver.metrics.get(key) == then.metrics.get(key)
        else:
            assert found[key] == expected[key]
    assert then.lacking
    assert not all(map(then.lacks, found))
    assert driver.restarted == [table]


@pytest.mark.parametrize("table", ["rule", "reference", "course", "lanes", "fates"])
def test_a_table_of_another_version_begins_anew_and_metrics_never_notice(
    plain: Driver, table: str
) -> None:
    driver, _ = run(of_table(table))

    assert without_revision(driver.metrics) == without_revision(plain.metrics)
    assert driver.restarted == [table]
    [text] = remarks(driver)
    assert "begin anew" in text


@pytest.mark.parametrize(
    "table", ["clock", "rows", "classes", "shown", "page", "quarantine", "floors"]
)
def test_a_table_that_others_rest_on_refuses_to_be_of_another_version(table: str) -> None:
    driver, _ = run(None)
    state = driver.monitor.new_state(0)
    key = {"clock": ["clock"], "page": ["page", 1, 1, 1, 1]}.get(table, [table, "m", ""])

    with pytest.raises(StateError, match="version 99; this build reads version 1: run the build"):
        driver.monitor.fold(state, encode(key), encode([*FORMAT.head, 99, []]))


def test_traffic_that_was_lost_does_not_make_a_rule_on_silence_fire(plain: Driver) -> None:
    quiet = Threshold(
        name="quiet", metric="predictions", kind="below", given=5, window="10m", by="value"
    )
    watched = Monitors(windows=WATCHED.windows, thresholds=(quiet,))

    driver, _ = run(of_table("rule"), watched=watched)
    untouched, _ = run(None, watched=watched)

    assert alerts_of(driver, "quiet") == alerts_of(untouched, "quiet")


def test_an_open_alert_of_another_version_is_resolved_and_found_anew_where_it_is_still_true() -> (
    None
):
    driver = Driver(monitors=WATCHED)
    batches = list(cut(INPUTS, [150]))
    for batch in batches[: len(batches) // 2]:
        driver.feed(batch)
    last = {alert["alert_id"]: alert for alert in driver.alerts}
    open_before = {name for name, alert in last.items() if alert["state"] == "firing"}
    assert open_before
    before = len(driver.alerts)

    rewritten(driver, of_table("firing"))
    driver.restart(random.Random(1))
    driver.feed([])

    told = driver.alerts[before:]
    assert {alert["alert_id"] for alert in told} == open_before
    assert {alert["state"] for alert in told} == {"resolved"}
    assert all(alert["revision"] == 1 + last[alert["alert_id"]]["revision"] for alert in told)
    assert "another version" in told[0]["message"]
    driver.restart(random.Random(2))
    for batch in batches[len(batches) // 2 :]:
        driver.feed(batch)
    driver.finish()
    anew = [a for a in driver.alerts[before + len(told) :] if a["state"] == "firing"]
    assert anew
    assert not {alert["alert_id"] for alert in anew} & open_before


def test_alerts_that_cannot_be_read_stay_open_and_are_named() -> None:
    def change(table: str, version: int, content: Any) -> tuple[int, Any]:
        return (99, b"sealed") if table == "firing" else (version, content)

    driver, _ = run(change)

    [text] = remarks(driver)[:1]
    assert "alerts that fire in another version" in text
    assert any("cannot be read: they stay open" in one for one in remarks(driver))


def test_detectors_of_another_version_or_with_other_parameters_begin_anew_and_it_is_said() -> None:
    def change(table: str, version: int, content: Any) -> tuple[int, Any]:
        if table == "lanes":
            content[1] = 77
        return version, content

    driver, _ = run(change)

    [text] = remarks(driver)
    assert "detectors of loss in another version" in text
    assert driver.restarted == ["lanes"]


def test_what_this_build_does_not_know_is_left_out_and_said(plain: Driver) -> None:
    def change(table: str, version: int, content: Any) -> tuple[int, Any]:
        if table in CELLS:
            content[4]["fairness"] = [1, b"", b""]
        return version, content

    driver, _ = run(change)

    assert driver.result()["metrics"] == plain.result()["metrics"]
    assert driver.result()["alerts"] == plain.result()["alerts"]
    [text] = remarks(driver)
    assert "has fairness, which this build does not know: left out" in text
    assert driver.restarted == []


def test_nothing_is_said_where_a_step_writes_nothing() -> None:
    """What is said is said with a transaction; it waits for one."""
    driver, _ = run(None)
    rewritten(driver, of_family("latency", 2))
    driver.restart(random.Random(1))

    effects = driver.monitor.step(driver.monitors[0], [], now_ms=driver.now_ms)

    assert effects == Effects()
    assert driver.monitors[0].restarts.parts == {"latency"}
    assert TOPICS.monitor_state


def test_an_hour_lacks_what_any_of_its_panes_lacked() -> None:
    """Also where such a pane has no cell, since nothing of it could be read."""
    cells = Cells([], World())
    cells.lack(7, 3, ["latency"])

    assert cells.gather([(7, 3), (8, 3)], 100, 3) == 0
    cells.drop_places([(7, 3), (8, 3)])

    assert cells.lacking.places == {(100, 3)}
    assert cells.lacking.of((100, 3)) == ["latency"]
    assert cells.dirty == {(100, 3)}
