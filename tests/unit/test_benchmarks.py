"""What benchmarks say is exact is exact: the check finds every kind of wrong number."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from benchmarks import exact, load, measure
from benchmarks.load import Load
from tests import oracle

WINDOW_MS = 300_000
LOAD = Load(events=4_000, models=2, features=2, spacing_ms=500, unlabelled=0.1, pending=500)
Records = list[dict[str, Any]]


def lines(of: Load) -> list[bytes]:
    records = []
    for chunk in of.chunks():
        records += load.prediction_records(chunk)
        records += load.label_records(chunk, delay_ms=of.delay_ms)
    return [record["value"].encode() for record in records]


@pytest.fixture(scope="module")
def expected() -> exact.Expected:
    return exact.Expected(LOAD, window_ms=WINDOW_MS)


@pytest.fixture(scope="module")
def right() -> Records:
    """Metrics that pandas and scikit-learn work out of the events' text."""
    found = oracle.expect(lines(LOAD), window_ms=WINDOW_MS)
    records = [
        {
            **key._asdict(),
            "value": want.values[0],
            "count": want.count,
            "coverage": want.coverage,
            "revision": 1,
        }
        for key, want in found.metrics.items()
        if want.required
    ]
    totals = {
        (r["model"], r["window_start_ms"], r["metric"]): r["value"]
        for r in records
        if r["metric"] in ("predictions", "labels")
    }
    for record in records:
        window = record["model"], record["window_start_ms"]
        predictions, labels = totals[*window, "predictions"], totals[*window, "labels"]
        record["coverage"] = labels / predictions
        if record["count"] is None:
            inputs = record["metric"].partition(":")[0] in ("mean", "missing_rate")
            record["count"] = predictions if inputs else None
    by_metric = {"predictions": "predictions", "labels": "labels", "coverage": "predictions"}
    for record in records:
        window = record["model"], record["window_start_ms"]
        if record["count"] is None:
            record["count"] = totals[*window, by_metric.get(record["metric"], "labels")]
    return records


def test_the_expected_numbers_are_those_of_pandas_and_scikit_learn(
    expected: exact.Expected, right: Records
) -> None:
    assert expected.differences(right) == []
    assert len(right) > 100


def changed(field: str, by: float) -> Callable[[Records], Records]:
    def change(records: Records) -> Records:
        return [records[0] | {field: records[0][field] + by}, *records[1:]]

    return change


WRONG = {
    "value": changed("value", 1.0),
    "count": changed("count", 1),
    "coverage": changed("coverage", 1e-6),
    "window": changed("window_start_ms", -1),
    "missing": lambda records: records[1:],
    "unknown metric": lambda records: [*records, records[0] | {"metric": "luck"}],
    "unknown model": lambda records: [*records, records[0] | {"model": "m7"}],
    "segment": lambda records: [*records, records[0] | {"segment": "a=b"}],
}


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG.keys())
def test_a_wrong_number_is_found(
    change: Callable[[Records], Records], expected: exact.Expected, right: Records
) -> None:
    assert expected.differences(change(right))


@pytest.mark.parametrize("metric", ["brier", "log_loss", "accuracy", "mean:f1"])
def test_the_last_digits_of_a_mean_count(
    metric: str, expected: exact.Expected, right: Records
) -> None:
    wrong = [r | {"value": r["value"] + 1e-6} if r["metric"] == metric else r for r in right]

    assert expected.differences(wrong)


def test_without_features_there_must_be_no_metrics_of_them(
    expected: exact.Expected, right: Records
) -> None:
    plain = [record for record in right if ":" not in record["metric"]]

    assert expected.without_features().differences(plain) == []
    assert expected.without_features().differences(right)


def test_a_revision_that_does_not_rise_is_found() -> None:
    revisions = exact.Revisions()

    for revision in (1, 2, 2):
        revisions.take(b"k", json.dumps({"revision": revision}).encode())

    assert len(revisions.problems) == 1
    assert revisions.records() == [{"revision": 2}]


@pytest.mark.parametrize(
    ("fates", "balanced"),
    [
        ({"joined": 180.0, "pending": 4.0, "unlabelled": 6.0, "late_label": 0.0}, True),
        ({"joined": 178.0, "pending": 4.0, "unlabelled": 6.0}, False),
        ({"joined": 180.0, "pending": 4.0, "unlabelled": 7.0}, False),
        ({"joined": 180.0, "pending": 4.0, "unlabelled": 6.0, "late_label": 1.0}, False),
    ],
)
def test_fates_must_balance(fates: dict[str, float], balanced: bool) -> None:
    load_of_100 = Load(events=100, unlabelled=0.0, pending=50)

    found = exact.fates_differences(fates, load_of_100, labels=90)

    assert (found == []) == balanced


def test_the_same_load_has_the_same_events() -> None:
    assert lines(Load(events=100)) == lines(Load(events=100))
    assert lines(Load(events=100)) != lines(Load(events=100, seed=2))


def test_cost_is_taken_from_20_percent_until_nothing_is_left_to_do() -> None:
    done = [0, 100, 200, 600, 1_000, 1_000, 1_000, 1_000]
    cpu_s = [0.0, 0.9, 1.8, 2.6, 3.3, 4.2, 4.3, 4.4]
    samples = [
        measure.Sample(time_s=t, done=d, cpu_s=cpu, broker_cpu_s=0.0, rss_mb=t)
        for t, (d, cpu) in enumerate(zip(done, cpu_s, strict=True))
    ]

    cost = measure.cost(samples, first=0, last=1_000, whole=samples[-1])

    assert cost.cpu_us == pytest.approx(1e6 * (4.2 - 1.8) / 800)
    assert cost.whole_cpu_us == pytest.approx(1e6 * 4.4 / 1_000)
    assert cost.events_per_s == pytest.approx(800 / 3)
    assert cost.rss_mb == 7


def test_cost_is_not_taken_before_all_workers_have_partitions() -> None:
    ready = [False, False, True, True, True]
    samples = [
        measure.Sample(
            time_s=t, done=150 * t, cpu_s=1.0 * t * t, broker_cpu_s=0.0, rss_mb=t, ready=r
        )
        for t, r in enumerate(ready)
    ]

    cost = measure.cost(samples, first=0, last=600, whole=samples[-1])

    assert cost.cpu_us == pytest.approx(1e6 * (16 - 4) / 300)
    for few in (2, 3, 4):  # nobody was ready; all was done; most was done
        last = samples[few - 1]
        with pytest.raises(measure.MeasurementError, match="before their cost could be measured"):
            measure.cost(samples[:few], first=0, last=min(last.done, 400), whole=last)
