"""Somebody adopts the level that an alert is about: it is what is usual from then on."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from agents.replay import run_replay
from streams.adoption_record import Adoption, adoption_key, read_adoption, write_adoption
from streams.errors import RecordError
from streams.monitors import SCAN, Drift, Monitors, Threshold
from streams.noticed import Noticed
from streams.scan.watch import Alarm, Scan
from streams.steps import Effects
from streams.watchers.lanes import Input
from tests.builders import HOUR_MS, MINUTE_MS, START_MS, Event
from tests.driver import TOPICS, Driver, How, as_inputs, batch_of, cut
from tests.examples import some
from tests.unit.test_scan import DAY_MS, EVERY, LOSS, WAYS, after_ms, shifted, times, traffic, wrong

KEY = "loss", "loss"
PANE_MS = 10 * MINUTE_MS


# ------------------------------------------------------------------ the scan
def scanned(
    steps: Sequence[tuple[float, float]], *, days: float, adopt: float, a_day: int = 700
) -> list[Alarm]:
    """Scan losses that have rates from days on, one of which is adopted on a day."""
    at = times(days, a_day=a_day, seed=1)
    rates = np.zeros(len(at))
    for day, rate in steps:
        rates[at >= START_MS + day * DAY_MS] = rate
    scan = Scan(Monitors(drifts=(LOSS,)), [("m", "")])
    scan.watch(0, ["loss"])
    count, losses = np.array([len(at)]), wrong(at, rates, seed=2)
    rows = Input("loss", np.zeros(1, np.int64), count, at, losses, np.array([1]))
    adopt_ms = -(-(START_MS + round(adopt * DAY_MS)) // PANE_MS) * PANE_MS
    found: list[Alarm] = []
    for from_ms, until_ms in ((START_MS, adopt_ms), (adopt_ms, START_MS + int(days * DAY_MS))):
        span = {"from_ms": from_ms, "until_ms": until_ms}
        found += scan.advance([], [rows], Noticed(), **span)
        if until_ms == adopt_ms:
            assert scan.adopt("m", KEY, at_ms=adopt_ms) == {KEY}
            assert scan.open() == set()
    return [one for one in found if one.detector == SCAN]


def told(found: Sequence[Alarm], *, since: float = 0.0) -> list[tuple[str, int, float]]:
    """Return what begins and ends, in which direction, and on which day."""
    every = [(a.found.state, a.found.sign, (a.found.at_ms - START_MS) / DAY_MS) for a in found]
    return [one for one in every if one[0] != "revised" and one[2] > since]


@pytest.mark.parametrize("after_h", [8, 100])
def test_what_was_adopted_is_usual(after_h: int) -> None:
    """Neither is the new level an alert, nor is it one that the old one is gone."""
    steps = [(0, 0.05), (9, 0.2)]
    adopt = 9 + after_h / 24

    found = scanned(steps, days=15, adopt=adopt)

    assert [one[:2] for one in told(found)] == [("firing", 1)]


@pytest.mark.parametrize(("rate", "sign"), [(0.45, 1), (0.05, -1)])
@pytest.mark.parametrize("later", [0.5, 5.0])
def test_what_is_another_level_again_is_noticed(rate: float, sign: int, later: float) -> None:
    """At once, not only when there is a reference of days again."""
    changed = 10 + later

    found = scanned([(0, 0.05), (9, 0.2), (changed, rate)], days=changed + 1, adopt=10)

    [again] = told(found, since=10)
    assert again[:2] == ("firing", sign)
    assert changed < again[2] < changed + 10 / 24
    before = found[-1].found.evidence["before"]
    assert before == pytest.approx(0.2, abs=0.04)


def test_before_a_reference_all_begins_anew() -> None:
    found = scanned([(0, 0.05), (1, 0.6)], days=3.5, adopt=1.3, a_day=2_000)

    assert [one[:2] for one in told(found)] == [("firing", 1)]


# ------------------------------------------------------------------ records
ABOUT = {"effective_at": START_MS, "by": "ann", "adopt": {"alert_id": "a1", "model": "m"}}


@pytest.mark.parametrize(
    ("record", "says"),
    [
        (ABOUT | {"by": " "}, "by"),
        (ABOUT | {"adopt": {"alert_id": "a1"}}, "missing required field `model`"),
        (ABOUT | {"adopt": {"alert_id": "a2", "model": "m"}}, 'it must be ["adopt","a2"]'),
        (ABOUT | {"effective_at": "soon"}, "effective_at: 'soon' is no time"),
        (ABOUT | {"why": "x"}, "unknown field `why`"),
        (ABOUT | {"note": "x" * 20_000}, "it has over 10,000 bytes"),
    ],
)
def test_what_is_no_order_is_refused(record: dict[str, Any], says: str) -> None:
    with pytest.raises(RecordError, match="invalid_feedback") as error:
        read_adoption(msgspec.json.encode(record), key=adoption_key("a1"))

    assert says in error.value.detail


def test_an_order_is_read_as_it_was_written() -> None:
    given_ = Adoption("a1", "m", "ann", "new prices", START_MS)

    assert read_adoption(write_adoption(given_), key=adoption_key("a1")) == given_


# ------------------------------------------------------------------ whole models
class Said(Driver):
    """A driver with a topic of feedback."""

    feedback: list[tuple[str, bytes | None, bytes | None]]

    def __init__(self, **how: Any) -> None:
        super().__init__(**how)
        self.feedback, self.counted = [], Counter[str]()

    def adopt(self, alert_id: str, model: str, *, at_ms: int, note: str = "") -> None:
        value = write_adoption(Adoption(alert_id, model, "ann", note, at_ms))
        self.feedback.append((TOPICS.feedback, adoption_key(alert_id), value))

    def _evaluate(self, partition: int, values: Sequence[bytes]) -> None:
        state = self.monitors[partition]
        first, end = state.next.get(TOPICS.feedback, 0), len(self.feedback)
        if first < end:
            own = self.feedback[first:]
            batch = batch_of(TOPICS.feedback, own, offsets=range(first, end))
            self._take(partition, self.monitor.step(state, [batch], now_ms=self.now_ms))
        super()._evaluate(partition, values)

    def _take(self, partition: int, effects: Effects) -> None:
        self.counted.update(taken=effects.adopted, left=effects.adoptions_left)
        super()._take(partition, effects)


def driven(
    events: list[Event], how: How, *adopted: tuple[str, str, int], monitors: Monitors
) -> Said:
    driver = Said(partitions=how.partitions, monitors=monitors)
    driver.monitor.rows_at_once = how.rows
    for alert_id, model, at_ms in adopted:
        driver.adopt(alert_id, model, at_ms=at_ms)
    luck = random.Random(how.restarts)
    for records in cut(as_inputs(events), how.sizes):
        driver.feed(records)
        if how.restarts and luck.random() < 0.2:
            driver.restart(luck)
    driver.finish()
    return driver


def events_of(seed: int) -> list[Event]:
    events = traffic(2.3, a_day=260, seed=seed) + traffic(2.3, a_day=60, model="n", seed=seed)
    return shifted(sorted(events, key=lambda one: one["timestamp_ms"]), 2.0, debt=None, age=900.0)


EVERYTHING = Monitors(drifts=EVERY)


@settings(max_examples=some(4), phases=(Phase.generate,))  # to shrink it takes minutes
@given(
    WAYS,
    st.integers(0, 50),
)
def test_adopting_does_not_depend_on_steps_partitions_or_restarts(how: How, seed: int) -> None:
    events = events_of(seed)
    plain = driven(events, How([len(events)]), monitors=EVERYTHING)
    firing = [one for one in plain.alerts if one["state"] == "firing" and not one["revision"]]
    adopted = [(a["alert_id"], a["model"], a["at_ms"] + 7 * MINUTE_MS) for a in firing]
    at_once = driven(events, How([len(events)]), *adopted, monitors=EVERYTHING)

    other = driven(events, how, *adopted, monitors=EVERYTHING)

    assert other.result()["alerts"] == at_once.result()["alerts"]
    assert other.counted == at_once.counted
    assert at_once.counted["taken"] > 0


@pytest.mark.long
def test_an_alert_that_is_adopted_is_resolved_by_whom_and_so_is_that_of_the_spread() -> None:
    events = shifted(traffic(4.5, a_day=300, seed=1), 4.2, age=5_000.0, debt="none")
    own = tuple(one for one in EVERY if one.input in ("features", "missing"))
    driver = Said(monitors=Monitors(drifts=own))
    driver.feed(as_inputs(one for one in events if not after_ms(one, 4.4)))
    by_input = {a["evidence"]["input"]: a for a in driver.alerts if not a["revision"]}
    level, spread = (by_input[f"feature:age{end}"] for end in ("", ":spread"))
    at_ms = START_MS + round(4.4 * DAY_MS) // PANE_MS * PANE_MS + PANE_MS
    driver.adopt(level["alert_id"], "m", at_ms=at_ms - 1, note="new ages")

    driver.feed(as_inputs(one for one in events if after_ms(one, 4.4)))
    driver.finish()

    last = {a["alert_id"]: a for a in driver.alerts}
    for one in (level, spread):
        over = last[one["alert_id"]]
        assert (over["state"], over["at_ms"]) == ("resolved", at_ms)
        assert over["message"] == "adopted by ann: new ages"
        assert over["evidence"]["adopted_by"] == "ann"
    others = [a for a in last.values() if "missing" in a["message"]]
    assert {a["state"] for a in others} == {"firing"}
    assert driver.counted == {"taken": 1, "left": 0}


def test_an_order_that_comes_late_takes_effect_now_and_says_so() -> None:
    driver = Said(monitors=EVERYTHING)
    driver.feed(as_inputs(events_of(1)))
    driver.finish()
    [first, *_] = driver.alerts
    watermark_ms = driver.monitors[0].watermark_ms
    driver.adopt(first["alert_id"], first["model"], at_ms=START_MS)

    driver.come_to(watermark_ms + DAY_MS)
    driver.finish()

    [over] = [a for a in driver.alerts if "adopted_by" in a["evidence"]]
    assert over["at_ms"] == -(-watermark_ms // PANE_MS) * PANE_MS
    assert any("driftline.feedback@0 has come later" in said for said in driver.kinds)


@pytest.mark.parametrize("partitions", [1, 3])
def test_an_alert_that_never_was_is_counted_said_and_harmless(partitions: int) -> None:
    events = traffic(0.3, a_day=300)
    plain = driven(events, How([500]), monitors=EVERYTHING)

    driver = driven(
        events,
        How([500], partitions=partitions),
        ("nobody", "m", START_MS + HOUR_MS),
        ("nobody", "unknown", START_MS + HOUR_MS),
        monitors=EVERYTHING,
    )

    assert driver.result()["alerts"] == plain.result()["alerts"]
    assert driver.counted["left"] == 2
    said = "driftline.feedback@0: no alert 'nobody' of 'm' fires"
    assert driver.kinds.count(said) == 1


def test_a_rule_has_its_limit_from_the_file() -> None:
    rule = Threshold(name="few", metric="predictions", kind="above", given=0, minimum=1)
    monitors = Monitors(thresholds=(rule,))
    events = traffic(0.2, a_day=300)
    plain = driven(events, How([500]), monitors=monitors)
    [first, *_] = plain.alerts

    driver = driven(events, How([500]), (first["alert_id"], "m", first["at_ms"]), monitors=monitors)

    assert driver.alerts == plain.alerts
    assert driver.counted == {"taken": 0, "left": 1}
    assert any("'few' cannot be adopted: its limit is that" in said for said in driver.kinds)


LOUD = {"reference": 20, "block": 1, "threshold": 1, "delta": 0.01}


def jumping() -> list[Event]:
    """Return predictions with a score that jumps."""
    return [
        one | {"score": 0.9 if i > 150 else 0.5 + i % 7 / 100} if "prediction" in one else one
        for i, one in enumerate(traffic(0.4, a_day=300))
    ]


def test_what_a_detector_of_values_has_found_is_over_by_that() -> None:
    """It has gone over to the new level by itself."""
    drift = Drift(name="ph", input="score", detector="page_hinkley", parameters=LOUD)
    monitors = Monitors(drifts=(drift,), resolve_ms=10 * DAY_MS)
    plain = driven(jumping(), How([500]), monitors=monitors)
    last = [a for a in plain.alerts if a["state"] == "firing"][-1]

    driver = driven(
        jumping(), How([500]), (last["alert_id"], "m", last["at_ms"]), monitors=monitors
    )

    [over] = [a for a in driver.alerts if "adopted_by" in a["evidence"]]
    assert (over["alert_id"], over["state"]) == (last["alert_id"], "resolved")
    assert over["at_ms"] == -(-last["at_ms"] // PANE_MS) * PANE_MS


def replayed(folder: Path, more: Sequence[dict[str, Any]]) -> tuple[list[dict[str, Any]], str]:
    """Return the alerts of a replay, and what it could not use."""
    folder.mkdir()
    file, monitors, letters = (folder / name for name in ("e.jsonl", "m.yaml", "dead.jsonl"))
    file.write_text("".join(json.dumps(one) + "\n" for one in [*jumping(), *more]))
    drift = {"name": "ph", "input": "score", "detector": "page_hinkley", "parameters": LOUD}
    monitors.write_text(json.dumps({"drift": [drift], "defaults": False, "resolve_after": "9d"}))
    run_replay(
        [file],
        monitors=monitors,
        out=folder,
        window_ms=PANE_MS,
        horizon_ms=HOUR_MS,
        partitions=3,
        disorder_ms=None,
        columns=None,
        json_output=True,
        dead_letters=letters,
    )
    lines = (folder / "alerts.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines], letters.read_text() if letters.exists() else ""


def test_lines_of_feedback_take_effect_in_a_replay(tmp_path: Path) -> None:
    plain, _ = replayed(tmp_path / "plain", [])
    last = [a for a in plain if (a["state"], a["kind"]) == ("firing", "drift")][-1]
    about = {"alert_id": last["alert_id"], "model": "m"}
    verdict = {"alert_id": last["alert_id"], "verdict": "true", "by": "ann"}

    found, letters = replayed(
        tmp_path / "adopted",
        [verdict, {"effective_at": last["at_ms"], "by": "ann", "adopt": about}],
    )

    assert [a["alert_id"] for a in found if a["message"] == "adopted by ann"] == [last["alert_id"]]
    assert letters == ""
    _, letters = replayed(
        tmp_path / "no", [{"effective_at": last["at_ms"], "by": " ", "adopt": about}]
    )
    assert "invalid_feedback" in letters


def test_verdicts_are_for_others_and_what_is_no_order_is_set_aside_once() -> None:
    driver = Said(partitions=2, monitors=EVERYTHING)
    driver.feedback += [
        (TOPICS.feedback, b"a1", json.dumps({"alert_id": "a1", "verdict": "true"}).encode()),
        (TOPICS.feedback, adoption_key("a1"), b"no JSON"),
        (TOPICS.feedback, adoption_key("a1"), None),
        (TOPICS.feedback, None, b"x"),
    ]

    driver.feed(as_inputs(traffic(0.1, a_day=100)))
    driver.finish()

    assert [(one.topic, one.offset, one.reason) for one in driver.refused] == [
        (TOPICS.feedback, 1, "invalid_feedback")
    ]
