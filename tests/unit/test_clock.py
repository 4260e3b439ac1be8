"""The clock of an input: a record from the future does not move it, whatever the batches."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.clock import joint_clock_ms, partition_clock_ms
from streams.clock_limits import LONGEST, Limits
from streams.input_clock import InputClock
from streams.outcomes import ClockNotice
from tests.builders import HOUR_MS, MINUTE_MS, START_MS
from tests.examples import some

DAY_MS = 24 * HOUR_MS
LIMITS = Limits(disorder_ms=5_000, horizon_ms=HOUR_MS)


class Feed:
    """A clock, and records that come to it one after the other, each with an id of its own."""

    def __init__(self) -> None:
        self.clock = InputClock()
        self.ids = 0

    def take(self, times_ms: object, *, ids: object = None, pause_ms: int = 0) -> InputClock:
        times = np.array(times_ms, np.int64)
        own = np.arange(self.ids, self.ids + len(times), dtype=np.uint64)
        self.ids += len(times)
        hashes = own if ids is None else np.array(ids, np.uint64)
        self.clock.follow(times, hashes, limits=LIMITS, pause_ms=pause_ms)
        return self.clock

    def regular(self, count: int, *, step_ms: int = 1_000) -> InputClock:
        """Take records that are a step apart, after what there was."""
        first_ms = max(self.clock.newest_ms, START_MS)
        return self.take(first_ms + step_ms * np.arange(1, count + 1))


def lags(feed: Feed, newest_ms: int) -> int:
    return newest_ms - feed.clock.newest_ms


@pytest.mark.parametrize("step_ms", [1, 1_000, MINUTE_MS, HOUR_MS, 7 * HOUR_MS])
def test_a_regular_stream_moves_the_clock_with_every_record(step_ms: int) -> None:
    feed = Feed()
    feed.take(START_MS + step_ms * np.arange(20))

    for number in range(20, 300):
        feed.take([START_MS + step_ms * number])
        assert feed.clock.newest_ms == START_MS + step_ms * number


def test_irregular_streams_are_held_up_seldom_and_not_for_long() -> None:
    """Gaps as of a Poisson process, a minute on average: eight minutes come once in 3,000."""
    gaps_ms = np.random.default_rng(1).exponential(MINUTE_MS, 20_000).astype(np.int64)
    times_ms = START_MS + np.cumsum(gaps_ms)
    clock, ids = InputClock(), np.arange(len(times_ms), dtype=np.uint64)

    newest_ms = clock.follow(times_ms, ids, limits=LIMITS)

    held = newest_ms < times_ms
    assert held[20:].mean() < 0.02
    assert clock.newest_ms == times_ms[-1]


@pytest.mark.parametrize("ahead_ms", [MINUTE_MS, 3 * HOUR_MS, DAY_MS])
@pytest.mark.parametrize("times", [1, 2, 19, 500])
def test_one_record_does_not_move_the_clock_however_often_it_is_sent(
    ahead_ms: int, times: int
) -> None:
    feed = Feed()
    feed.regular(100)
    newest_ms = feed.clock.newest_ms

    feed.take([newest_ms + ahead_ms] * times, ids=[10**6] * times)
    assert feed.clock.newest_ms == newest_ms

    feed.regular(1)
    assert feed.clock.newest_ms == newest_ms + 1_000


def test_the_first_record_may_be_the_one_from_the_future() -> None:
    feed = Feed()

    feed.take([START_MS + DAY_MS])
    assert feed.clock.settled_ms(LIMITS) == -1
    feed.take(START_MS + 1_000 * np.arange(19))
    assert feed.clock.newest_ms == START_MS + 18_000
    feed.regular(5)
    assert feed.clock.newest_ms == START_MS + 23_000


@pytest.mark.parametrize("minutes", [(0, 1), (0, 1, 2), (0, 1, 2, 4, 5, 9)])
def test_a_handful_of_records_and_then_quiet_is_settled_as_far_as_all_have_come(
    minutes: tuple[int, ...],
) -> None:
    feed = Feed()

    feed.take([START_MS + DAY_MS, *(START_MS + m * MINUTE_MS for m in minutes)])

    assert feed.clock.settled_ms(LIMITS) == START_MS + minutes[-1] * MINUTE_MS


@pytest.mark.parametrize("share", [0.05, 0.2, 0.25, 0.3])
@pytest.mark.parametrize("seed", range(3))
def test_a_host_that_is_hours_fast_is_not_followed_below_a_third(share: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    right_ms = START_MS + 20 * np.arange(200_000)
    fast = rng.random(len(right_ms)) < share
    clock, ids = InputClock(), np.arange(len(right_ms), dtype=np.uint64)

    newest_ms = clock.follow(right_ms + fast * 2 * HOUR_MS, ids, limits=LIMITS)

    assert (newest_ms[20:] <= right_ms[20:]).all()
    assert (newest_ms[20:] > right_ms[20:] - 5_000).all()


@pytest.mark.parametrize(("share", "within"), [(0.42, 20_000), (0.5, 2_000), (0.7, 300), (1.0, 20)])
def test_the_clock_follows_more_than_a_third_and_says_so(share: float, within: int) -> None:
    rng = np.random.default_rng(1)
    feed = Feed()
    feed.regular(1_000, step_ms=20)
    right_ms = feed.clock.newest_ms + 20 * np.arange(1, within + 1)
    fast = rng.random(len(right_ms)) < share

    clock = feed.take(right_ms + fast * 2 * HOUR_MS)

    assert lags(feed, int(right_ms[-1]) + 2 * HOUR_MS) < MINUTE_MS
    assert (clock.followed is None) == (share == 1.0)


@pytest.mark.parametrize("step_ms", [1, 1_000, MINUTE_MS])
def test_after_a_night_the_clock_goes_on_with_the_twentieth_record(step_ms: int) -> None:
    feed = Feed()
    feed.regular(500, step_ms=step_ms)
    evening_ms = feed.clock.newest_ms

    feed.take(evening_ms + 8 * HOUR_MS + step_ms * np.arange(19))
    assert feed.clock.newest_ms == evening_ms
    feed.take([evening_ms + 8 * HOUR_MS + step_ms * 19])
    assert feed.clock.newest_ms == evening_ms + 8 * HOUR_MS + step_ms * 19
    assert feed.clock.followed is None


@pytest.mark.parametrize("ahead_ms", [-HOUR_MS, -1_000, 0, LIMITS.least_ms])
def test_what_comes_after_a_pause_may_be_ahead_by_the_pause(ahead_ms: int) -> None:
    feed = Feed()
    before_ms = feed.regular(200).newest_ms

    feed.take([before_ms + 8 * HOUR_MS + ahead_ms], pause_ms=8 * HOUR_MS)

    assert feed.clock.newest_ms == before_ms + 8 * HOUR_MS + ahead_ms
    assert feed.clock.lead() == (0, 0)


@pytest.mark.parametrize("ahead_ms", [LIMITS.least_ms + 1, 3 * HOUR_MS])
def test_a_pause_explains_no_more_than_its_length(ahead_ms: int) -> None:
    feed = Feed()
    before_ms = feed.regular(200).newest_ms

    feed.take([before_ms + 8 * HOUR_MS + ahead_ms, before_ms + 8 * HOUR_MS], pause_ms=8 * HOUR_MS)

    assert feed.clock.newest_ms == before_ms + 8 * HOUR_MS


def test_a_pause_is_no_step_and_is_over_with_what_comes() -> None:
    feed = Feed()
    step_ms, after_ms = feed.regular(200).step_ms, feed.clock.newest_ms + 8 * HOUR_MS

    feed.take([after_ms], pause_ms=8 * HOUR_MS)
    feed.regular(200)
    feed.take([feed.clock.newest_ms + HOUR_MS])

    assert feed.clock.step_ms == step_ms
    assert feed.clock.newest_ms == after_ms + 200 * 1_000


def test_where_traffic_falls_to_a_tenth_the_clock_goes_on_with_every_record() -> None:
    feed = Feed()
    now_ms = feed.regular(200).newest_ms

    for _ in range(10):
        now_ms += 20_000
        feed.take([now_ms], pause_ms=20_000)
        assert feed.clock.newest_ms == now_ms


def test_a_stream_of_one_id_does_not_stop_the_clock_for_ever() -> None:
    """A label job that calls all ids "None"."""
    feed = Feed()
    feed.regular(100)
    morning_ms = feed.clock.newest_ms + 8 * HOUR_MS

    feed.take(morning_ms + 20 * np.arange(LONGEST + 100), ids=[7] * (LONGEST + 100))

    assert feed.clock.newest_ms == morning_ms + 20 * (LONGEST + 99)


def test_repeated_records_count_once_on_both_sides() -> None:
    """After a night all are sent three times: else never more than a third would be ahead."""
    feed = Feed()
    feed.regular(100)
    morning_ms = feed.clock.newest_ms + 8 * HOUR_MS

    feed.take(np.repeat(morning_ms + 1_000 * np.arange(20), 3), ids=np.repeat(range(500, 520), 3))

    assert feed.clock.newest_ms == morning_ms + 19_000


def test_a_partition_that_gets_little_does_not_follow_a_host_in_another_time_zone() -> None:
    """Eight of its steps are over two hours, which would let every label of an hour be lost."""
    feed = Feed()
    feed.regular(200, step_ms=16 * MINUTE_MS)
    newest_ms = feed.clock.newest_ms

    feed.take([newest_ms + 2 * HOUR_MS])

    assert feed.clock.newest_ms == newest_ms


def test_disorder_is_what_the_operator_says() -> None:
    feed = Feed()
    feed.regular(100, step_ms=10)
    newest_ms = feed.clock.newest_ms

    feed.take([newest_ms + 5_000])
    assert feed.clock.newest_ms == newest_ms + 5_000
    feed.take([newest_ms + 10_001])
    assert feed.clock.newest_ms == newest_ms + 5_000


# --- any cuts


@st.composite
def streams(draw: st.DrawFn) -> tuple[list[int], list[int]]:
    """Draw times and ids: steps of any length, pauses, outliers, hosts that are fast, repeats."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    times_ms: list[int] = []
    now_ms = START_MS
    for _ in range(draw(st.integers(1, 6))):
        count = draw(st.integers(1, 200))
        step_ms = draw(st.sampled_from([0, 1, 700, 5_000, MINUTE_MS, 20 * MINUTE_MS]))
        share = draw(st.sampled_from([0.0, 0.01, 0.3, 0.6]))
        own = now_ms + rng.exponential(step_ms, count).cumsum().astype(np.int64)
        now_ms = int(own[-1]) + draw(st.sampled_from([0, 0, HOUR_MS, 8 * HOUR_MS]))
        fast = rng.random(count) < share
        times_ms += (own + fast * draw(st.sampled_from([7_000, HOUR_MS, DAY_MS]))).tolist()
    spread = draw(st.sampled_from([1, 3, len(times_ms)]))
    ids = (rng.integers(0, len(times_ms) * spread, len(times_ms))).tolist()
    return times_ms, ids


@settings(max_examples=some(150), deadline=None)
@given(streams(), st.lists(st.integers(1, 300), min_size=1, max_size=5))
def test_the_clock_does_not_depend_on_how_batches_are_cut(
    records: tuple[list[int], list[int]], sizes: list[int]
) -> None:
    times_ms, ids = np.array(records[0], np.int64), np.array(records[1], np.uint64)
    one_by_one, cut, told = InputClock(), InputClock(), InputClock()
    single = [
        int(one_by_one.follow(times_ms[i : i + 1], ids[i : i + 1], limits=LIMITS)[0])
        for i in range(len(ids))
    ]

    found: list[int] = []
    turn = 0
    while len(found) < len(ids):
        piece = slice(len(found), len(found) + sizes[turn % len(sizes)])
        cut.fresh.clear()
        found += cut.follow(times_ms[piece], ids[piece], limits=LIMITS).tolist()
        told.unpack(cut.pack(whole=turn % 7 == 3), whole=turn % 7 == 3)
        turn += 1
        assert told == cut

    assert found == single
    assert cut == one_by_one
    assert found == sorted(found)


# --- inputs and partitions together


def test_an_idle_input_makes_no_outlier_the_truth() -> None:
    predictions, labels = Feed(), Feed()
    predictions.regular(200)
    newest_ms = predictions.clock.newest_ms
    labels.regular(150)
    predictions.take([newest_ms + 20 * HOUR_MS])

    labels.clock.idle = True
    assert partition_clock_ms([predictions.clock, labels.clock], LIMITS) == newest_ms - 5_000
    predictions.clock.idle = True
    assert partition_clock_ms([predictions.clock, labels.clock], LIMITS) == newest_ms + 1


def notice(source: int, newest_ms: int, *, idle: bool, near_ms: int = 5_000) -> ClockNotice:
    clock_ms = newest_ms + 1 if idle else newest_ms - 5_000
    return ClockNotice(source, 4, clock_ms, newest_ms, idle=idle, near_ms=near_ms)


@pytest.mark.parametrize("idle", [True, False])
def test_a_partition_alone_far_ahead_does_not_take_the_others_with_it(idle: bool) -> None:
    others = [notice(n, START_MS + n * 1_000, idle=True) for n in range(3)]

    found = joint_clock_ms([*others, notice(3, START_MS + DAY_MS, idle=idle)], sources=4)

    assert found == START_MS + 2_001


def test_partitions_that_get_a_record_in_a_quarter_of_an_hour_follow_each_other() -> None:
    """Of a stream of one record a minute, the last one is what the clock has come to."""
    quiet = [
        notice(n, START_MS + n * MINUTE_MS, idle=True, near_ms=32 * MINUTE_MS) for n in range(16)
    ]

    assert joint_clock_ms(quiet, sources=16) == START_MS + 15 * MINUTE_MS + 1


def test_partitions_that_have_not_begun_hold_nothing_back_once_they_are_idle() -> None:
    unused = [ClockNotice(n, 4, -1, -1, idle=True) for n in range(3)]

    assert joint_clock_ms([*unused, notice(3, START_MS, idle=True)], sources=4) == START_MS + 1


@pytest.mark.parametrize(("last_ms", "counts"), [(0, True), (26 * HOUR_MS, False)])
def test_a_recording_ends_where_its_traffic_has_fallen_to_a_tenth(
    last_ms: int, counts: bool
) -> None:
    """Sixteen records are too few for the clock to follow; one a day ahead of them is no end."""
    usual_ms = [START_MS + i * 1_500 for i in range(320)]
    few_ms = [usual_ms[-1] + (i + 1) * 15_000 for i in range(16)]
    times_ms = usual_ms + few_ms + ([] if counts else [START_MS + last_ms])
    clock = InputClock()

    clock.follow(np.array(times_ms), np.arange(len(times_ms), dtype=np.uint64), limits=LIMITS)

    assert clock.newest_ms == usual_ms[-1]
    assert clock.settled_ms(LIMITS) == few_ms[-1]


def test_no_number_of_records_hours_apart_becomes_the_truth_because_all_is_idle() -> None:
    """A host that is hours fast and sends little: two of its steps are as far as it is ahead."""
    feed = Feed()
    feed.regular(100)
    newest_ms = feed.clock.newest_ms

    for hours in (3, 5, 7, 9):
        feed.take([newest_ms + hours * HOUR_MS])
        assert feed.clock.settled_ms(LIMITS) == newest_ms


def test_what_was_contradicted_since_is_not_settled() -> None:
    feed = Feed()
    feed.regular(100)
    newest_ms = feed.clock.newest_ms

    feed.take([newest_ms + minutes * MINUTE_MS for minutes in (5, 6, 7)])
    assert feed.clock.settled_ms(LIMITS) == newest_ms + 7 * MINUTE_MS
    feed.regular(1)
    assert feed.clock.settled_ms(LIMITS) == newest_ms + 1_000


@pytest.mark.parametrize("every", [5, 8, 40])
@pytest.mark.parametrize("cut", [1, 64, 1_000])
def test_records_each_a_little_further_do_not_drag_the_clock_along(every: int, cut: int) -> None:
    """One in `every` is 4.9 s after the last of its kind, the others come ten a second."""
    feed = Feed()
    start_ms = feed.regular(500, step_ms=100).newest_ms
    times_ms = start_ms + 100 * np.arange(20_000)
    times_ms[::every] = start_ms + 4_900 * np.arange(len(times_ms) // every)
    now_ms = int(times_ms[-1])

    for first in range(0, len(times_ms), cut):
        feed.take(times_ms[first : first + cut])

    assert times_ms.max() - now_ms > 5 * MINUTE_MS
    assert abs(lags(feed, now_ms)) < 2 * MINUTE_MS


def test_where_most_records_come_late_the_clock_goes_by_most_of_them() -> None:
    """Uploads that wait for minutes, beside a few that do not: nothing stands still."""
    feed, rng = Feed(), np.random.default_rng(3)
    made_ms = START_MS + 100 * np.arange(50_000)
    delays_ms = np.where(rng.random(len(made_ms)) < 0.1, 0, rng.exponential(2 * MINUTE_MS, 50_000))
    times_ms = (made_ms - delays_ms).astype(np.int64)

    for first in range(0, len(times_ms), 500):
        feed.take(times_ms[first : first + 500])

    assert 0 <= lags(feed, int(made_ms[-1])) < 2 * MINUTE_MS
