"""The worker's metrics: a catalogue that Prometheus accepts, and nothing outside of it."""

from __future__ import annotations

import shutil
import subprocess
import urllib.error
import urllib.request

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from agents.telemetry import Telemetry
from agents.telemetry_catalogue import CATALOGUE, FATES, WORKER, Entry


@pytest.fixture
def telemetry() -> Telemetry:
    """Give every worker metric at least one series."""
    telemetry = Telemetry(version="1.2.3")
    act = {"counter": telemetry.count, "gauge": telemetry.set, "histogram": telemetry.observe}
    for entry in WORKER:
        act[entry.kind](entry.name, 1, **dict.fromkeys(entry.labels, "0"))
    return telemetry


def text(registry: CollectorRegistry) -> str:
    return generate_latest(registry).decode()


@pytest.mark.parametrize("entry", CATALOGUE, ids=lambda entry: entry.name)
def test_the_catalogue_follows_prometheus_naming(entry: Entry) -> None:
    assert entry.name.startswith("driftline_")
    assert (entry.kind == "counter") == entry.name.endswith("_total")
    assert entry.help.endswith(".")
    assert len(set(entry.labels)) == len(entry.labels)
    assert "prediction_id" not in entry.labels


def test_names_are_unique() -> None:
    assert len({entry.name for entry in CATALOGUE}) == len(CATALOGUE)


def test_the_exposition_is_exactly_the_catalogue(telemetry: Telemetry) -> None:
    families = {f.name: f for f in text_string_to_metric_families(text(telemetry.registry))}

    assert families.keys() == {entry.name.removesuffix("_total") for entry in WORKER}
    for entry in WORKER:
        family = families[entry.name.removesuffix("_total")]
        assert (family.type, family.documentation) == (entry.kind, entry.help)
        names = {sample.name for sample in family.samples}
        if entry.kind == "histogram":
            assert names == {f"{entry.name}{end}" for end in ("_bucket", "_count", "_sum")}
        else:
            assert names == {entry.name}
            assert all(set(s.labels) == set(entry.labels) for s in family.samples)


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_accepts_the_exposition(telemetry: Telemetry) -> None:
    checked = subprocess.run(
        ["promtool", "check", "metrics"],
        input=text(telemetry.registry),
        capture_output=True,
        text=True,
        check=False,
    )

    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


def test_every_fate_begins_at_zero() -> None:
    registry = Telemetry(version="1").registry

    values = [registry.get_sample_value("driftline_records_total", {"fate": f}) for f in FATES]
    assert values == [0.0] * 10


def test_counters_add_gauges_replace_and_histograms_collect() -> None:
    telemetry = Telemetry(version="1")

    telemetry.count("driftline_dead_letters_total", reason="bad_json")
    telemetry.count("driftline_dead_letters_total", 4, reason="bad_json")
    telemetry.set("driftline_models", 3)
    telemetry.set("driftline_models", 2)
    telemetry.observe("driftline_commit_duration_seconds", 0.03)
    telemetry.observe("driftline_commit_duration_seconds", 0.2)

    value = telemetry.registry.get_sample_value
    assert value("driftline_dead_letters_total", {"reason": "bad_json"}) == 5
    assert value("driftline_models") == 2
    assert value("driftline_commit_duration_seconds_bucket", {"le": "0.05"}) == 1
    assert value("driftline_commit_duration_seconds_sum") == pytest.approx(0.23)


def test_a_metric_outside_the_catalogue_is_refused() -> None:
    telemetry = Telemetry(version="1")

    with pytest.raises(KeyError):
        telemetry.count("driftline_surprises_total")
    with pytest.raises(KeyError):
        telemetry.set("driftline_commits_total", 1)
    with pytest.raises(ValueError, match="label"):
        telemetry.count("driftline_records_total", prediction_id="r-1")
    with pytest.raises(ValueError, match="increment"):
        telemetry.count("driftline_commits_total", -1)


def test_a_partition_that_was_taken_away_leaves_no_gauge_behind() -> None:
    telemetry = Telemetry(version="1")
    for partition in (0, 1):
        telemetry.set("driftline_pending_predictions", 5, partition=partition)
        for stage in ("join", "monitor"):
            telemetry.set("driftline_clock_timestamp_seconds", 5, stage=stage, partition=partition)
    telemetry.set("driftline_models", 1)

    telemetry.forget(stage="join", partition=0)
    telemetry.forget()

    clocks = {
        (s.labels["stage"], s.labels["partition"])
        for family in telemetry.registry.collect()
        for s in family.samples
        if s.name == "driftline_clock_timestamp_seconds"
    }
    value = telemetry.registry.get_sample_value
    assert clocks == {("join", "1"), ("monitor", "0"), ("monitor", "1")}
    assert value("driftline_pending_predictions", {"partition": "0"}) == 5
    assert value("driftline_models") == 1

    telemetry.forget(partition=0)

    assert value("driftline_pending_predictions", {"partition": "0"}) is None
    assert value("driftline_pending_predictions", {"partition": "1"}) == 5


def test_two_telemetries_do_not_meet() -> None:
    one, other = Telemetry(version="1"), Telemetry(version="1")

    one.count("driftline_commits_total")

    assert other.registry.get_sample_value("driftline_commits_total") == 0


def test_prometheus_is_answered_until_the_server_is_stopped(telemetry: Telemetry) -> None:
    port, stop = telemetry.serve(port=0)
    url = f"http://127.0.0.1:{port}/metrics"

    with urllib.request.urlopen(url, timeout=5) as answer:
        body = answer.read().decode()
    stop()
    stop()

    assert 'driftline_build_info{python="' in body
    assert "_created" not in body
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(url, timeout=5)


def test_probes_are_answered_beside_the_metrics(telemetry: Telemetry) -> None:
    wrong: list[str] = []
    port, stop = telemetry.serve(port=0, probes={"/livez": lambda: wrong[0] if wrong else None})
    url = f"http://127.0.0.1:{port}"

    with urllib.request.urlopen(f"{url}/livez", timeout=5) as answer:
        healthy = (answer.status, answer.read())
    wrong.append("it hangs")
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(f"{url}/livez", timeout=5)
    with urllib.request.urlopen(f"{url}/metrics", timeout=5) as answer:
        metrics = answer.read()
    stop()

    assert healthy == (200, b"ok\n")
    with error.value as answer:
        assert (answer.code, answer.read()) == (503, b"it hangs\n")
    assert b"driftline_build_info" in metrics


def test_pages_are_answered_as_json(telemetry: Telemetry) -> None:
    def starting() -> bytes:
        raise RuntimeError("it starts")

    pages = {"/status": lambda: b"{}", "/later": starting}
    port, stop = telemetry.serve(port=0, pages=pages)
    url = f"http://127.0.0.1:{port}"

    with urllib.request.urlopen(f"{url}/status", timeout=5) as answer:
        seen = answer.headers["Content-Type"], answer.read()
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(f"{url}/later", timeout=5)
    stop()

    assert seen == ("application/json", b"{}")
    with error.value as answer:
        assert (answer.code, answer.read()) == (503, b"it starts\n")


def test_a_port_that_is_taken_is_an_error(telemetry: Telemetry) -> None:
    port, stop = telemetry.serve(port=0)

    with pytest.raises(OSError, match="in use"):
        telemetry.serve(port=port)
    stop()
