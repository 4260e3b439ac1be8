"""What counts as a stall, and what is forgiven: broker outages, suspensions, slow progress."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from agents.progress import LOOK_S, SUSPENDED_S, Watch

STALL_S = 60.0
INPUT = ("predictions", 0)
Event = Callable[[Watch, float], None]


def idle(watch: Watch, now_s: float) -> None:
    watch.lag_seen({INPUT: 0}, now_s)


def lag(watch: Watch, now_s: float) -> None:
    watch.lag_seen({INPUT: 1_234}, now_s)


def away(watch: Watch, now_s: float) -> None:
    watch.broker_answered(False, now_s)


def begin(what: str) -> Event:
    return lambda watch, now_s: watch.began(what, now_s)


def progress(what: str) -> Event:
    return lambda watch, now_s: watch.progressed(what, now_s)


def end(what: str) -> Event:
    return lambda watch, now_s: watch.ended(what, now_s)


def live(events: dict[float, Event | list[Event]], *, until_s: float) -> Watch:
    """Look once a second, while the event loop runs and the broker answers, but for `events`."""
    watch = Watch(STALL_S, now_s=0.0)
    for now_s in sorted({float(second) for second in range(int(until_s) + 1)} | events.keys()):
        watch.looked(now_s)
        watch.loop_answered(now_s)
        found = events.get(now_s, [])
        happened = found if isinstance(found, list) else [found]
        if watch.must_ask(now_s) and away not in happened:
            watch.broker_answered(True, now_s)
        for event in happened:
            event(watch, now_s)
        if now_s < until_s:
            assert watch.verdict(now_s) is None, now_s
    return watch


WAITING = "nothing was committed of 1,234 records that wait, for 60 s, and the broker answers"


@pytest.mark.parametrize(
    ("events", "stalls_s", "says"),
    [
        ({5.0: lag}, 65, WAITING),
        ({5.0: idle, 9.0: lag}, 65, WAITING),
        ({5.0: lag, 30.0: Watch.committed}, 90, WAITING),
        ({5.0: lag, 30.0: idle, 31.0: lag}, 90, WAITING),
        ({5.0: idle}, 65, "nothing was heard of the inputs, for 60 s, and the broker answers"),
        (
            {5.0: begin("a commit")},
            65,
            "a commit made no progress, for 60 s, and the broker answers",
        ),
        ({5.0: begin("x"), 30.0: progress("x")}, 90, "x made no progress, for 60 s, and the"),
        ({5.0: begin("x"), 30.0: [begin("x"), end("x")]}, 90, "x made no progress, for 60 s, and"),
    ],
    ids=[
        "lag and no commit",
        "lag after none",
        "a commit in between",
        "no lag in between",
        "no reports any more",
        "a commit hangs",
        "progress, then none",
        "one of two of a kind ended",
    ],
)
def test_no_progress_while_the_broker_answers_is_a_stall_at_the_limit_and_not_before(
    events: dict[float, Event | list[Event]], stalls_s: int, says: str
) -> None:
    assert live(events, until_s=stalls_s - 1).verdict(stalls_s - 1) is None
    verdict = live(events, until_s=stalls_s).verdict(stalls_s)
    assert verdict is not None
    assert verdict.startswith(says)


@pytest.mark.parametrize(
    "events",
    [
        {},
        dict.fromkeys(map(float, range(5, 300)), idle),
        {5.0: lag, **dict.fromkeys(map(float, range(50, 300, 59)), Watch.committed)},
        {5.0: begin("x"), **dict.fromkeys(map(float, range(50, 300, 59)), progress("x"))},
        {5.0: begin("x"), 60.0: end("x")},
        {5.0: [begin("x"), begin("x")], 60.0: [end("x"), end("x")]},
        {5.0: progress("x")},
    ],
    ids=[
        "nothing has begun",
        "nothing waits",
        "commits",
        "slow progress",
        "work that ended",
        "two of a kind that ended",
        "progress of nothing",
    ],
)
def test_a_worker_that_goes_on_is_left_alone(events: dict[float, Event | list[Event]]) -> None:
    assert live(events, until_s=300).verdict(300) is None


@pytest.mark.parametrize("stalled", [lag, begin("a commit")], ids=["reading", "committing"])
def test_an_outage_of_the_broker_is_waited_for_and_then_the_limit_begins_anew(
    stalled: Event,
) -> None:
    outage = dict.fromkeys(map(float, range(20, 500)), away)

    watch = live({5.0: stalled, **outage}, until_s=558)

    assert watch.verdict(558) is None
    watch = live({5.0: stalled, **outage}, until_s=559)
    assert watch.verdict(559) is not None


@pytest.mark.parametrize(
    ("age_s", "judged"), [(15.0, True), (15.001, False)], ids=["fresh", "too old"]
)
def test_an_answer_counts_for_a_quarter_of_the_limit(age_s: float, judged: bool) -> None:
    watch = live({5.0: begin("x")}, until_s=65)
    now_s = 80.0
    for second in (68.0, 72.0, 76.0, now_s):
        watch.looked(second)
    watch.loop_answered(now_s)
    watch.broker_answered(True, now_s - age_s)

    assert (watch.verdict(now_s) is not None) == judged


@pytest.mark.parametrize(
    ("now_s", "asks"), [(19.999, False), (20.0, True)], ids=["before a quarter", "at a quarter"]
)
def test_the_broker_is_asked_once_something_is_slow(now_s: float, asks: bool) -> None:
    watch = Watch(STALL_S, now_s=0.0)
    assert not watch.must_ask(100.0)
    watch.began("x", 5.0)

    assert watch.must_ask(now_s) == asks


def test_the_broker_is_not_asked_again_at_once() -> None:
    watch = Watch(STALL_S, now_s=0.0)
    watch.began("x", 0.0)
    watch.broker_answered(True, 20.0)

    assert not watch.must_ask(23.7)
    assert watch.must_ask(23.75)


@pytest.mark.parametrize(
    ("blocked_s", "says"),
    [(59.9, None), (60.0, "the event loop has been blocked for 60 s")],
    ids=["not yet", "at the limit"],
)
def test_a_blocked_event_loop_is_a_stall_whatever_the_broker_does(
    blocked_s: float, says: str | None
) -> None:
    watch = Watch(STALL_S, now_s=0.0)
    watch.loop_answered(7.0)
    for second in range(68):
        watch.looked(float(second))
        watch.broker_answered(False, float(second))

    assert watch.verdict(7.0 + blocked_s) == says


def test_a_suspended_process_starts_its_limits_anew() -> None:
    watch = live({5.0: [begin("a commit"), lag]}, until_s=50)
    woken_s = 5_000.0
    assert watch.verdict(woken_s) is None

    watch.looked(woken_s)
    watch.broker_answered(True, woken_s)

    assert watch.verdict(woken_s) is None
    for second in range(1, 60):
        watch.looked(woken_s + second)
        watch.broker_answered(True, woken_s + second)
        assert watch.verdict(woken_s + second) is None
    watch.looked(woken_s + 60)
    assert watch.verdict(woken_s + 60) is not None


@pytest.mark.parametrize(("pause_s", "stalls"), [(SUSPENDED_S, True), (SUSPENDED_S + 0.001, False)])
def test_a_look_that_is_a_little_late_forgives_nothing(pause_s: float, stalls: bool) -> None:
    watch = Watch(STALL_S, now_s=0.0)
    now_s = 0.0
    while now_s < STALL_S - pause_s:
        watch.looked(now_s)
        now_s += LOOK_S
    watch.looked(STALL_S - pause_s)
    watch.looked(STALL_S)

    assert (watch.verdict(STALL_S) is not None) == stalls


@pytest.mark.parametrize(("pause_s", "says"), [(2.0, "the event loop"), (2.001, None)])
def test_a_short_limit_forgives_a_pause_of_half_of_it(pause_s: float, says: str | None) -> None:
    """Where both loop and caller did not run, the machine was busy, or the process suspended."""
    watch = Watch(4.0, now_s=0.0)
    for second in (1.0, 2.0):
        watch.looked(second)

    watch.looked(2.0 + pause_s)

    found = watch.verdict(2.0 + pause_s)
    assert found is None if says is None else (found or "").startswith(says)
