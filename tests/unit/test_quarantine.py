"""A model whose state does not fit into a record is set aside; nothing happens to the others."""

import random
from typing import Any

import pytest

from agents.status import Tally, status_of
from streams.monitors import Drift, Monitors, Threshold
from streams.steps import LARGEST_VALUE_BYTES, Effects
from tests.builders import MINUTE_MS, START_MS, Event, label, prediction
from tests.driver import TOPICS, Driver, as_inputs

WATCHED = Monitors(
    thresholds=(
        Threshold(
            name="floor",
            metric="accuracy",
            kind="below",
            given=0.9,
            minimum=1,
            window="10m",
            by="value",
        ),
    ),
    drifts=(Drift(name="inputs", input="features"),),
)
LIMIT_BYTES = 20_000


class Watching(Driver):
    """A driver that keeps what the steps of the monitor say."""

    def __init__(self, **how: Any) -> None:
        super().__init__(monitors=WATCHED, **how)
        self.monitor.largest_bytes = LIMIT_BYTES
        self.effects: list[Effects] = []
        step = self.monitor.step

        def kept(*arguments: Any, **more: Any) -> Effects:
            self.effects.append(step(*arguments, **more))
            return self.effects[-1]

        self.monitor.step = kept  # type: ignore[method-assign]

    @property
    def said(self) -> list[str]:
        return [str(why) for effects in self.effects for why in effects.set_aside]


def healthy(minute: int) -> list[Event]:
    at_ms = START_MS + minute * MINUTE_MS
    return [
        prediction(f"h{minute}", model="healthy", timestamp_ms=at_ms, features={"amount": minute}),
        label(f"h{minute}", timestamp_ms=at_ms + 1, label=minute % 2),
    ]


def harmful(minute: int, *, names: int = 300, model: str = "evil") -> list[Event]:
    rng, at_ms = random.Random(minute), START_MS + minute * MINUTE_MS
    features = {rng.randbytes(40).hex(): 1 for _ in range(names)}
    return [
        prediction(f"{model}{minute}", model=model, timestamp_ms=at_ms, features=features),
        label(f"{model}{minute}", timestamp_ms=at_ms + 1, label=0),
    ]


def of(driver: Driver, model: str) -> dict[Any, Any]:
    return {
        key: {name: value for name, value in record.items() if name != "revision"}
        for key, record in driver.metrics.items()
        if record["model"] == model
    }


def run(driver: Driver, *, evil: bool, restarts: bool = False) -> None:
    luck = random.Random(1)
    for minute in range(40):
        bad = harmful(minute) if evil and minute in (5, 6, 7, 25) else []
        driver.feed(as_inputs([*healthy(minute), *bad]))
        if restarts:
            driver.restart(luck)
    driver.finish()


@pytest.mark.parametrize("restarts", [False, True])
def test_a_model_whose_state_does_not_fit_is_set_aside_and_the_others_stay_exact(
    restarts: bool,
) -> None:
    alone, beside = Watching(), Watching()

    run(alone, evil=False)
    run(beside, evil=True, restarts=restarts)

    assert of(beside, "healthy") == of(alone, "healthy")
    assert [one for one in beside.alerts if one["model"] == "healthy"] == alone.alerts
    assert len(beside.said) == 1
    assert "'evil' is set aside: its" in beside.said[0]
    state = beside.monitors[0]
    assert [why.model for why in state.quarantined.values()] == ["evil"]
    assert beside.monitor.gauges(state)["quarantined_models"] == 1
    assert beside.monitor.warnings(state) == beside.said
    assert max(len(k) + len(v) for k, v in beside.monitor_logs[0].items()) <= LIMIT_BYTES
    kept = [k for k in beside.monitor_logs[0] if b"evil" in k]
    assert len(kept) == 1


def test_rows_of_a_model_that_is_set_aside_are_counted_and_left_out() -> None:
    driver = Watching()
    driver.feed(as_inputs(harmful(1)))
    assert driver.said
    before = len(driver.metrics)

    driver.restart(random.Random(1))
    driver.feed(as_inputs([*harmful(2, names=1), *harmful(3, names=1)]))
    driver.finish()

    assert sum(effects.set_aside_rows for effects in driver.effects) == 4
    assert len(driver.metrics) == before
    assert len(driver.said) == 1


def test_another_version_of_a_model_that_is_set_aside_is_watched() -> None:
    driver = Watching()
    driver.feed(as_inputs(harmful(1)))

    driver.feed(as_inputs([prediction("b", model="evil", version="2"), label("b")]))
    driver.finish()

    assert driver.value("accuracy", model="evil", version="2") == 1.0


def test_alerts_of_a_model_that_is_set_aside_are_resolved() -> None:
    driver = Watching()
    for minute in range(22):
        driver.feed(as_inputs(harmful(minute, names=1)))
    assert [alert["state"] for alert in driver.alerts] == ["firing"]

    driver.feed(as_inputs(harmful(23)))
    driver.finish()

    assert [alert["state"] for alert in driver.alerts] == ["firing", "resolved"]
    assert driver.alerts[1]["message"] == "the model is set aside"


def test_metrics_of_the_step_that_sets_a_model_aside_are_not_published() -> None:
    """Those of a thousand features would be a transaction of many megabytes."""
    driver = Watching()

    driver.feed(as_inputs(harmful(1)))

    assert driver.said
    assert not driver.metrics


def test_status_names_what_is_set_aside() -> None:
    driver = Watching()
    driver.feed(as_inputs(harmful(1)))

    class Running:
        stage, state, number, running = driver.monitor, driver.monitors[0], 0, True

    status = status_of([Running()], Tally(), worker_id="w", version="1", unready=None)  # type: ignore[list-item]

    assert status.warnings == driver.said


@pytest.mark.parametrize("kind", ["early", "scores", "features"])
def test_large_records_are_written_one_by_one(kind: str) -> None:
    """A broker that makes topics by itself takes a megabyte; of two there would be no half."""
    driver, large = Driver(), "x" * 900_000
    events = {
        "early": [label(f"e{n}", note=large) for n in range(3)],
        "scores": [
            prediction(f"s{n}", scores={f"{large[: 900 - k]}{k}": 0.0 for k in range(900)})
            for n in range(3)
        ],
        "features": [
            prediction(f"f{n}", features={f"{n}{k}{large[:900]}": 1 for k in range(900)})
            for n in range(3)
        ],
    }[kind]

    driver.feed(as_inputs(events))

    limit = LARGEST_VALUE_BYTES + 20_000
    assert max(len(value) for _, value in driver.join_logs[0]) < limit
    assert all(len(v or b"") < limit for topic, _, v in driver.written if topic == TOPICS.outcomes)
