"""What goes onto the topics between the stages, and to those who subscribe."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from streams.metrics import Metric
from streams.outcomes import Outcomes, decode_outcomes
from streams.tables import table_of
from streams.texts import Texts
from tests.builders import label, prediction
from tests.driver import TOPICS, Driver, as_inputs


def test_a_metric_record_is_a_metric_as_json() -> None:
    driver = Driver()
    named = {"model": 'fraud "eu"', "version": "v\n1", "segments": {"country": "ö"}}
    given = prediction("a", **named, features={'amount "€"': 1e-7, "none": None})
    driver.feed(as_inputs([given, prediction("b", **named), label("a")]))

    driver.finish()

    records = [(k, v) for topic, k, v in driver.written if topic == TOPICS.metrics]
    assert len(records) > 20
    for key, value in records:
        metric = msgspec.json.decode(value or b"", type=Metric)
        assert value == msgspec.json.encode(metric)
        assert key == msgspec.json.encode([*msgspec.structs.astuple(metric)[:6]])
        assert (metric.model, metric.version) == ('fraud "eu"', "v\n1")
        assert metric.segment in ("", "country=ö")
    assert driver.value('mean:amount "€"', segment="country=ö") == 1e-7


@pytest.mark.parametrize("length", range(1, 9))
def test_columns_of_an_outcomes_record_may_start_anywhere(length: int) -> None:
    driver = Driver()
    fields = {"model": "m" * length, "features": {"amount": 1.5, "age": 30}}
    driver.feed(as_inputs([prediction("a", **fields), prediction("b", **fields), label("a")]))
    [value] = [value for topic, _, value in driver.written if topic == TOPICS.outcomes]

    found = decode_outcomes(value or b"")

    assert isinstance(found, Outcomes)
    [block] = found.features
    assert block.values.flags.aligned
    assert block.values.tolist() == [[1.5, 30.0]] * 2
    table = table_of([found], lambda models: np.zeros(len(models.keys), np.int64))
    assert all(getattr(table.outcomes, name).flags.aligned for name in ("label_ms", "score"))
    assert driver.value("mean:amount") == 1.5


@pytest.mark.parametrize("size", [1, 100_000])
def test_texts_are_the_same_however_large_they_are(size: int) -> None:
    values = [b"a" * size, b"", b"b" * (size + 1)]

    assert list(Texts.of(values)) == values
    assert list(Texts.of(values)[1:]) == values[1:]
