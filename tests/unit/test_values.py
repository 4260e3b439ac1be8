"""A bad value costs the value, not the prediction: what is left out, counted and named."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from xxhash import xxh3_64_intdigest

from streams import native
from streams.categories import CATEGORIES, codes
from streams.errors import RecordError
from streams.events import Prediction, decode_label, decode_prediction
from streams.heads import head_of, peek_time_ms
from streams.limits import RecordLimits
from streams.values import FIELDS, Dropped
from tests.builders import START_MS, label, prediction
from tests.driver import Driver, as_inputs

PLAIN = b'"prediction_id":"a","model":"m","prediction":1,"timestamp_ms":1750000000000'


def decode(members: str, **options: Any) -> tuple[Prediction, list[Dropped]]:
    dropped: list[Dropped] = []
    value = b"{%b,%b}" % (PLAIN, members.encode())
    return decode_prediction(value, dropped=dropped, **options), dropped


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ('"latency_ms": -0.2', "latency_ms of model 'm': -0.2 is negative"),
        ('"latency_ms": -1e-300', "latency_ms of model 'm': -1e-300 is negative"),
        ('"latency_ms": "12 ms"', "latency_ms of model 'm': '12 ms' is a string, not a number"),
        ('"latency_ms": true', "latency_ms of model 'm': True is a boolean, not a number"),
        ('"latency_ms": NaN', "latency_ms of model 'm': NaN is NaN or infinite"),
        ('"score": NaN', "score of model 'm': NaN is NaN or infinite"),
        ('"score": -Infinity', "score of model 'm': NaN is NaN or infinite"),
        ('"score": "85%"', "score of model 'm': '85%' is a string, not a number"),
        ('"score": [0.2, 0.8]', "score of model 'm': [0.2, 0.8] is an array, not a number"),
        ('"score": 1e200', "score of model 'm': 1e+200 is beyond 1e+150"),
        ('"score": 1e999', "score of model 'm': inf is beyond 1e+150"),
        ('"scores": [0.2, 0.8]', "scores of model 'm': [0.2, 0.8] is an array, not an object"),
        ('"segments": "eu"', "segments of model 'm': 'eu' is a string, not an object"),
        ('"features": null, "features": 7', "features of model 'm': 7 is a number, not an object"),
    ],
)
def test_a_bad_value_is_left_out_and_named(members: str, why: str) -> None:
    found, dropped = decode(members)

    assert (found.score, found.scores, found.segments) == (None, None, None)
    assert (found.latency_ms, found.features) == (None, None)
    assert [str(one) for one in dropped] == [why]


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ('"features": {"a": [1, 2], "b": 2}', "features of model 'm': 'a': [1, 2] is an array"),
        ('"features": {"a": NaN, "b": 2}', "features of model 'm': 'a': NaN is NaN or infinite"),
        ('"scores": {"1": "x", "0": 0.5}', "scores of model 'm': '1': 'x' is a string"),
        ('"segments": {"a": 7, "b": "x"}', "segments of model 'm': 'a': 7 is a number"),
    ],
)
def test_of_several_values_the_bad_one_is_named(members: str, why: str) -> None:
    _, dropped = decode(members)

    assert [str(one).partition(", not ")[0] for one in dropped] == [why]


def test_of_features_only_the_bad_ones_are_left_out() -> None:
    values = {
        "good": 1.5,
        "whole": 2**64,
        "flag": True,
        "text": "FR",
        "missing": None,
        "list": [1, 2],
        "object": {"a": 1},
        "large": 1e151,
    }

    found, dropped = decode(f'"features": {json.dumps(values | {"nan": float("nan")})}')

    assert found.features is not None
    text = found.features.pop("text")
    assert codes(np.array([text])) == xxh3_64_intdigest(b"FR") % CATEGORIES
    assert found.features == {
        "good": 1.5,
        "whole": 2.0**64,
        "flag": 1.0,
        "missing": None,
        "nan": None,
    }
    assert [one.field for one in dropped] == ["features"] * 4


def test_a_number_out_of_range_costs_nothing_else() -> None:
    found, dropped = decode('"features": {"a": 1e999, "b": 2, "b": 3}, "scores": {"1": 1e999}')

    assert (found.features, found.scores) == ({"b": 3.0}, {})
    assert [one.field for one in dropped] == ["scores", "features"]


def test_of_scores_and_segments_only_the_bad_ones_are_left_out() -> None:
    long = "x" * 257

    found, dropped = decode(
        f'"scores": {{"a": NaN, "b": 0.5, "c": "1", "d": null, "{long}": 1}},'
        f'"segments": {{"": "a", "b": 1, "c": "eu", "d": "{long}", "{long}": "e", "f": null}}'
    )

    assert (found.scores, found.segments) == ({"b": 0.5}, {"c": "eu"})
    assert [one.field for one in dropped] == ["scores"] * 3 + ["segments"] * 4


@pytest.mark.parametrize("field", ["features", "segments", "scores"])
def test_of_too_many_values_the_last_by_name_are_left_out(field: str) -> None:
    """By name, since the order in which JSON has them means nothing."""
    value = "x" if field == "segments" else 1
    names = ["d", "b", "a", "c"]
    limits = RecordLimits(features=2, segments=2, scores=2)

    found, dropped = decode(f'"{field}": {json.dumps(dict.fromkeys(names, value))}', limits=limits)

    assert sorted(getattr(found, field)) == ["a", "b"]
    assert [(one.field, one.count, one.value) for one in dropped] == [(field, 2, "'c'")]


@pytest.mark.parametrize("field", ["prediction_id", "model", "version"])
def test_a_name_may_have_so_many_bytes_and_no_more(field: str) -> None:
    """They identify: cut, they would be others."""
    for name, fits in (("ä" * 128, True), ("ä" * 128 + "x", False), ("x" * 257, False)):
        value = json.dumps(prediction("a") | {field: name}).encode()
        if fits:
            assert getattr(decode_prediction(value), field) == name
        else:
            with pytest.raises(RecordError, match=f"invalid_prediction: `{field}` has 257 bytes"):
                decode_prediction(value)


@pytest.mark.parametrize("field", ["prediction_id", "model", "prediction", "timestamp_ms"])
def test_what_a_prediction_needs_is_not_left_out(field: str) -> None:
    value = json.dumps(prediction("a") | {field: float("nan")}).encode()

    with pytest.raises(RecordError, match=f"invalid_prediction: `{field}` is NaN or infinite"):
        decode_prediction(value)


def test_a_label_that_is_nan_is_none() -> None:
    value = json.dumps(label("a", label=float("nan"), retract=True)).encode()

    with pytest.raises(RecordError, match="invalid_label: `label` is NaN or infinite"):
        decode_label(value)


def test_text_that_looks_like_nan_is_text() -> None:
    found, dropped = decode(r'"features": {"NaN": NaN}, "segments": {"a": "NaN, \"Infinity"}')

    assert found.segments == {"a": 'NaN, "Infinity'}
    assert found.features == {"NaN": None}
    assert [one.field for one in dropped] == ["features"]


@pytest.mark.parametrize(
    "text", ["NaNNaN", "1NaN", "-NaN1", "{NaN:1}", '"NaN', "[NaN", "+Infinity"]
)
def test_what_is_no_json_otherwise_is_none_with_nan_either(text: str) -> None:
    with pytest.raises(RecordError, match="invalid_json"):
        decode(f'"score": {text}')


@pytest.mark.parametrize(
    "tail",
    ['"' + '\\"' * 400_000, '"' * 900_000, "NaN," * 200_000, "[" * 900_000, '"\\' * 450_000],
    ids=["escapes", "quotes", "nan", "deep", "halves"],
)
def test_what_was_made_to_be_slow_is_not(tail: str) -> None:
    """Steps that went back over it would take hours, and the test's time out."""
    with pytest.raises(RecordError):
        decode(f'"score": NaN, "x": {tail}')


def test_a_value_of_any_depth_and_size_is_named_in_a_few_words() -> None:
    deep = "[" * 500 + "]" * 500

    _, dropped = decode(f'"score": {deep}, "latency_ms": "{"x" * 900_000}"')

    assert [len(str(one)) < 200 for one in dropped] == [True, True]


def test_a_recording_with_nan_says_what_its_lines_are() -> None:
    line = json.dumps(prediction("a", score=float("nan"))).encode()

    assert head_of(line) == ("prediction", "a", START_MS)
    assert peek_time_ms(line) == START_MS


@pytest.mark.parametrize("available", [True, False], ids=["compiled", "python"])
@pytest.mark.parametrize(
    "values",
    [
        {"latency_ms": -0.2},
        {"latency_ms": "NA", "score": "NaT"},
        {"features": {"tags": ["a"], "when": "2026-01-01", "id": 2**64 - 1}},
        {"scores": {"1": float("nan")}},
        {"segments": {"age": 7}},
    ],
    ids=",".join,
)
def test_the_prediction_and_its_label_count_without_it(
    values: dict[str, Any], available: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(native, "available", available and native.available)
    driver = Driver()
    good = [prediction("b"), label("b")]

    driver.feed(as_inputs([prediction("a", **values), label("a"), *good]))
    driver.finish()

    assert driver.fates == {"joined": 4}
    assert driver.value("accuracy") == 1.0
    assert driver.dropped == dict.fromkeys(values, 1)


def test_a_label_that_carries_its_own_prediction_loses_only_the_value() -> None:
    driver = Driver()

    driver.feed(as_inputs([prediction("a", label=1, latency_ms=-1, features={"f": [1]})]))
    driver.finish()

    assert driver.fates == {"joined": 1}
    assert driver.dropped == {"latency_ms": 1, "features": 1}


def test_a_refused_record_has_no_values_left_out() -> None:
    """It is a dead letter, where whoever looks finds all of it."""
    driver = Driver()

    driver.feed(as_inputs([prediction("a", latency_ms=-1, timestamp_ms=1)]))

    assert (driver.dead, driver.dropped) == (["implausible_time"], {})


def test_a_longer_text_counts_under_its_hash() -> None:
    """Free text is no name of a class, but whether two texts are the same can be told."""
    driver = Driver()
    text, other = "Dear customer, " * 40, "Dear customer, " * 41
    events = [
        *(prediction("a", prediction=text), label("a", label=text)),
        *(prediction("b", prediction=text), label("b", label=other)),
    ]
    again = label("a", label=text, timestamp_ms=START_MS + 2_000)

    driver.feed(as_inputs([*events, again]))
    driver.finish()

    assert driver.fates == {"joined": 4, "duplicate_label": 1}
    assert driver.value("accuracy") == 0.5


def test_an_early_label_with_a_long_text_counts_under_the_same_hash() -> None:
    driver = Driver()
    text = "ä" * 200

    driver.feed(as_inputs([label("a", label=text)]))
    driver.feed(as_inputs([prediction("a", prediction=text)]))
    driver.finish()

    assert driver.fates == {"joined": 2}
    assert driver.value("accuracy") == 1.0


def test_of_ever_so_many_bad_values_a_few_are_named_and_all_are_counted() -> None:
    features = ", ".join(f'"f{number:04}": []' for number in range(1_500))
    scores = ", ".join(f'"c{number:04}": "high"' for number in range(700))

    found, dropped = decode(f'"features": {{{features}}}, "scores": {{{scores}}}')

    counts = {field: sum(one.count for one in dropped if one.field == field) for field in FIELDS}
    assert (found.features, found.scores) == ({}, {})
    assert counts == {"score": 0, "scores": 700, "features": 1_500, "segments": 0, "latency_ms": 0}
    assert len(dropped) < 20


def test_of_more_features_than_are_allowed_the_last_by_name_are_not_looked_at() -> None:
    features = '"z": 1, "b": 2, "y": [], "a": []'

    found, dropped = decode(f'"features": {{{features}}}', limits=RecordLimits(features=2))

    assert found.features == {"b": 2.0}
    assert [str(one) for one in dropped] == [
        "features of model 'm': 'y' is one of 4, at most 2 are allowed",
        "features of model 'm': 'a': [] is an array, not a number",
    ]
    assert [one.count for one in dropped] == [2, 1]
