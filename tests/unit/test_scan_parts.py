"""Parts of a model that the scan looks at: classes, segments, categories, types, probabilities."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from benchmarks.signal import stream, traffic
from benchmarks.signal.models import classifier, of_labels
from benchmarks.signal.product import alerts_of
from benchmarks.signal.stream import DAY_MS, MONDAY_MS, Floats, Ints, Rng, Stream, made
from streams.categories import category
from streams.monitors import DEFAULT_DRIFTS, Monitors
from streams.scan.parameters import BUDGETS

RATE = 15_000
DAYS, CHANGE_MS = 5, MONDAY_MS + 4 * DAY_MS
"""Streams end before the first weekend, which no reference would know."""

TOWNS = np.array([category(name) for name in ("Rome", "Oslo", "Bonn")])


def changed(at_ms: Ints, before: float, after: float) -> Floats:
    return np.where(at_ms >= CHANGE_MS, after, before)


# --- one stream a change


def one_segment(rng: Rng, at_ms: Ints) -> Stream:
    site = (rng.random(len(at_ms)) < 0.2).astype(np.int64)
    error = np.where(site == 1, changed(at_ms, 0.05, 0.5), 0.05)
    found = classifier(rng, MONDAY_MS, at_ms, error=error)
    return replace(found, segment=site, segments=("site=a", "site=b"))


def distance_of_one_segment(rng: Rng, at_ms: Ints) -> Stream:
    site = (rng.random(len(at_ms)) < 0.1).astype(np.int64)
    spread = np.where(site == 1, changed(at_ms, 1_000.0, 3_000.0), 1_000.0)
    target = rng.lognormal(3.0, 0.5, len(at_ms))
    number = target + rng.normal(0, 1, len(at_ms)) * spread
    found = made(rng, begun_ms=MONDAY_MS, time_ms=at_ms, number=number, label=target)
    return replace(found, segment=site, segments=("site=a", "site=b"))


def one_class(rng: Rng, at_ms: Ints) -> Stream:
    label = rng.choice(3, len(at_ms), p=(0.5, 0.3, 0.2))
    error = np.where(label == 2, changed(at_ms, 0.05, 0.5), 0.05)
    return of_labels(rng, MONDAY_MS, at_ms, label=label, error=error)


def too_sure(rng: Rng, at_ms: Ints) -> Stream:
    likely = rng.beta(2, 2, len(at_ms))
    label = (rng.random(len(at_ms)) < likely).astype(float)
    odds = np.log(likely / (1 - likely)) * changed(at_ms, 1.0, 4.0)
    score = 1 / (1 + np.exp(-odds))
    columns = {"time_ms": at_ms, "label": label, "score": score}
    return made(rng, begun_ms=MONDAY_MS, number=(score > 0.5).astype(float), **columns)


def new_category(rng: Rng, at_ms: Ints) -> Floats:
    new = rng.random(len(at_ms)) < changed(at_ms, 0.0, 0.2)
    return np.where(new, TOWNS[2], TOWNS[rng.choice(2, len(at_ms))])


def numbers_among_categories(rng: Rng, at_ms: Ints) -> Floats:
    towns = TOWNS[rng.choice(2, len(at_ms))]
    return np.where(at_ms >= CHANGE_MS, rng.choice(2, len(at_ms)).astype(float), towns)


def texts_among_numbers(rng: Rng, at_ms: Ints) -> Floats:
    text = rng.random(len(at_ms)) < changed(at_ms, 0.0, 0.2)
    return np.where(text, category("n/a"), rng.normal(50, 10, len(at_ms)))


def fewer_labels(rng: Rng, at_ms: Ints) -> Stream:
    found = classifier(rng, MONDAY_MS, at_ms, error=0.05)
    kept = rng.random(len(at_ms)) < changed(at_ms, 0.95, 0.6)
    return replace(found, label_ms=np.where(kept, found.label_ms, -1))


STREAMS: tuple[Callable[[Rng, Ints], Stream], ...] = (
    *(one_segment, distance_of_one_segment, one_class, too_sure, fewer_labels),
)
FEATURES: tuple[Callable[[Rng, Ints], Floats], ...] = (
    *(new_category, numbers_among_categories, texts_among_numbers),
)


def _streams() -> Iterator[tuple[str, Stream]]:
    for number, make in enumerate((*STREAMS, *FEATURES)):
        rng = np.random.default_rng(number)
        at_ms = traffic.poisson(rng, RATE, MONDAY_MS)
        at_ms = at_ms[at_ms < MONDAY_MS + DAYS * DAY_MS]
        found = make(rng, at_ms)
        if not isinstance(found, Stream):
            found = replace(classifier(rng, MONDAY_MS, at_ms, error=0.05), features={"x": found})
        yield make.__name__, found


@pytest.fixture(scope="module")
def alerts() -> dict[str, list[dict[str, Any]]]:
    """Return by model what begins to fire after its change: all go through one run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stream, "DAYS", DAYS)
        found = alerts_of(dict(_streams()), Monitors(drifts=DEFAULT_DRIFTS))
    return {model: [one for one in own if begins(one)] for model, own in found.items()}


def begins(alert: dict[str, Any]) -> bool:
    return bool(alert["kind"] != "incident" and alert["revision"] == 0)


def inputs_of(alerts: list[dict[str, Any]]) -> set[str]:
    return {one["evidence"]["input"] for one in alerts}


def of(alerts: list[dict[str, Any]], source: str) -> dict[str, Any]:
    return next(one for one in alerts if one["evidence"]["input"] == source)


# --- what is told of it


def test_nothing_is_found_before_it_changes(alerts: dict[str, list[dict[str, Any]]]) -> None:
    early = [one for own in alerts.values() for one in own if one["at_ms"] < CHANGE_MS]

    assert early == []


def test_the_loss_of_a_segment_is_told_of_that_segment(alerts: dict[str, Any]) -> None:
    found = alerts["one_segment"]

    one = of(found, "loss:segment:site=b")
    assert (one["segment"], one["direction"]) == ("site=b", "worse")
    assert one["value"] == pytest.approx(0.5, abs=0.2)
    assert one["at_ms"] - CHANGE_MS < DAY_MS
    assert "loss:segment:site=a" not in inputs_of(found)


def test_the_distance_of_a_segment_is_told_in_its_unit(alerts: dict[str, Any]) -> None:
    one = of(alerts["distance_of_one_segment"], "loss:segment:site=b")

    assert one["segment"] == "site=b"
    assert one["threshold"] == pytest.approx(800, rel=0.2)
    assert one["value"] == pytest.approx(2_400, rel=0.4)


def test_the_loss_of_a_true_class_is_told_of_that_class(alerts: dict[str, Any]) -> None:
    found = alerts["one_class"]

    assert of(found, "loss:class:2")["value"] == pytest.approx(0.5, abs=0.2)
    assert not {"loss:class:0", "loss:class:1"} & inputs_of(found)


def test_probabilities_that_are_too_sure_have_another_log_loss(alerts: dict[str, Any]) -> None:
    found = alerts["too_sure"]

    one = of(found, "log_loss")
    assert one["threshold"] == pytest.approx(0.5, abs=0.1)
    assert 0.7 < one["value"] < 1.5
    assert "loss" not in inputs_of(found)


def test_a_category_that_the_first_day_did_not_have_is_unseen(alerts: dict[str, Any]) -> None:
    assert inputs_of(alerts["new_category"]) == {"unseen:x"}


def test_a_number_among_categories_is_unseen(alerts: dict[str, Any]) -> None:
    assert inputs_of(alerts["numbers_among_categories"]) == {"unseen:x"}


def test_a_text_among_numbers_is_of_another_type_and_not_missing(alerts: dict[str, Any]) -> None:
    found = alerts["texts_among_numbers"]

    one = of(found, "type:x")
    assert inputs_of(found) == {"type:x"}
    assert one["value"] == pytest.approx(0.2, abs=0.15)
    assert one["at_ms"] - CHANGE_MS < DAY_MS / 4


def test_labels_that_do_not_come_within_the_horizon_are_lacking(alerts: dict[str, Any]) -> None:
    one = of(alerts["fewer_labels"], "coverage")

    assert one["direction"] == "worse"
    assert one["threshold"] == pytest.approx(0.95, abs=0.02)
    assert one["value"] == pytest.approx(0.6, abs=0.15)
    assert one["at_ms"] - CHANGE_MS < DAY_MS / 2


def test_lanes_share_what_their_monitor_may_cost_and_say_so(alerts: dict[str, Any]) -> None:
    one = of(alerts["one_class"], "loss:class:2")

    cost = one["evidence"]["false_alarms_per_year"]
    assert cost == pytest.approx(BUDGETS["loss_by_class"] / 3, abs=0.001)
