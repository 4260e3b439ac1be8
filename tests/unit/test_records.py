"""What goes onto the topics between the stages, and to those who subscribe."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from streams.metrics import Metric, WindowKey, metric_key, metric_records
from streams.outcomes import Outcomes, decode_outcomes
from streams.quality import Value
from streams.tables import table_of
from streams.texts import Texts
from tests.builders import label, prediction
from tests.driver import TOPICS, Driver, as_inputs

WINDOW = WindowKey('fraud "eu"', "v\n1", "country=ö", 0, 60_000)


@pytest.mark.parametrize("coverage", [None, 0.25])
def test_a_metric_record_is_a_metric_as_json(coverage: float | None) -> None:
    values = [Value('mean:amount "€"', 1e-7, None, None, 3), Value("f1", 0.5, 0.25, 0.75, 12)]

    records = list(metric_records(WINDOW, values, coverage=coverage, revision=7, final=True))

    for (key, content), value in zip(records, values, strict=True):
        whole = Metric(*WINDOW, *msgspec.structs.astuple(value), coverage, 7, True)
        assert content == msgspec.json.encode(whole)
        assert key == metric_key(WINDOW, value.metric)
        assert msgspec.json.decode(key) == [*WINDOW, value.metric]


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
