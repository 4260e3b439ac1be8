"""The scan's tails, ranks, samples and references, against closed forms and scipy."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from streams.scan import tails
from streams.scan.evidence import split
from streams.scan.judging import Judged, Windows, hold_back
from streams.scan.lanes import Lanes
from streams.scan.panes import UNIT, is_weekend
from streams.scan.ranks import SIZE, Tables, mixed, smallest
from streams.scan.reference import COUNT, NUMBER, SHARE, Moments, Reference, learn, rates
from streams.scan.samples import Samples
from streams.scan.weeks import are_new, weekend_hours

DAYS, ROWS = 14, 60
HOURS = np.arange(DAYS * 24)


def moments_of(counts: np.ndarray, sums: np.ndarray) -> Moments:
    """Moments of lanes whose hours are six panes alike."""
    cells = np.zeros((2, 2, 24, 3, counts.shape[1]))
    held = np.zeros((2, counts.shape[1]))
    for hour in HOURS:
        weekend = int((hour // 24 + 3) % 7 >= 5)
        for place, parts in enumerate((6, 2)):
            n, s = counts[hour] / parts, sums[hour] / parts
            for part, product in enumerate((s * s, s * n, n * n)):
                cells[place, weekend, hour % 24, part] += parts * product
            held[place] += parts * (n > 0)
    return Moments(cells, held)


def learnt(sums: np.ndarray, *, kind: int = SHARE, variance: float = 0.0) -> Reference:
    """Return what is learnt of lanes with as many rows in every hour."""
    counts = np.full(sums.shape, float(ROWS))
    lanes = sums.shape[1]
    return learn(
        counts,
        sums,
        kinds=np.full(lanes, kind),
        first_hours=np.zeros(lanes, np.int64),
        variance=np.full(lanes, variance),
        moments=moments_of(counts, sums),
    )


# --- tails


@pytest.mark.parametrize("above", [True, False])
def test_tails_of_counts_are_those_of_a_negative_binomial(above: bool) -> None:
    count, mean = np.array([9.0, 0, 3, 50, 1]), np.array([4.0, 4, 0.5, 20, 30])
    variance = np.array([8.0, 5, 0.6, 200, 31])
    shape, share = mean / (variance / mean - 1), mean / variance

    found = tails.counted(count, mean, variance, np.full(5, above))

    known = stats.nbinom(shape, share)
    expected = known.sf(count - 1) if above else known.cdf(count)
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_counts_that_vary_no_more_than_chance_are_poissons() -> None:
    count, mean = np.array([9.0, 2.0]), np.array([4.0, 7.0])

    found = tails.counted(count, mean, mean / 2, np.array([True, False]))

    expected = [stats.poisson.sf(8, 4), stats.poisson.cdf(2, 7)]
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_students_tail_is_scipys_and_never_lighter_than_that_of_gauss() -> None:
    z, degrees = np.array([0.5, 2.0, 5.0]), np.array([3.0, 13.0, 1000.0])

    found = tails.student(z, degrees)

    np.testing.assert_allclose(found, stats.t.sf(z, degrees), rtol=1e-9)
    assert (found >= stats.norm.sf(z)).all()
    np.testing.assert_allclose(tails.lowest_z(found), stats.norm.isf(found), rtol=1e-9)


@pytest.mark.parametrize("sessions", [2, 10, 40])
def test_log_losses_of_rows_that_share_a_rate_are_beyond_their_tail_as_seldom_as_it_says(
    sessions: int,
) -> None:
    """By Student's tail, which knows no skewness, they are three to twelve times as often."""
    rng = np.random.default_rng(1)
    wrong = rng.binomial(20, rng.beta(0.5, 9.5, (100_000, sessions))).sum(axis=1)
    sums = (2.3 * wrong + 0.26 * (20 * sessions - wrong)) / 8
    mean, variance = np.full(len(sums), sums.mean()), np.full(len(sums), sums.var())
    high = sums > mean
    z = (sums - mean) / np.sqrt(variance)

    own = tails.skewed(sums, mean, variance)
    other = tails.student(z, np.full(len(sums), 1_000.0))

    assert np.mean(high & (own < 0.001)) <= 0.001
    assert np.mean(high & (other < 0.001)) > 0.003


def test_a_budget_is_shared_by_windows_and_sides() -> None:
    limit = tails.limits(np.array([6.0]))[:, 0]
    a_year = np.array([52_560, 17_520, 8_760, 2_920, 1_460, 730, 365, 365 / 3, 365 / 7])

    assert (limit * 2 * 4 * a_year).sum() == pytest.approx(6.0)


# --- what is usual


def test_of_independent_rows_sums_vary_as_they_should() -> None:
    rng = np.random.default_rng(1)
    sums = rng.binomial(ROWS, 0.05, (len(HOURS), 40)).astype(float)

    found = learnt(sums)

    assert found.level.mean() == pytest.approx(0.05, abs=0.001)
    assert np.abs(found.profile).max() < 0.01  # shrunk to nearly nothing
    assert found.phi[2].mean() == pytest.approx(1.0, abs=0.15)
    assert (np.diff(found.phi, axis=0) >= 0).all()


def test_rows_that_share_a_rate_widen_what_is_usual() -> None:
    rng = np.random.default_rng(2)
    rate = rng.beta(0.5, 9.5, (len(HOURS), 20))
    sums = rng.binomial(ROWS, rate).astype(float)

    found = learnt(sums)

    # Var of a sum: n p (1 - p) (1 + (n - 1) / (a + b + 1))
    assert found.phi[2].mean() == pytest.approx(1 + (ROWS - 1) / 11, rel=0.25)


def test_a_daily_cycle_is_usual_and_does_not_widen() -> None:
    rng = np.random.default_rng(3)
    rate = 0.3 + 0.1 * np.sin(HOURS % 24 / 24 * 2 * np.pi)
    sums = rng.binomial(ROWS, rate[:, None], (len(HOURS), 10)).astype(float)

    found = learnt(sums)

    weekday = np.arange(24) + 4 * 24  # a Monday
    own = rates(found, np.full(10, SHARE), weekday, np.zeros(24, bool))
    np.testing.assert_allclose(own.mean(axis=1), rate[:24], atol=0.02)
    assert found.phi[5].mean() < 1.5


def test_weekends_are_learnt_where_they_differ() -> None:
    rng = np.random.default_rng(4)
    weekend = (HOURS // 24 + 3) % 7 >= 5
    rate = np.where(weekend, 0.2, 0.1)
    sums = rng.binomial(ROWS, rate[:, None], (len(HOURS), 10)).astype(float)

    found = learnt(sums)

    own = rates(found, np.full(10, SHARE), np.array([48, 96]), np.array([True, False]))
    np.testing.assert_allclose(own.mean(axis=1), [0.2, 0.1], atol=0.01)


def test_hours_go_by_the_clock_whenever_a_lane_began() -> None:
    sums = np.where(HOURS % 24 == 0, 30.0, 6.0)[:, None] * np.ones(2)
    counts = np.full(sums.shape, float(ROWS))
    firsts = np.array([0, 7])

    found = learn(
        counts,
        sums,
        kinds=np.full(2, SHARE),
        first_hours=firsts,
        variance=np.zeros(2),
        moments=moments_of(counts, sums),
    )

    assert found.profile.argmax(axis=0).tolist() == [0, 7]


@pytest.mark.parametrize("kind", [SHARE, NUMBER, COUNT])
def test_a_lane_learns_the_same_whoever_learns_with_it(kind: int) -> None:
    rng = np.random.default_rng(5)
    sums = rng.binomial(ROWS, 0.3, (len(HOURS), 7)) / 3.0

    together = learnt(sums, kind=kind, variance=0.1)

    for lane in range(7):
        alone = learnt(sums[:, [lane]], kind=kind, variance=0.1)
        for one, other in zip(alone, together, strict=True):
            assert one.tobytes() == np.ascontiguousarray(other[..., [lane]]).tobytes()


# --- ranks


def test_ranks_are_mid_ranks() -> None:
    rng = np.random.default_rng(6)
    sample = np.sort(rng.integers(0, 40, SIZE).astype(float))
    values = np.arange(-1.0, 42.0, 0.5)
    tables = Tables()
    tables.put(np.array([1.0]))
    row = tables.put(sample)

    found = tables.ranks(np.full(len(values), row), values) / UNIT

    left, right = (np.searchsorted(sample, values, side) for side in ("left", "right"))
    np.testing.assert_allclose(found, (left + right) / (2 * SIZE), atol=1 / UNIT)


def test_ranks_by_several_tables_are_those_of_each() -> None:
    rng = np.random.default_rng(7)
    tables = Tables()
    for row in range(5):
        tables.put(np.sort(rng.normal(size=(SIZE, 100, 61, 3, 256)[row])))
    rows, values = rng.integers(0, 5, 400), rng.normal(size=400)

    together = tables.ranks(rows, values)

    for row in range(5):
        own = rows == row
        assert together[own].tolist() == tables.ranks(rows[own], values[own]).tolist()


def test_a_constant_tells_other_values_and_a_flag_the_higher_one() -> None:
    tables = Tables()
    tables.put(np.full(100, 7.0))
    tables.put(np.array([0.0] * 90 + [1.0] * 10))

    constant = tables.ranks(np.zeros(3, np.int64), np.array([7.0, 6.0, 8.0])) / UNIT
    flag = tables.ranks(np.ones(2, np.int64), np.array([0.0, 1.0])) / UNIT

    assert (constant.tolist(), flag.tolist()) == ([0.0, 1.0, 1.0], [0.0, 1.0])


def test_a_table_gives_its_sample_back_and_its_room_to_another() -> None:
    tables = Tables()
    sample = np.sort(np.random.default_rng(5).integers(0, 9, 100).astype(float))

    row = tables.put(sample)
    assert tables.sample(row).tolist() == sample.tolist()
    tables.forget(row)

    assert tables.put(np.array([2.0, 3.0, 4.0])) == row
    assert tables.sample(row).tolist() == [2.0, 3.0, 4.0]


def test_samples_that_are_kept_stay_when_room_is_given_back() -> None:
    samples = Samples()
    lanes = np.repeat(np.arange(300), 3)
    samples.add(lanes, mixed(np.arange(900)), np.arange(900.0))

    for lane in range(299):
        samples.forget(lane)

    assert samples.values(299).tolist() == [897.0, 898.0, 899.0]
    samples.add(np.array([7]), mixed(np.array([1])), np.array([0.5]))
    assert samples.values(7).tolist() == [0.5]


def test_samples_settled_together_are_as_each_by_itself() -> None:
    """Also with rows that come twice, and hashes that two rows share."""
    rng = np.random.default_rng(3)
    lanes = np.repeat(np.arange(40), np.linspace(1, 3 * SIZE, 40).astype(int))
    hashes = mixed(rng.integers(0, 1 << 40, len(lanes)))
    values = rng.normal(size=len(lanes))
    again = np.flatnonzero(lanes % 5 == 0)
    lanes, values = np.append(lanes, lanes[again]), np.append(values, values[again])
    hashes = np.append(hashes, hashes[again])
    shared = lanes % 7 == 1
    hashes[shared] //= np.uint64(1 << 58)
    together, alone = Samples(), Samples()
    for some in np.array_split(rng.permutation(len(lanes)), 9):
        for samples in (together, alone):
            samples.add(lanes[some], hashes[some], values[some])

        together.settle(range(41))

        for lane in range(40):
            assert together.pack(lane) == alone.pack(lane)
    for lane in range(40):
        own = smallest(hashes[lanes == lane], values[lanes == lane])
        assert together.pack(lane) == b"".join(one.tobytes() for one in own)


def test_lanes_that_begin_together_have_the_numbers_that_each_would_have() -> None:
    together, alone = Lanes(), Lanes()
    groups = np.array([together.group(f"m{number}") for number in range(300)])
    for number in range(300):
        alone.group(f"m{number}")

    together.reserve(0)
    alone.reserve(0)
    for place, count in ((0, 70), (1, 1), (2, 300)):
        for lanes in (together, alone):
            lanes.forget(5)
            lanes.forget(9)
        found = together.add(groups[:count], place, "x", pane=13)
        each = [int(alone.add(groups[[n]], place, "x", pane=13)[0]) for n in range(count)]

        assert found.tolist() == each
        assert together.find(place, "x", groups[:count]).tolist() == each
    assert together.names == alone.names
    for part in ("facts", "totals"):
        assert [together.pack(part, n) for n in range(5)] == [alone.pack(part, n) for n in range(5)]


def test_what_lanes_have_is_there_once_there_is_room_for_more() -> None:
    lanes = Lanes()
    [lane] = lanes.add(np.array([lanes.group("m")]), 0, "", pane=0).tolist()
    lanes["pane_rows"][3, lane], lanes["hour_sum"][7, lane], lanes["profile"][5, lane] = 1, 2, 3.5

    lanes.reserve(40)

    kept = [lanes[name][..., lane] for name in ("pane_rows", "hour_sum", "profile")]
    assert [one.sum() for one in kept] == [kept[0][3], kept[1][7], kept[2][5]] == [1, 2, 3.5]


def test_a_lane_needs_few_bytes() -> None:
    """At 10,000 models with 20 lanes each, 8 kB are 1.6 GB."""
    tracemalloc.start()
    try:
        lanes, tables = Lanes(), Tables()
        for number in range(2_000):
            lanes.add(np.array([lanes.group(f"m{number}")]), 0, "", pane=0)
            if number % 5 == 0:
                lanes["table"][number] = tables.put(np.arange(float(SIZE)))
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert used / 2_000 < 8_000


def test_means_come_back_in_the_unit_of_the_values() -> None:
    rng = np.random.default_rng(8)
    tables = Tables()
    tables.put(np.sort(rng.normal(50, 10, SIZE)))
    values = np.full(1000, 50_000.0)

    parts = tables.parts(np.zeros(1000, np.int64), values)

    assert tables.value(0, float(parts.mean())) == pytest.approx(50_000, rel=1e-4)


@given(st.lists(st.integers(1, 300), min_size=1, max_size=8), st.integers(0, 2**16))
def test_samples_do_not_depend_on_batches(sizes: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    total = sum(sizes)
    lanes, values = rng.integers(0, 3, total), rng.normal(size=total)
    hashes = mixed(np.arange(total))
    samples, start = Samples(), 0

    for size in sizes:
        some = slice(start, start + size)
        samples.add(lanes[some], hashes[some], values[some])
        start += size

    for lane in np.unique(lanes).tolist():
        own = lanes == lane
        expected = smallest(hashes[own], values[own])[1]
        assert samples.values(lane).tolist() == sorted(expected.tolist())


# --- weeks


def test_hours_of_weekends_are_counted() -> None:
    rng = np.random.default_rng(10)
    first = rng.integers(400_000, 401_000, 50)
    until = first + rng.integers(0, 400, 50)

    found = weekend_hours(first, until)

    expected = [sum(map(is_weekend, range(*span))) for span in zip(first, until, strict=True)]
    assert found.tolist() == expected


def test_windows_are_new_that_reach_into_days_that_nobody_has_seen() -> None:
    monday, saturday = 4 * 24, 9 * 24
    first, days = np.array([monday, monday, saturday]), np.array([3, 8, 3])
    friday_night, sunday = saturday - 1, saturday + 30

    working = are_new(first, days, range(friday_night, friday_night - 24, -1), (6, 24))
    resting = are_new(first, days, range(sunday, sunday - 36, -1), (6, 36))

    assert working.tolist() == [[False, False, True]] * 2
    assert resting.tolist() == [[True, False, False], [True, False, True]]


def test_of_days_that_nobody_has_seen_only_gross_changes_count() -> None:
    rows, ones = np.full((1, 3), 1000.0), np.ones((1, 3), np.int64)
    found = Windows(0, rows, np.array([[80.0, 160.0, 80.0]]), rows * 0.05, rows)
    new = np.array([[True, True, False]])

    held = hold_back(Judged(rows, ones), found, new, kinds=np.full(3, SHARE))

    assert held.beyond.tolist() == [[0, 1, 1]]


def test_ranks_on_days_that_nobody_has_seen_must_differ_by_more_than_weekends_do() -> None:
    rows, ones = np.full((1, 2), 1000.0), np.ones((1, 2), np.int64)
    found = Windows(0, rows, np.array([[720.0, 850.0]]), rows * 0.5, rows)

    held = hold_back(Judged(rows, ones), found, np.full((1, 2), True), kinds=np.full(2, NUMBER))

    assert held.beyond.tolist() == [[0, 1]]


# --- evidence


def test_the_split_finds_when_a_level_changed_and_to_what() -> None:
    rng = np.random.default_rng(9)
    counts = np.full(400, 28.0)
    rate = np.where(np.arange(400) < 360, 0.05, 0.1)

    found = split(counts, rng.binomial(28, rate).astype(float), least=20)

    assert found is not None
    assert found.at == pytest.approx(360, abs=8)
    assert (found.before, found.after) == pytest.approx((0.05, 0.1), abs=0.02)


def test_there_is_no_split_of_too_few_rows() -> None:
    assert split(np.array([5.0, 4.0]), np.array([1.0, 2.0]), least=5) is None
