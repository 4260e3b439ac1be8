"""What is published is what it was before the core was rebuilt, to the bit; see `tests.golden`."""

import gzip
import json
from itertools import cycle

import pytest

from tests.golden import million, results
from tests.golden.streams import STREAMS

METRICS = {
    *("predictions", "labels", "coverage", "missing_rate", "mean", "label_delay_p50_ms"),
    *("latency_p50_ms", "latency_p95_ms", "latency_p99_ms", "accuracy", "precision", "recall"),
    *("f1", "roc_auc", "log_loss", "brier", "mae", "rmse", "bias"),
}
#: One other way for every third stream; all of them take long.
OTHERWISE = list(zip(list(STREAMS)[::3], cycle(results.OTHER_WAYS), strict=False))


def as_recorded(name: str, way: results.Way) -> None:
    stream, want = STREAMS[name](), results.read(results.path_of(name))
    if not stream.anyhow:
        way = way._replace(partitions=1, sizes=results.AS_RECORDED.sizes)

    got = results.run(stream, way)

    results.check(name, got, want)


@pytest.mark.parametrize("name", STREAMS)
def test_what_is_published_of_a_stream_is_what_it_was(name: str) -> None:
    as_recorded(name, results.AS_RECORDED)


@pytest.mark.parametrize(("name", "way"), OTHERWISE, ids=[name for name, _ in OTHERWISE])
def test_it_is_the_same_however_records_are_cut_dealt_out_and_read_again(
    name: str, way: results.Way
) -> None:
    as_recorded(name, way)


@pytest.mark.long
@pytest.mark.parametrize("way", results.OTHER_WAYS, ids=["restarts", "at the end"])
@pytest.mark.parametrize("name", STREAMS)
def test_it_is_the_same_in_every_way(name: str, way: results.Way) -> None:
    as_recorded(name, way)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_what_is_published_of_a_million_events_is_what_it_was() -> None:
    want = million.read(results.path_of(million.NAME))

    got = million.run()

    million.check(got, want)


def test_every_metric_rule_and_detector_occurs_in_the_files() -> None:
    """Else the tests above would say nothing about it."""
    found = [results.read(results.path_of(name)) for name in STREAMS]

    metrics = {key[-1].partition(":")[0] for one in found for key in one.metrics}
    alerts = [alert for one in found for records in one.alerts.values() for alert in records]
    rules = {(a["evidence"].get("metric", "").partition(":")[0], a["state"]) for a in alerts}
    detectors = {
        (a["detector"], a["evidence"]["input"].partition(":")[0], a["state"])
        for a in alerts
        if a["kind"] == "drift"
    }

    assert metrics == METRICS == results.recorded()
    states = ("firing", "resolved")
    assert rules >= {(metric, state) for metric in METRICS for state in states}
    assert detectors == {
        (detector, source, state)
        for detector in ("adwin", "page_hinkley")
        for source in ("loss", "score", "feature")
        for state in states
    }
    directions = {a["direction"] for a in alerts}
    assert directions == {"worse", "better", "changed"}


def test_a_difference_names_stream_key_field_and_both_values() -> None:
    want = results.read(results.path_of("emptied windows"))
    key = next(key for key in want.metrics if key[-1] == "recall:a")
    other = want.metrics[key] | {"value": 0.125, "count": float(want.metrics[key]["count"])}
    gone = next(iter(want.alerts))
    got = want._replace(
        metrics=want.metrics | {key: other},
        alerts={name: records for name, records in want.alerts.items() if name != gone},
    )

    with pytest.raises(AssertionError) as failure:
        results.check("emptied windows", got, want)

    said = str(failure.value)
    missing = len(want.alerts[gone])
    assert f"stream 'emptied windows': {2 + missing} published numbers differ" in said
    name = json.dumps(key)
    assert f"metric {name}, value: want {want.metrics[key]['value']!r}, got 0.125" in said
    assert f"metric {name}, count: want {want.metrics[key]['count']}, got " in said
    assert f"alert {gone} " in said


def test_a_metric_that_came_later_is_no_difference_and_one_too_many_is() -> None:
    want = results.read(results.path_of("emptied windows"))
    key = next(key for key in want.metrics if key[-1] == "recall:a")
    later, never = (*key[:-1], "luck:a"), (*key[:-1], "recall:luck")

    results.check("s", want._replace(metrics=want.metrics | {later: want.metrics[key]}), want)

    more = want._replace(metrics=want.metrics | {never: want.metrics[key]})
    with pytest.raises(AssertionError, match="recall:luck"):
        results.check("s", more, want)


def test_a_difference_that_is_not_in_the_sample_of_a_million_names_the_model() -> None:
    want = million.read(results.path_of(million.NAME))
    now = million.kept_of(want.full)  # whose digests are of the sample alone

    with pytest.raises(AssertionError, match=r"m00 0: want \d+ metrics, .*, got \d+ metrics, "):
        million.check(want.full, want)

    million.check(want.full, want._replace(digests=now.digests))


def test_files_are_small_and_of_streams_that_there_are() -> None:
    files = set(results.FILES.iterdir())

    assert files == {results.path_of(name) for name in (*STREAMS, million.NAME)}
    assert sum(file.stat().st_size for file in files) < 3 << 20
    assert all(gzip.decompress(file.read_bytes()) for file in files)
