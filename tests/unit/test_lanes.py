"""Lanes: many inputs of many models at once, and each as if it were alone."""

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.errors import StateError
from streams.watchers import BY_NAME
from streams.watchers.lanes import Input, Lanes
from tests.examples import some
from tests.naive_watchers import NAIVE
from tests.unit.test_watchers import SMALL, steps
from tests.watching import Records, feed, feed_in_parts, lane_of, lanes_of, restore, write

SHIFT = steps(1, 0.1, 0.6, length=300)

KINDS = {
    "normal": lambda rng, late: rng.standard_normal(len(late)) + 2.0 * late,
    "rare": lambda rng, late: (rng.random(len(late)) < 0.02 + 0.4 * late) * 1e5,
    "nothing": lambda _, late: np.where(late, 2.0, 0.0),
    "constant": lambda _, late: np.where(late, 4.0, 2.0),
    "large": lambda rng, late: rng.normal(1e9, 1.0, len(late)) * (1.0 + 1e-9 * late),
    "sentinels": lambda rng, late: np.where(rng.random(len(late)) < 0.01, 1e9, rng.random() + late),
}


@pytest.mark.parametrize("own_scale", [True, False], ids=["raw", "standardised"])
@pytest.mark.parametrize("name", BY_NAME)
@settings(max_examples=some(25), deadline=None)
@given(data=st.data())
def test_every_lane_finds_what_it_would_find_alone_one_value_at_a_time(
    name: str, own_scale: bool, data: st.DataObject
) -> None:
    """In any cuts, beside lanes of any length, and over restarts."""
    rng = np.random.default_rng(data.draw(st.integers(0, 10**6)))
    parameters = data.draw(st.sampled_from([SMALL[name], SMALL[name] | {"reference": 150}]))
    lengths = rng.integers(0, 900, 6)
    kinds = [list(KINDS)[i] for i in rng.integers(0, len(KINDS), len(lengths))]
    series = [
        KINDS[kind](rng, np.arange(n) // 150 % 2 == 1).astype(float)
        for kind, n in zip(kinds, lengths, strict=True)
    ]
    most = data.draw(st.sampled_from([3, 40, 200]))

    found = feed_in_parts(name, parameters, series, own_scale=own_scale, most=most, rng=rng)

    expected = {
        (lane, *one)
        for lane, values in enumerate(series)
        for one in NAIVE[name](values.tolist(), own_scale=own_scale, **parameters)  # type: ignore[arg-type]
    }
    assert {(lane_of(c), c.index, c.before, c.after) for c in found} == expected
    assert all(series[lane_of(c)][c.index] == series[lane_of(c)][c.at_ms] for c in found)
    assert len(found) == len(expected)


def test_a_change_is_found_with_the_value_that_completes_its_block() -> None:
    """Values wait for 31 others, what they show does not."""
    lanes = lanes_of("adwin", own_scale=True)
    [first, *_] = feed(lanes_of("adwin", own_scale=True), SHIFT)

    before, with_it = (feed(lanes, part) for part in np.split(SHIFT[: first.index + 1], [-1]))

    assert before == []
    assert [change.index for change in with_it] == [first.index]


def test_wide_models_are_taken_in_several_passes_with_the_same_result() -> None:
    values = np.tile(SHIFT, 250)
    many = [
        Input(f"f{i}", np.array([0]), np.array([len(values)]), np.arange(len(values)), values)
        for i in range(4)
    ]

    found = list(lanes_of("adwin", own_scale=True).advance(many))

    alone = [c.index for c in feed(lanes_of("adwin", own_scale=True), values)]
    assert len(alone) > 100
    for one in many:
        assert [c.index for c in found if c.source == one.source] == alone


@pytest.mark.parametrize("name", BY_NAME)
def test_a_lane_begins_anew_where_its_values_are_measured_otherwise(name: str) -> None:
    lanes, other = (lanes_of(name, SMALL[name], own_scale=True) for _ in "ab")
    feed(lanes, [20_000.0] * 300, measure=1)

    found = [feed(lanes, SHIFT, measure=2), feed(lanes, SHIFT, measure=2)]

    assert found == [feed(other, SHIFT, measure=1), feed(other, SHIFT, measure=1)]
    assert any(found)


# --- what is written down


def test_only_buckets_with_lanes_that_saw_something_are_written() -> None:
    lanes, records = lanes_of("adwin"), Records()
    for model in (3, 7):
        for number in range(65):
            feed(lanes, [1.0], model=model, source=f"feature:{number}")

    assert write(lanes, records).keys() == {(3, 0), (3, 1), (7, 0), (7, 1)}
    assert write(lanes, records).keys() == set()
    feed(lanes, [1.0], model=7, source="feature:64")
    assert write(lanes, records).keys() == {(7, 1)}


def test_inputs_may_be_added_after_a_restart() -> None:
    records: Records = {}
    lanes = lanes_of("adwin", own_scale=True)
    for source in ("a", "b"):
        feed(lanes, SHIFT[:310], source=source)
    write(lanes, records)

    lanes = restore(lanes_of("adwin", own_scale=True), records)
    feed(lanes, [0.0], source="c")
    write(lanes, records)
    lanes = restore(lanes_of("adwin", own_scale=True), records)

    assert [len(feed(lanes, SHIFT[310:], source=s)) for s in ("a", "b", "c")] == [1, 1, 0]


def test_a_topic_that_is_not_compacted_yet_gives_the_newest_state() -> None:
    """Every record of a bucket is folded, the older ones as well."""
    lanes, again = (lanes_of("adwin", own_scale=True) for _ in "ab")
    log = []
    for start in range(0, 320, 40):
        feed(lanes, SHIFT[start : start + 40], source="a")
        feed(lanes, SHIFT[start : start + 40], source=f"b{start}")
        log += list(write(lanes, Records()).items())

    for bucket, packed in log:
        restore(again, {bucket: packed})

    found = [[feed(one, SHIFT[320:], source=s) for s in ("a", "b0")] for one in (lanes, again)]
    assert found[0] == found[1]
    assert found[0][0]


def test_what_a_later_record_of_a_bucket_does_not_name_begins_anew() -> None:
    records: list[Records] = [{}, {}]
    for record, sources in zip(records, (("a", "b"), ("a",)), strict=True):
        lanes = lanes_of("adwin", own_scale=True)
        for source in sources:
            feed(lanes, SHIFT[:310], source=source)
        write(lanes, record)
    lanes = lanes_of("adwin", own_scale=True)

    for record in records:
        restore(lanes, record)

    found = [[c.index for c in feed(lanes, SHIFT[310:], source=source)] for source in ("a", "b")]
    plain = feed(lanes_of("adwin", own_scale=True), SHIFT[310:])
    assert found[0] != found[1] == [c.index for c in plain]


@pytest.mark.parametrize("name", BY_NAME)
def test_lanes_begin_anew_with_other_parameters(name: str) -> None:
    lanes, records = lanes_of(name, SMALL[name]), Records()
    feed(lanes, SHIFT[:290])
    [(bucket, packed)] = write(lanes, records).items()
    other, plain = (lanes_of(name, SMALL[name] | {"delta": 0.01}) for _ in "ab")

    continued = other.restore(bucket, msgspec.msgpack.decode(packed))

    assert not continued
    assert feed(other, SHIFT) == feed(plain, SHIFT) != []


def test_lanes_begin_anew_with_another_version_of_their_watcher(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lanes = lanes_of("adwin")
    feed(lanes, SHIFT)
    [(bucket, packed)] = lanes.changes()

    monkeypatch.setattr(type(lanes.watcher), "version", 2)

    assert not lanes_of("adwin").restore(bucket, packed)


def test_the_number_of_a_forgotten_lane_is_given_to_another_which_begins_anew() -> None:
    lanes = lanes_of("adwin", {"reference": 50})
    for model in range(3):
        for source in ("a", "b"):
            feed(lanes, SHIFT[:40], model=model, source=source)  # no scale yet

    assert lanes.forget(1) == [(1, 0)]
    feed(lanes, SHIFT[:20], model=5, source="a")

    rest = SHIFT[40:]
    found = [c.index for c in feed(lanes, rest, model=2, source="a")]
    assert found == [c.index for c in feed(lanes_of("adwin", {"reference": 50}), SHIFT)]
    assert {bucket for bucket, _ in lanes.changes()} == {(0, 0), (2, 0), (5, 0)}
    new = [c.index for c in feed(lanes, SHIFT[20:], model=5, source="a")]
    assert new == found


# --- damage


def packed_lanes(name: str, own_scale: bool) -> tuple[Any, list[Any]]:
    lanes = lanes_of(name, own_scale=own_scale)
    feed(lanes, SHIFT[:40], source="short")
    feed(lanes, SHIFT * 2, source="long")
    [(bucket, packed)] = lanes.changes()
    return bucket, msgspec.msgpack.decode(msgspec.msgpack.encode(packed))


@pytest.mark.parametrize("own_scale", [True, False], ids=["raw", "standardised"])
@pytest.mark.parametrize("name", BY_NAME)
@pytest.mark.parametrize("field", range(7))
def test_a_field_of_another_type_is_a_state_error(name: str, own_scale: bool, field: int) -> None:
    bucket, packed = packed_lanes(name, own_scale)

    packed[field] = 1.5 if field != 2 else "x"

    with pytest.raises(StateError, match=name):
        lanes_of(name, own_scale=own_scale).restore(bucket, packed)


@pytest.mark.parametrize("name", BY_NAME)
@pytest.mark.parametrize("field", range(3, 7))
def test_a_part_that_is_missing_is_a_state_error(name: str, field: int) -> None:
    bucket, packed = packed_lanes(name, False)

    packed[field] = packed[field][:-1]

    with pytest.raises(StateError, match=name):
        lanes_of(name).restore(bucket, packed)


@pytest.mark.parametrize("rest", [b"", bytes(7), bytes(90), b"text" * 30])
def test_what_river_cannot_read_is_a_state_error(rest: bytes) -> None:
    bucket, packed = packed_lanes("adwin", True)
    lanes = lanes_of("adwin", own_scale=True)

    packed[6][1] = rest

    if rest == bytes(90):  # river's own bytes: 8 values that wait, and a window of zeros
        packed[6][0] = packed[6][0][:-1]
    with pytest.raises(StateError, match="adwin"):
        lanes.restore(bucket, packed)


@pytest.mark.parametrize("name", BY_NAME)
@pytest.mark.parametrize("wrong", [-1, 1 << 40])
def test_counts_that_cannot_be_are_a_state_error(name: str, wrong: int) -> None:
    """The first column of each is how many values wait; a place that is none would be written."""
    bucket, packed = packed_lanes(name, False)
    for part in (0, 1):
        damaged = msgspec.msgpack.decode(msgspec.msgpack.encode(packed))
        columns = np.frombuffer(damaged[4][part], "<i8").copy()
        columns[0] = wrong
        damaged[4][part] = columns.tobytes()

        with pytest.raises(StateError, match=name):
            lanes_of(name).restore(bucket, damaged)


def test_an_input_in_two_buckets_is_a_state_error() -> None:
    bucket, packed = packed_lanes("adwin", False)
    lanes: Lanes = lanes_of("adwin")
    lanes.restore(bucket, packed)

    with pytest.raises(StateError, match="two states"):
        lanes.restore((bucket[0], 1), packed)
