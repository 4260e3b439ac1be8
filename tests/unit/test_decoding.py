"""Batches that are decoded at once, against the same records one by one."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from streams import native
from streams.categories import are_texts, codes
from streams.decoding import Decoder, Labels, Predictions
from streams.errors import RecordError
from streams.events import good_prediction, prediction_of_members
from streams.failures import have_failed
from streams.features import MOST_BLOCKS, Block, blocks_of, choose, merged
from streams.limits import EARLIEST_MS, LIMITS, RecordLimits
from streams.steps import Batch
from streams.values import Dropped, add_dropped
from tests.examples import some

NOW_MS = 1_750_000_000_000


@pytest.fixture(autouse=True, scope="module", params=["compiled", "python"])
def _ways(request: pytest.FixtureRequest) -> Iterator[None]:
    """Run each test with the compiled part and without it."""
    if request.param == "compiled" and not native.available:
        pytest.skip("the compiled part is not there")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(native, "available", request.param == "compiled")
        yield


def batch(values: Sequence[Any], *, keys: Sequence[bytes | None] | None = None) -> Batch:
    given = [value if isinstance(value, bytes) else json.dumps(value).encode() for value in values]
    own = [str(v["prediction_id"]).encode() if isinstance(v, dict) else b"" for v in values]
    return Batch(
        topic="t",
        offsets=list(range(len(values))),
        keys=list(keys) if keys is not None else own,
        values=given,
        times_ms=[NOW_MS + i for i in range(len(values))],
        next_offset=len(values),
    )


Decoded = tuple[Predictions | None, dict[int, str], dict[str, Dropped]]
"""What is good, reasons why others were refused, what was left out by field."""


def one_by_one(records: Batch, *, features: bool = True, limits: RecordLimits = LIMITS) -> Decoded:
    """Decode each record by itself, as if nothing were plain."""
    return _decoded(records, Decoder(features=features, limits=limits)._each_prediction)


def at_once(records: Batch, *, features: bool = True, limits: RecordLimits = LIMITS) -> Decoded:
    return _decoded(records, Decoder(features=features, limits=limits).predictions)


def _decoded(records: Batch, decode: Any) -> Decoded:
    refused: dict[int, str] = {}
    dropped: dict[str, Dropped] = {}
    found = decode(
        records,
        now_ms=NOW_MS,
        refuse=lambda index, error: refused.setdefault(index, error.reason),
        drop=lambda values: add_dropped(dropped, values),
    )
    return found, refused, dropped


def same(left: Any, right: Any) -> bool:
    if isinstance(left, np.ndarray):
        if left.dtype != right.dtype or left.dtype.kind != "f":
            return left.dtype == right.dtype and np.array_equal(left, right)
        alike = np.array_equal(left, right, equal_nan=True)
        return (
            alike
            and np.array_equal(codes(left), codes(right))
            and np.array_equal(have_failed(left), have_failed(right))
        )
    if isinstance(left, list | tuple) and not isinstance(left, Block):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, Block):
        return (
            left.names == right.names
            and same(left.rows, right.rows)
            and same(left.values, right.values)
        )
    return bool(left == right)


LONG, SNOW = "x" * 257, 86 * "\N{SNOWMAN}"
TEXTS = ["", "yes", "snow \N{SNOWMAN}", LONG[1:], LONG, SNOW]
NUMBERS = [0, 1, -0.5, 1e150, 1.1e150, -2e150, 2**53, 2**63 - 1, 2**63, -(2**63) - 1, 1e19, 1e300]
SCALARS = [*TEXTS, *NUMBERS, True, None, [1], {}]
PREDICTION = {"prediction_id": "a", "model": "m", "prediction": 1, "timestamp_ms": NOW_MS}
ODD = {
    "prediction_id": ["", LONG, SNOW, "\N{SNOWMAN}", 1],
    "model": ["", LONG, SNOW, 1, None],
    "version": TEXTS,
    "prediction": SCALARS,
    "timestamp_ms": [0, -1, EARLIEST_MS - 1, EARLIEST_MS, NOW_MS * 2, 2**70, None, 0.5, "1"],
    "score": SCALARS,
    "latency_ms": [*SCALARS, -1e-9],
    "scores": [
        *(None, {}, {"1": 0.5}, {"1": 2e150}, {LONG: 0.5}, {SNOW: 0.5, "1": 0.5}, 5),
        *({str(i): 0.5 for i in range(1001)}, {"": 0.5, "ä": 0.5}, {"a": None, "b": "c"}),
    ],
    "segments": [
        *(None, {}, {"a": "b"}, {"a": 1}, {"": "b"}, {str(i): "" for i in range(17)}, []),
        *({LONG: "a"}, {"a": LONG}, {SNOW: "a", "a": SNOW, "b": "ä"}, {"a": None}),
    ],
    "features": [None, [], {LONG: 1}, {SNOW: 1}, {str(i): 1 for i in range(1001)}]
    + [{"f": value, "g": 1} for value in SCALARS]
    + [{"f": value, "g": "text"} for value in SCALARS],
    "more": SCALARS,
    "error": [*SCALARS, "timeout", False, '"', [], {"type": "Timeout", "why": ['\\"']}],
}
FAILED = PREDICTION | {"error": "timeout", "score": 0.5, "latency_ms": 3, "features": {"f": 1}}


def with_one_odd_field(base: dict[str, Any], odd: dict[str, list[Any]]) -> Any:
    pairs = [(name, value) for name, values in odd.items() for value in values]
    return st.sampled_from([base, *(base | {name: value} for name, value in pairs)])


predictions = with_one_odd_field(PREDICTION, ODD) | with_one_odd_field(FAILED, ODD)


@settings(max_examples=some(300))
@given(st.lists(predictions, min_size=1, max_size=2), st.booleans())
def test_a_batch_is_decoded_as_its_records_are(
    values: list[dict[str, Any]], features: bool
) -> None:
    records = batch(values)

    assert same(at_once(records, features=features), one_by_one(records, features=features))


def test_good_records_are_decoded_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The slow way is for bad records: nothing in a common record leads there."""
    monkeypatch.setattr(Decoder, "_each_prediction", None)
    monkeypatch.setattr(Decoder, "_each_label", None)
    good = {"prediction_id": "ä", "model": "m", "prediction": 1, "timestamp_ms": NOW_MS}
    more = {"version": "2", "score": 0.5, "latency_ms": 3, "segments": {"city": "Köln"}}
    features = {"a": 1, "b": 0.5, "c": None, "d": "text", "e": True}

    found, *_ = at_once(batch([good, good | more | {"features": features, "scores": {"1": 0.9}}]))

    assert found is not None
    [block] = found.features
    assert block.rows.tolist() == [1]
    np.testing.assert_array_equal(block.values, [[1.0, 0.5, np.nan, np.nan, 1.0]])
    assert are_texts(block.values).tolist() == [[False, False, False, True, False]]
    said = {"prediction_id": "ä", "timestamp_ms": NOW_MS}
    labels = [said | {"label": 1}, said | {"label": "yes"}, said | {"retract": True}]
    decoded = Decoder().labels(batch(labels), now_ms=NOW_MS, refuse=lambda *_: None)
    assert [decoded.values.value(i) for i in range(3)] == [1, "yes", None]
    assert decoded.retract.tolist() == [False, False, True]


LABEL = {"prediction_id": "a", "timestamp_ms": NOW_MS, "label": 1}
ODD_LABEL = {name: ODD[name] for name in ("prediction_id", "timestamp_ms", "model", "prediction")}
ODD_LABEL |= {"label": SCALARS, "retract": [True, False, None, 1]}
labelled = with_one_odd_field(LABEL, ODD_LABEL)


@settings(max_examples=some(300))
@given(st.lists(labelled, min_size=1, max_size=2))
def test_a_batch_of_labels_is_decoded_as_its_records_are(values: list[dict[str, Any]]) -> None:
    refused: list[dict[int, str]] = [{}, {}]
    records = batch(values)

    def note(number: int) -> Any:
        return lambda index, error: refused[number].setdefault(index, error.reason)

    at_once = Decoder().labels(records, now_ms=NOW_MS, refuse=note(0))
    alone: Labels = Decoder()._each_label(records, now_ms=NOW_MS, refuse=note(1))

    assert refused[0] == refused[1]
    assert same(at_once._replace(indexes=list(at_once.indexes)), alone)


VALUES = [
    *(
        b"1",
        b"0.5",
        b"true",
        b"null",
        b'"a"',
        b'""',
        b"-0.2",
        b"NaN",
        b"-Infinity",
        b"[NaN]",
        b"01",
    ),
    *(
        b"18446744073709551616",
        b"-9223372036854775809",
        b"1e151",
        b"1e999",
        b"[]",
        b"{}",
        b'"\\ud800"',
    ),
    *(b'{"a":1,"a":"x"}', b'{"a":"x","a":1}', b'{"b":NaN,"a":"x"}', b'{"a":1e999,"b":2}'),
    *(b'{"a":[1],"b":0}', b'{"":"x"}', b'{"\\u00e4":"x","c":1}', b"%d" % NOW_MS, b'"m"', b'"'),
]
FIELDS = [name.encode() for name in (*ODD, "label", "retract")]
members = st.lists(st.tuples(st.sampled_from(FIELDS), st.sampled_from(VALUES)), max_size=4)


def of_members(members: Sequence[tuple[bytes, bytes]], base: dict[str, Any], front: bool) -> bytes:
    """Write a record with members that may come twice, before or behind those of `base`."""
    plain = [(name.encode(), json.dumps(value).encode()) for name, value in base.items()]
    every = [*members, *plain] if front else [*plain, *members]
    return b"{%b}" % b",".join(b'"%b":%b' % member for member in every)


records_of_members = st.lists(
    st.builds(of_members, members, st.sampled_from([PREDICTION, FAILED]), st.booleans()),
    min_size=1,
    max_size=3,
)
few = st.builds(
    RecordLimits,
    record_bytes=st.sampled_from([90, 1_000_000]),
    name_bytes=st.sampled_from([1, 2, 256]),
    features=st.sampled_from([1, 1_000]),
    segments=st.sampled_from([1, 16]),
    scores=st.sampled_from([1, 1_000]),
)


@settings(max_examples=some(600))
@given(records_of_members, st.booleans(), few)
@example(
    [b'{"model":"","model":"m","prediction_id":"a","prediction":1,"timestamp_ms":1750000000000}'],
    True,
    LIMITS,
)
def test_a_record_has_one_fate_alone_and_in_a_batch(
    values: list[bytes], features: bool, limits: RecordLimits
) -> None:
    """Fields that come twice, bare NaN, values that are left out: no way of decoding differs."""
    records = batch(values, keys=[b"a"] * len(values))

    found = at_once(records, features=features, limits=limits)

    assert same(found, one_by_one(records, features=features, limits=limits))


@settings(max_examples=some(600))
@given(st.builds(of_members, members, st.just(PREDICTION), st.booleans()), st.booleans(), few)
def test_what_is_decoded_at_a_stroke_is_what_it_is_member_by_member(
    value: bytes, features: bool, limits: RecordLimits
) -> None:
    how = {"features": features, "limits": limits}

    found = good_prediction(value, **how)

    if found is not None and len(value) <= limits.record_bytes:
        assert prediction_of_members(value, **how) == (found, [])


@settings(max_examples=some(400))
@given(
    st.lists(st.builds(of_members, members, st.just(LABEL), st.booleans()), min_size=1, max_size=3),
    few,
)
def test_a_label_has_one_fate_alone_and_in_a_batch(
    values: list[bytes], limits: RecordLimits
) -> None:
    refused: list[dict[int, str]] = [{}, {}]
    records, decoder = batch(values, keys=[b"a"] * len(values)), Decoder(limits=limits)

    def note(number: int) -> Any:
        return lambda index, error: refused[number].setdefault(index, error.reason)

    at_once = decoder.labels(records, now_ms=NOW_MS, refuse=note(0))
    alone = decoder._each_label(records, now_ms=NOW_MS, refuse=note(1))

    assert refused[0] == refused[1]
    assert same(at_once._replace(indexes=list(at_once.indexes)), alone)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b'{"prediction_id": "b", "model": "m", "prediction": 1}, {}', "invalid_json"),
        (b'{"prediction_id": "b", "model": "m"', "invalid_json"),
        (b'{"prediction_id": "b", "x": "\xff", "model": "m", "prediction": 1}', "invalid_utf8"),
        (b'{"prediction_id": "c", "model": "m", "prediction": 1}', "key_mismatch"),
        (b'{"prediction_id": "b", "model": "m", "prediction": {}}', "invalid_prediction"),
    ],
)
def test_a_bad_record_harms_no_other(bad: bytes, reason: str) -> None:
    good = b'{"prediction_id": "a", "model": "m", "prediction": 1}'

    found, refused, _ = at_once(batch([good, bad, good], keys=[b"a", b"b", b"a"]))

    assert refused == {1: reason}
    assert found is not None
    assert list(found.ids) == [b"a", b"a"]


def test_a_tombstone_retracts_and_others_of_its_batch_count() -> None:
    label = b'{"prediction_id": "a", "timestamp_ms": %d, "label": 1}' % NOW_MS
    records = batch([label, label], keys=[b"a", b"b"])
    records.values = [label, None]

    found = Decoder().labels(records, now_ms=NOW_MS, refuse=_raise)

    assert list(found.ids) == [b"a", b"b"]
    assert found.retract.tolist() == [False, True]
    assert found.times_ms.tolist() == [NOW_MS, NOW_MS + 1]


def test_the_key_of_a_tombstone_may_be_as_long_as_an_id() -> None:
    """A longer one is that of no prediction; a state of a megabyte of it fits into no record."""
    records = batch([b"", b""], keys=[b"x" * 256, b"x" * 257])
    records.values = [None, None]
    refused: dict[int, str] = {}

    found = Decoder().labels(
        records, now_ms=NOW_MS, refuse=lambda index, why: refused.update({index: str(why)})
    )

    assert list(found.ids) == [b"x" * 256]
    assert refused == {1: "invalid_label: the key has 257 bytes, at most 256 are allowed"}


def _raise(_index: int, error: RecordError) -> None:
    raise error


def test_features_that_are_not_looked_at_are_not_even_checked() -> None:
    value = {"prediction_id": "a", "model": "m", "prediction": 1, "features": [1, {"x": []}]}

    found, refused, _ = at_once(batch([value]), features=False)

    assert found is not None
    assert (found.features, refused) == ([], {})


@given(st.lists(st.dictionaries(st.sampled_from("abcdefgh"), st.floats(-9, 9)), max_size=9))
def test_no_feature_is_lost_on_its_way_into_matrices(rows: list[dict[str, float]]) -> None:
    half = len(rows) // 2
    parts = [(blocks_of(part), len(part)) for part in (rows[:half], rows[half:])]
    chosen = np.arange(0, len(rows), 2)

    blocks = choose(merged(parts), chosen, count=len(rows))

    assert told(blocks, len(chosen)) == rows[::2]


def test_ever_other_features_are_put_into_one_matrix() -> None:
    rows = [{f"f{i}": float(i), "all": None} for i in range(MOST_BLOCKS + 1)]

    [block] = blocks_of(rows)

    assert block.values.shape == (len(rows), len(rows) + 1)
    assert told([block], len(rows)) == [{f"f{i}": float(i)} for i in range(len(rows))]


def test_names_that_never_come_twice_do_not_fill_the_memory() -> None:
    rows = [{f"f{row}-{i}": float(i) for i in range(50)} for row in range(2_000)]

    blocks = blocks_of(rows)

    assert sum(block.values.nbytes for block in blocks) == 8 * 50 * 2_000
    assert told(blocks, len(rows)) == rows


def told(blocks: list[Block], count: int) -> list[dict[str, float]]:
    """Return the numbers in matrices, row by row."""
    rows: list[dict[str, float]] = [{} for _ in range(count)]
    for block in blocks:
        for row, values in zip(block.rows.tolist(), block.values.tolist(), strict=True):
            rows[row] |= {n: v for n, v in zip(block.names, values, strict=True) if np.isfinite(v)}
    return rows
