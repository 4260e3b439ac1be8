"""The made streams are what their rows say: rates, means, seasons, times of change."""

import numpy as np
import pytest

from benchmarks.signal.changes import CHANGES
from benchmarks.signal.jobs import ROWS, draw
from benchmarks.signal.stationary import STATIONARY
from benchmarks.signal.stream import DAY_MS, HOUR_MS, MINUTE_MS, NEVER, Stream, at_weekend
from streams.categories import are_texts

RATE = 20_000


def drawn(name: str, seed: int = 3) -> tuple[Stream, int]:
    return draw(name, RATE, seed)


def wrong(stream: Stream) -> np.ndarray:
    return stream.number != stream.label


def halves(name: str) -> tuple[Stream, np.ndarray]:
    stream, change_ms = drawn(name)
    return stream, stream.time_ms >= change_ms


@pytest.mark.parametrize("name", list(ROWS))
def test_a_stream_is_a_month_in_order_and_depends_on_its_seed_alone(name: str) -> None:
    (stream, change_ms), (again, _), (other, _) = drawn(name), drawn(name), drawn(name, seed=4)

    assert (np.diff(stream.time_ms) >= 0).all()
    assert stream.begun_ms % DAY_MS == 0
    assert stream.time_ms[0] >= stream.begun_ms
    assert stream.time_ms[-1] < stream.ended_ms == stream.begun_ms + 30 * DAY_MS
    assert np.array_equal(stream.time_ms, again.time_ms)
    assert np.array_equal(stream.label, again.label)
    assert not np.array_equal(stream.time_ms, other.time_ms)
    assert change_ms == -1 or 15 <= (change_ms - stream.begun_ms) / DAY_MS < 16


@pytest.mark.parametrize(
    ("name", "share"),
    [("error-1", 0.01), ("error-5", 0.05), ("error-20", 0.2), ("sessions", 0.05), ("bursts", 0.05)],
)
def test_errors_are_as_frequent_as_their_row_says(name: str, share: float) -> None:
    stream, _ = drawn(name)

    assert wrong(stream).mean() == pytest.approx(share, rel=0.15)
    assert stream.number.mean() == pytest.approx(0.3, abs=0.02)
    assert ((stream.score > 0.5) == (stream.number == 1)).all()


@pytest.mark.parametrize("name", ["error-5", "five-classes", "t3-x1", "17-poisson", "50-iid"])
def test_there_is_as_much_traffic_as_the_rate_says(name: str) -> None:
    stream, _ = drawn(name)

    assert len(stream.time_ms) == pytest.approx(RATE, rel=0.03)


def test_bursts_bring_200_rows_within_a_minute() -> None:
    stream, _ = drawn("bursts")
    gaps = np.diff(stream.time_ms) > MINUTE_MS

    assert len(stream.time_ms) / (gaps.sum() + 1) == pytest.approx(200, rel=0.15)


def test_errors_of_a_session_have_much_in_common() -> None:
    def of_hundreds(name: str) -> float:
        values = wrong(drawn(name)[0])
        sums = values[: len(values) // 100 * 100].reshape(-1, 100).sum(axis=1)
        return float(sums.var() / sums.mean())

    assert of_hundreds("error-5") < 1.3
    assert of_hundreds("sessions") > 1.8


def test_seasons_are_of_the_hour_and_of_the_weekend() -> None:
    daily, weekly, scores = (drawn(name)[0] for name in ("daily", "weekend", "score-daily"))
    morning = daily.time_ms % DAY_MS < 12 * HOUR_MS
    weekend = at_weekend(weekly.time_ms)
    early = scores.time_ms % DAY_MS < 12 * HOUR_MS

    assert wrong(daily)[morning].mean() > 1.4 * wrong(daily)[~morning].mean()
    assert morning.mean() == pytest.approx(0.5 + 0.9 / np.pi, abs=0.02)
    assert wrong(weekly)[weekend].mean() == pytest.approx(0.08, abs=0.015)
    assert wrong(weekly)[~weekend].mean() == pytest.approx(0.05, abs=0.01)
    assert scores.number[early].mean() == pytest.approx(0.3 + 0.1 * 2 / np.pi, abs=0.02)


def test_units_change_nothing_but_the_unit() -> None:
    small, large = drawn("t3-x0.01")[0], drawn("t3-x1000")[0]

    assert np.array_equal(small.label_ms, large.label_ms)
    assert np.allclose(small.number * 1e5, large.number)
    assert np.log(small.label * 100).mean() == pytest.approx(3.0, abs=0.02)


def test_features_have_the_memory_and_the_seasons_of_their_names() -> None:
    stream, _ = drawn("17-poisson")
    features = stream.features

    def memory(name: str) -> float:
        return float(np.corrcoef(features[name][1:], features[name][:-1])[0, 1])

    assert len(features) == 17
    assert memory("gauss") == pytest.approx(0, abs=0.03)
    assert memory("ar_90") == pytest.approx(0.9, abs=0.02)
    assert memory("ar_99") == pytest.approx(0.99, abs=0.01)
    assert memory("session") == pytest.approx(0.95, abs=0.02)
    assert features["ar_99"].std() == pytest.approx(1, abs=0.3)
    assert features["flag_1"].mean() == pytest.approx(0.01, rel=0.25)
    assert (np.diff(features["increasing_id"]) > 0).all()
    assert features["cycle_1"].std() == pytest.approx(np.sqrt(1.5), abs=0.03)
    assert len(drawn("50-iid")[0].features) == len(drawn("50-seasonal")[0].features) == 50


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("error-5-20", 0.05, 0.20),
        ("error-10-5", 0.10, 0.05),
        ("one-class", 0.10, 0.15),
        ("segment-50", 0.05, 0.05 * 0.95 + 0.5 * 0.05),
        ("release-25", 0.05, 0.25),
        ("fraud-0.2", 0.002 + 0.00297, 0.008 + 0.00297),
    ],
)
def test_errors_change_as_their_row_says(name: str, before: float, after: float) -> None:
    stream, late = halves(name)

    assert wrong(stream)[~late].mean() == pytest.approx(before, rel=0.25)
    assert wrong(stream)[late].mean() == pytest.approx(after, rel=0.25)


def test_an_incident_is_over_after_six_hours_and_a_week_of_slow_change_after_a_week() -> None:
    stream, change_ms = drawn("incident")
    during = (stream.time_ms >= change_ms) & (stream.time_ms < change_ms + 6 * HOUR_MS)
    slow, changes_ms = drawn("error-ramp")
    done = slow.time_ms >= changes_ms + 7 * DAY_MS
    half = (slow.time_ms >= changes_ms) & ~done

    assert wrong(stream)[during].mean() == pytest.approx(0.30, abs=0.12)
    assert wrong(stream)[~during].mean() == pytest.approx(0.05, abs=0.01)
    assert wrong(slow)[half].mean() == pytest.approx(0.075, abs=0.015)
    assert wrong(slow)[done].mean() == pytest.approx(0.10, abs=0.015)


def test_distances_grow_in_every_unit_alike() -> None:
    ratios = []
    for unit in ("0.001", "1", "1000"):
        stream, late = halves(f"gauss-sd-1.5-x{unit}")
        error = stream.number - stream.label
        ratios.append(error[late].std() / error[~late].std())

    assert ratios == pytest.approx([1.5] * 3, rel=0.05)
    assert max(ratios) == pytest.approx(min(ratios))


def test_calibration_and_ranking_are_lost_where_classes_and_shares_stay() -> None:
    sure, late = halves("calibration-2")
    shuffled, then = halves("ranking")
    low = shuffled.score < 0.5

    assert wrong(sure)[late].mean() == pytest.approx(wrong(sure)[~late].mean(), abs=0.02)
    assert sure.score[late].std() > 1.4 * sure.score[~late].std()
    assert shuffled.score[then].mean() == pytest.approx(shuffled.score[~then].mean(), abs=0.01)
    right = np.corrcoef(shuffled.score[low & ~then], shuffled.label[low & ~then])[0, 1]
    lost = np.corrcoef(shuffled.score[low & then], shuffled.label[low & then])[0, 1]
    assert right > 0.2
    assert abs(lost) < 0.05


@pytest.mark.parametrize(
    ("name", "before", "after", "off"),
    [
        ("x1000", 50, 50_000, 500),
        ("zero", 50, 0, 0.5),
        ("+0.5", 50, 55, 0.5),
        ("+0.1", 50, 51, 0.5),
        ("frozen", 50, 50, 0.5),
        ("flag", 0.001, 0.01, 0.003),
        ("flag-off", 0.02, 0, 0.005),
        ("cycle", 0, 0.5, 0.05),
        ("code", 1.7, 0.9 * 1.7 + 0.4, 0.05),
    ],
)
def test_one_feature_changes_as_its_row_says(
    name: str, before: float, after: float, off: float
) -> None:
    stream, late = halves(f"feature-{name}")
    x = stream.features["x"]

    assert x[~late].mean() == pytest.approx(before, abs=min(off, 0.5))
    assert x[late].mean() == pytest.approx(after, abs=off)
    assert len(stream.features) == 10


def test_a_feature_spreads_or_is_frozen_or_says_minus_999() -> None:
    (wide, late), (frozen, then), (odd, after) = map(
        halves, ("feature-sd", "feature-frozen", "feature--999")
    )

    assert wide.features["x"][late].std() == pytest.approx(20, rel=0.03)
    assert wide.features["x"][~late].std() == pytest.approx(10, rel=0.03)
    assert frozen.features["x"][then].std() == 0
    assert (odd.features["x"][after] == -999).mean() == pytest.approx(0.05, abs=0.01)
    assert not (odd.features["x"][~after] == -999).any()


@pytest.mark.parametrize(
    ("name", "before", "after"), [("missing", 0.01, 0.2), ("null", 0, 1), ("largest", 0, 0.2)]
)
def test_values_go_missing_as_their_row_says(name: str, before: float, after: float) -> None:
    stream, late = halves(f"feature-{name}")
    gone = np.isnan(stream.features["x"])

    assert gone[~late].mean() == pytest.approx(before, abs=0.005)
    assert gone[late].mean() == pytest.approx(after, abs=0.02)
    assert not are_texts(stream.features["x"]).any()


def test_categories_are_texts_and_numbers_become_some() -> None:
    words, late = halves("feature-category")
    numbers, then = halves("feature-text")
    seen = words.features["x"].view(np.int64)
    new = ~np.isin(seen, seen[~late])

    assert are_texts(words.features["x"]).all()
    assert new[late].mean() == pytest.approx(0.1, abs=0.02)
    assert np.array_equal(are_texts(numbers.features["x"]), then)


@pytest.mark.parametrize("share", [0.0, 0.5, 2.0])
def test_traffic_changes_as_its_row_says(share: float) -> None:
    stream, late = halves(f"traffic-{share:g}")
    _, change_ms = drawn(f"traffic-{share:g}")
    days = (change_ms - stream.begun_ms) / DAY_MS

    per_day = (~late).sum() / days, late.sum() / (30 - days)

    assert per_day == pytest.approx((RATE / 30, share * RATE / 30), rel=0.05)


def test_labels_stop_or_come_later_or_for_half_of_the_rows() -> None:
    stopped, late = halves("labels-stop")
    fewer, then = halves("coverage")
    slower, after = halves("delay")
    delay_ms = slower.label_ms - slower.time_ms

    assert np.array_equal(stopped.label_ms == NEVER, late)
    assert (fewer.label_ms != NEVER)[~then].mean() == pytest.approx(0.95, abs=0.01)
    assert (fewer.label_ms != NEVER)[then].mean() == pytest.approx(0.5, abs=0.02)
    assert 9 * MINUTE_MS < delay_ms[~after].mean() < 11 * MINUTE_MS
    assert 25 * MINUTE_MS < delay_ms[after].mean() < 35 * MINUTE_MS
    assert delay_ms.max() <= 55 * MINUTE_MS + 1_000


def test_every_row_has_a_name_and_a_title_of_its_own() -> None:
    assert len(ROWS) == len(STATIONARY) + len(CHANGES)
    assert len({row.title for row in ROWS.values()}) == len(ROWS)
