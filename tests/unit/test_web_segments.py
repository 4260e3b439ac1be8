"""The screen of segments: worst first, and whose the drop of the whole is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from agents.web.screens.segments import Mean, of_drop
from tests import webs
from tests.sinking import MINUTE_MS, START_MS, Log, metric
from tests.webs import api, ask, rows

WINDOWS = 24
KEYS = ("a", "b")
ODD = webs.NASTY[1]


def a_log() -> Log:
    """Return windows in the newer half of which `k=a` is worse, and has twice the traffic."""
    log = Log()
    for number in range(WINDOWS):
        at = START_MS + number * MINUTE_MS
        late = number >= WINDOWS // 2
        shares = {"a": 200, "b": 100} if late else {"a": 100, "b": 100}
        good = {"a": 0.6 if late else 0.9, "b": 0.8}
        place: dict[str, Any] = {
            "window_start_ms": at,
            "window_end_ms": at + MINUTE_MS,
            "final": True,
        }
        every = sum(shares.values())
        whole = sum(shares[key] * good[key] for key in KEYS) / every
        counted = [("", every, whole)]
        counted += [(f"k={key}", shares[key], good[key]) for key in KEYS]
        counted += [(f"k={ODD}", 1, 0.0)] if number == WINDOWS - 1 else []
        for segment, count, value in counted:
            own: dict[str, Any] = {"segment": segment, "count": count, **place}
            wide = 0.9 if count == 1 else 0.02
            log.add(
                metric(metric="predictions", value=count, low=None, **own),
                metric(metric="accuracy", value=value, low=value - wide, high=value + wide, **own),
                at_ms=at + MINUTE_MS,
            )
        gap = metric(metric="error_difference:k", value=good["b"] - good["a"], **place)
        log.add(gap, at_ms=at + MINUTE_MS)
    return log


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with webs.page(webs.write(a_log(), tmp_path_factory.mktemp("history"))) as running:
        yield running.port


def by_name(answer: Any) -> dict[str, dict[str, Any]]:
    return {row["segment"]: row for row in rows(answer, "segments")}


def test_what_is_worse_beyond_its_interval_comes_first(port: int) -> None:
    answer = api(port, "segments")

    # The odd one is worst, but of a single label.
    names = [row["segment"] for row in rows(answer, "segments")]
    assert names == ["k=a", f"k={ODD}", "k=b"]
    found = by_name(answer)
    assert found["k=a"]["worse"] == pytest.approx(2 / 3 - 0.6)
    assert (found["k=a"]["value"], found["k=a"]["before"]) == pytest.approx((0.6, 0.9))
    assert [row["beyond"] for row in rows(answer, "segments")] == [True, False, False]
    assert answer["facts"]["segment"] == "k=a"


def test_shares_of_traffic_are_those_of_each_half(port: int) -> None:
    found = by_name(api(port, "segments"))["k=a"]

    assert (found["share"], found["share_before"]) == pytest.approx((2 / 3, 1 / 2))


def test_parts_of_a_drop_add_up_to_the_drop(port: int) -> None:
    found = by_name(api(port, "segments"))

    # The whole fell from 0.85 to 2/3: by a, which got worse and more, and by b, which got less.
    drop = 2 / 3 - 0.85
    parts = [
        2 / 3 * (0.6 - 0.85) - 1 / 2 * (0.9 - 0.85),
        1 / 3 * (0.8 - 0.85) - 1 / 2 * (0.8 - 0.85),
    ]
    assert [found[f"k={key}"]["share_of_drop"] for key in KEYS] == pytest.approx(
        [part / drop for part in parts]
    )
    assert sum(parts) == pytest.approx(drop)


@pytest.mark.parametrize(("now", "error", "there"), [(0.86, 0.01, True), (0.88, 0.01, False)])
def test_nobody_has_a_part_of_what_may_be_no_drop(now: float, error: float, there: bool) -> None:
    own = Mean(now, error, 50), Mean(0.9, error, 50)
    whole = Mean(now, error, 100), Mean(0.9, error, 100)

    assert (of_drop(own, whole) is not None) is there
    assert of_drop(own, (whole[0], None)) is None


def test_a_segment_is_drawn_beside_the_whole(port: int) -> None:
    answer = api(port, "segments", segment="k=b")

    own = [row["value"] for row in rows(answer, "segment") if row["metric"] == "accuracy"]
    whole = [row["value"] for row in rows(answer, "whole")]
    assert own == pytest.approx([0.8] * WINDOWS)
    assert whole == pytest.approx([0.85] * 12 + [2 / 3] * 12)
    assert ask(port, "/api/segments?segment=none").json == {"missing": "there is no segment 'none'"}


def test_fairness_is_of_the_whole_model(port: int) -> None:
    found = rows(api(port, "segments"), "fairness")

    assert [row["metric"] for row in found] == ["error_difference:k"] * WINDOWS
    assert found[-1]["value"] == pytest.approx(0.2)


def test_a_model_without_segments_says_so(tmp_path_factory: pytest.TempPathFactory) -> None:
    url = webs.write(webs.a_log("fraud"), tmp_path_factory.mktemp("history"))

    with webs.page(url) as running:
        answer = api(running.port, "segments")

    assert (rows(answer, "segments"), answer["facts"]["segments"]) == ([], 0)
