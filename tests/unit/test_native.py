"""The compiled part gives what Python gives, or leaves it to Python."""

from __future__ import annotations

import shutil
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import xxhash
from hypothesis import example, given, settings
from hypothesis import strategies as st

from streams import native
from streams.decoding import Decoder
from streams.hash_index import SEED_BYTES, HashIndex
from streams.held import hash_ids
from streams.limits import EARLIEST_MS
from streams.texts import Texts
from tests.examples import some
from tests.unit.test_decoding import NOW_MS, PREDICTION, at_once, batch, one_by_one, same

pytestmark = pytest.mark.skipif(not native.available, reason="the compiled part is not there")


def test_where_there_is_a_compiler_the_compiled_part_is_there() -> None:
    """Else nothing here would be tested, and nobody would notice."""
    assert native.available or not any(map(shutil.which, ("cc", "gcc", "clang")))


test_where_there_is_a_compiler_the_compiled_part_is_there.pytestmark = []  # type: ignore[attr-defined]


def predictions(value: bytes, key: bytes = b"a") -> native.Predictions | None:
    texts = Texts.of([value]), Texts.of([key])
    return native.predictions(*texts, latest_ms=NOW_MS, features=True)


def score_of(text: str) -> float | None:
    """Read a number that a text ends with, and one that more follows: eight bytes at a time."""
    others = '"prediction_id":"a","model":"m","prediction":1'
    found = [
        predictions(value.encode())
        for value in (f'{{{others},"score":{text}}}', f'{{"score":{text},{others}}}')
    ]
    last, first = (None if one is None else one.score.view(np.int64)[0] for one in found)
    assert last == first
    return None if found[0] is None else float(found[0].score[0])


@settings(max_examples=some(500))
@given(st.floats(-1e150, 1e150))
@example(0.1)
@example(8.41e21)
@example(9007199254740993.0)
@example(5e-324)
def test_a_float_is_read_as_python_reads_it(value: float) -> None:
    found = score_of(repr(value))

    assert found is None or found == value
    assert found is not None or not 1e-40 < abs(value) < 1e40 or value == int(value)


@given(st.from_regex(r"-?(0|[1-9][0-9]{0,8})(\.[0-9]{1,8})?", fullmatch=True))
@example("-0.0")
@example("123456.7")
@example("1.234567")
@example("12345678.9")
def test_a_short_number_is_read_as_python_reads_it(text: str) -> None:
    found = score_of(text)

    assert text == "-0" if found is None else repr(found) == repr(float(text))


@given(st.integers(EARLIEST_MS, NOW_MS), st.sampled_from(["", " "]))
def test_a_time_is_read_to_the_last_digit(time_ms: int, space: str) -> None:
    value = f'{{"timestamp_ms":{time_ms}{space},"prediction_id":"a","label":1}}'.encode()

    found = native.labels(Texts.of([value]), Texts.of([b"a"]), latest_ms=NOW_MS)

    assert found is not None
    assert found.time_ms.tolist() == [time_ms]


digits = st.text("0123456789", min_size=1, max_size=22)


@settings(max_examples=some(500))
@given(digits, digits, st.integers(-70, 70), st.sampled_from("eE"))
@example("18446744073709551616", "0", 0, "e")  # 2**64, which wraps to nothing
@example("1", "00000000000000011102230246251565404236316680908203125", 0, "e")  # half-way
@example("9007199254740993", "0", 0, "e")
def test_a_decimal_is_read_as_python_reads_it(whole: str, part: str, power: int, e: str) -> None:
    text = f"{int(whole)}.{part}{e}{power}"

    found = score_of(text)

    assert found is None or (found == float(text) and abs(found) <= 1e150)


@pytest.mark.parametrize(
    "text",
    [
        *["", "-", "+1", "01", "1.", ".5", "1e", "1e+", "0x1", "1_0", "NaN", "Infinity", "-0"],
        *["1 2", "falsy", "nil", "nullx", "1.5.5", "--1", "1e5e5", "12345678901234567890.5"],
        "1e400",
    ],
)
def test_what_is_no_plain_number_is_left_to_python(text: str) -> None:
    assert score_of(text) is None


@given(st.binary(max_size=600))
@example(bytes(1_024))
@example(bytes(range(256)) * 9)
def test_hashes_are_those_of_xxhash(text: bytes) -> None:
    padding = text.hex().encode()
    key = (padding or b"-")[:240]
    value = b'{"prediction_id":"%b","model":"m","prediction":1,"x":"%b"}' % (key, padding)

    found = predictions(value, key)

    assert found is not None
    assert found.checksum.tolist() == [xxhash.xxh3_64_intdigest(value) & 0xFFFFFFFF]
    [high], [low] = hash_ids([key])
    assert (found.high.tolist(), found.low.tolist()) == ([high], [low])


def test_hashes_of_every_size_are_those_of_xxhash() -> None:
    for size in range(1, 241):
        key = bytes(97 + i * 7 % 26 for i in range(size))
        value = b'{"prediction_id":"%b","model":"m","prediction":1,"x":"%b"}' % (key, key)

        found = predictions(value, key)

        assert found is not None, size
        assert found.checksum.tolist() == [xxhash.xxh3_64_intdigest(value) & 0xFFFFFFFF], size
        assert int(found.high[0]) == int(hash_ids([key]).high[0]), size
        assert int(found.low[0]) == int(hash_ids([key]).low[0]), size


_GOOD = (
    b'{"prediction_id":"a","model":"m","version":"2","prediction":"cat","timestamp_ms":1750000000000,'
    b'"score":0.25,"latency_ms":3.5,"features":{"a":1,"b":null,"c":"x","d":true},'
    b'"segments":{"city":"K\xc3\xb6ln"},"more":[1,{"x":[]},"y"]}'
)
_BYTES = b'{}[]:,"\\0123456789.eE+-tfn \n\x00\x1f\x80\xff'


def edited(value: bytes, changes: list[Any]) -> bytes:
    for at, cut, more in changes:
        value = value[:at] + more + value[at + cut :]
    return value


edits = st.lists(
    st.tuples(
        st.integers(0, len(_GOOD)),
        st.integers(0, 3),
        st.binary(max_size=2)
        | st.sampled_from(_BYTES).map(lambda byte: bytes([byte]))
        | st.sampled_from([b'"score":1', b'"model":"x",', b"{}", b"null", b"-0", b"1e5"]),
    ),
    min_size=1,
    max_size=3,
)


@settings(max_examples=some(500))
@given(edits)
def test_a_damaged_record_is_decoded_as_if_it_were_alone(changes: list[Any]) -> None:
    value = edited(_GOOD, changes)
    records = batch([_GOOD, value, _GOOD], keys=[b"a"] * 3)

    assert same(at_once(records), one_by_one(records))


_LABEL = (
    b'{"prediction_id":"a","timestamp_ms":1750000000000,"label":"cat","model":"m","retract":false}'
)


@settings(max_examples=some(500))
@given(edits)
def test_a_damaged_label_is_decoded_as_if_it_were_alone(changes: list[Any]) -> None:
    value = edited(_LABEL, changes)
    refused: list[dict[int, str]] = [{}, {}]
    records = batch([_LABEL, value], keys=[b"a"] * 2)
    found = []
    for number, available in enumerate((True, False)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(native, "available", available)
            note = refused[number]
            labels = Decoder().labels(
                records, now_ms=NOW_MS, refuse=lambda i, e, note=note: note.setdefault(i, e.reason)
            )
        found.append(labels._replace(indexes=list(labels.indexes)))

    assert refused[0] == refused[1]
    assert same(*found)


def test_texts_that_were_made_to_share_a_hash_are_left_to_python(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else 20,000 of them, each compared with all before it, would stall a worker for seconds."""
    secret = bytes.fromhex("b8fe6c3923a44bbe")  # of XXH3: what follows it has no influence
    texts = [secret + b"%08d" % number + b"z" * 16 for number in range(2)]
    assert len({xxhash.xxh3_64_intdigest(text) for text in texts}) == 1
    values = [
        b'{"prediction_id":"a","timestamp_ms":1750000000000,"label":"%b"}' % text for text in texts
    ]

    fates: list[int] = []
    monkeypatch.setattr(native, "_plain", lambda fate, *_: fates.append(fate))

    native.labels(Texts.of(values), Texts.of([b"a", b"a"]), latest_ms=NOW_MS)

    assert fates == [-1]  # before anybody has seen that this is no UTF-8


def test_many_layouts_of_features_are_left_to_python() -> None:
    values = [
        {"prediction_id": "a", "model": "m", "prediction": 1, "features": {f"f{i}": i, "g": 1}}
        for i in range(70)
    ]

    for count in (64, 65):
        records = batch(values[:count])
        assert same(at_once(records), one_by_one(records))
    columns = Texts.of(records.values), Texts.of(records.keys)  # type: ignore[arg-type]
    assert native.predictions(*columns, latest_ms=NOW_MS, features=True) is None


def test_a_slice_of_a_column_is_decoded_like_a_column_of_its_own() -> None:
    values = [
        PREDICTION | {"prediction_id": f"ä{i}", "model": f"m{i % 3}", "timestamp_ms": NOW_MS - i}
        for i in range(9)
    ]
    whole = batch(values, keys=[f"ä{i}".encode() for i in range(9)])
    part = batch(values[3:7], keys=[f"ä{i}".encode() for i in range(3, 7)])
    columns = Texts.of(whole.values), Texts.of(whole.keys)  # type: ignore[arg-type]
    cut = batch([])
    cut.values, cut.keys = columns[0][3:7], columns[1][3:7]
    cut.times_ms = whole.times_ms[3:7]

    assert same(at_once(cut), at_once(part))


seeds = st.none() | st.binary(min_size=SEED_BYTES, max_size=SEED_BYTES)


@given(st.lists(st.integers(0, 40), max_size=60), st.lists(st.integers(0, 40), max_size=20), seeds)
@example(list(range(41)), list(range(20)), bytes(SEED_BYTES))
def test_rows_are_found_whichever_way_they_were_placed(
    kept: list[int], gone: list[int], seed: bytes | None
) -> None:
    """Both ways work on the same cells, so that either may go on where the other stopped.

    With a secret of nothing but zeros all searches begin at one cell.
    """
    rows = hash_ids([b"%d" % number for number in range(41)])
    present: set[int] = set()
    index = HashIndex(seed)
    for number, step in enumerate((kept, gone)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(native, "available", bool(number))
            fresh = np.array(sorted(set(step) - present), np.int64)
            index.insert(fresh, rows=rows, count=len(present) + len(fresh))
            present |= set(step)
            leaving = np.array(sorted(present & set(gone))[::2], np.int64)
            index.delete(leaving, rows=rows)
            present -= set(leaving.tolist())
        expected = [number if number in present else -1 for number in range(41)]
        for available in (True, False):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(native, "available", available)
                assert index.find(*rows, rows=rows).tolist() == expected


@given(st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 5), max_size=50))
def test_repeated_numbers_are_noticed(numbers: list[int]) -> None:
    column = np.array(numbers, np.uint64)

    assert native.all_different(column) == (len(set(numbers)) == len(numbers))


finite = st.floats(allow_nan=False, allow_infinity=False)


@given(st.lists(st.tuples(finite, st.integers(0, 3)), max_size=40))
@example([(1.7976931348623157e308, 0)] * 30)
@example([(5e-324, 1), (-5e-324, 1), (-1.7976931348623157e308, 1), (2.2250738585072014e-308, 1)])
@example([(-5e-324, 2)])
def test_sums_are_those_of_fractions(rows: list[tuple[float, int]]) -> None:
    values = np.array([value for value, _ in rows], np.float64)
    group = np.array([number for _, number in rows], np.int64)

    sums = native.exact_sums(values, group, 4)

    for number in range(4):
        own = sum((Fraction(value) for value, of in rows if of == number), Fraction(0))
        assert sums[number] == own * 2**1074


@pytest.mark.parametrize("sign", [1, -1])
def test_a_sum_has_room_for_many_terms_that_fill_their_words(sign: int) -> None:
    largest = float(np.nextafter(2.0**-990, 0))
    values = np.full(5_000, sign * largest)

    sums = native.exact_sums(values, np.zeros(len(values), np.int64), 2)

    assert sums == [sign * 5_000 * Fraction(largest) * 2**1074, 0]
