"""The monitors file: every error names the entry, the value and what would have been right."""

from typing import Any

import pytest

from streams.errors import ConfigError
from streams.monitors import Window
from streams.monitors_file import parse_monitors


def rule(**fields: Any) -> dict[str, Any]:
    return {"thresholds": [{"name": "a", "metric": "accuracy", "below": 0.9} | fields]}


def only(metric: str, **limit: float) -> dict[str, Any]:
    return {"thresholds": [{"name": "a", "metric": metric, **limit}]}


def drift(**fields: Any) -> dict[str, Any]:
    return {"drift": [{"name": "d", "input": "loss"} | fields]}


def hopping(size: str, hop: str) -> dict[str, Any]:
    return {"windows": [{"size": size, "hop": hop}]}


def coarse(given: dict[str, Any], window: str = "5m") -> dict[str, Any]:
    windows = [window, {"size": "1d", "hop": "1h"}] if window == "5m" else [window]
    return {"coarse": given, "windows": windows}


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ([1], "[1] is no mapping of keys to values"),
        ({"threshold": []}, "no such key 'threshold'; did you mean thresholds?"),
        ({"thresholds": {"a": 1}}, "thresholds: {'a': 1}: expected array, got object"),
        ({"thresholds": ["a"]}, "threshold 1: 'a' is no mapping of keys to values"),
        ({"thresholds": [{"metric": "f1"}]}, "threshold 1: the key 'name' is missing"),
        (rule(belw=1), "threshold 'a': no such key 'belw'; did you mean below?"),
        (rule(metric="acuracy"), "threshold 'a': metric: 'acuracy' is unknown; did you mean accu"),
        (rule(metric="mean"), "threshold 'a': metric: 'mean' needs a feature: mean:<feature>"),
        (rule(metric="mean:"), "threshold 'a': metric: 'mean:' needs a feature: mean:<feature>"),
        (rule(metric="recall:"), "threshold 'a': metric: 'recall:' needs a class: recall:<class>"),
        (rule(metric="accuracy:dog"), "accuracy is of the whole model; leave 'dog' out"),
        (rule(severity="criticl"), "threshold 'a': severity: 'criticl' is unknown; did you mean c"),
        (rule(version=1.1), "threshold 'a': version: 1.1: expected str, got float; write it in qu"),
        (rule(segment="web"), "threshold 'a': segment: 'web' is no name=value"),
        (rule(above=1), "threshold 'a': has below and above; give exactly one of"),
        (only("accuracy"), "threshold 'a': has no limit; give exactly one of"),
        (rule(window="soon"), "threshold 'a': window: 'soon' is no duration"),
        (hopping("5m", "10m"), "windows: hop 10m is longer than size 5m"),
        (hopping("1h", "7m"), "windows: size 1h is no multiple of hop 7m"),
        (hopping("30d", "1s"), "each event into 2,592,000 windows; at most 4,096, so choose a lo"),
        (drift(input="los"), "drift 'd': input: 'los' is unknown; did you mean loss?"),
        (drift(input="feature:"), "drift 'd': input: 'feature:' is unknown"),
        ({"defaults": "scan"}, "defaults: 'scan' is unknown; known are false, true"),
        ({"defaults": 7}, "defaults: 7 is unknown; known are false, true"),
        (drift(detector="adwn"), "drift 'd': detector: 'adwn' is unknown"),
        (drift(parameters={"dleta": 1.0}), "drift 'd': detector adwin: unknown parameter 'dleta'"),
        ({"models": {"m": {"task": "binry"}}}, "model 'm': task: 'binry' is unknown; did you mean"),
        (
            {"models": {"m": {"task": "regression", "positive": "x"}}},
            "model 'm': positive: 'x' means nothing for task regression",
        ),
        (
            rule(name="loss-scan"),
            "the name 'loss-scan' is used twice; the default monitors have names, too",
        ),
        (
            {"drift": [{"name": "loss-scan", "input": "loss", "model": "fraud"}]},
            "drift 'loss-scan': model: 'fraud': a default monitor, which is of every model, has th",
        ),
        (rule(name=" "), "the name ' ' must have 1 to 200 characters: alerts go by it"),
        (drift(name="d" * 201), "ddd must have 1 to 200 characters: alerts go by it"),
        ({"coarse": True}, "coarse: no window is merged from hours or days, so nobody would"),
        (coarse({"hour": "1d"}), "coarse: no such key 'hour'; did you mean hours?"),
        (coarse({"hours": "9h"}), "coarse: hours: 9h is shorter than the window of 1d every 1h"),
        (coarse({"days": "2d"}), "coarse: days: 2d is shorter than hours: 3d"),
        (coarse({}, "7d"), "coarse: panes of 7d do not divide an hour; take windows that do"),
        ({"windows": [5]}, "windows: 5 is no mapping of keys to values"),
        ({"windows": [{"siz": "5m"}]}, "windows: no such key 'siz'; did you mean size?"),
        ({"reference": "x"}, "reference: 'x': expected int, got str; write a number, without quo"),
        (rule(below="1e-3"), "below: '1e-3': expected float | null, got str; write a number, with"),
        ({"reference": 2**64 - 1}, "reference: 18446744073709551615: expected int <= 10000000"),
        (rule(minimum=2**64 - 1), "minimum: 18446744073709551615: expected int <= 1000000000000"),
        (rule(clear=float("nan")), "threshold 'a': clear: nan is no number"),
        (
            drift(detector="page_hinkley", parameters={"block": 2.0**63}),
            "detector page_hinkley: block 9.22337e+18 is out of range: at least 1, at most 1e+12",
        ),
        (
            drift(detector="page_hinkley", parameters={"threshold": float("inf")}),
            "detector page_hinkley: threshold inf is out of range: more than 0, at most 1e+12",
        ),
    ],
)
def test_an_error_names_the_entry_the_value_and_what_is_near(data: object, says: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse_monitors(data, file="m.yaml")

    assert str(error.value).startswith("m.yaml: ")
    assert says in str(error.value)


@pytest.mark.parametrize(
    ("metric", "limit", "says"),
    [
        ("accuracy", {"below": 90}, "below: 90 always fires: accuracy is between 0 and 1; did you"),
        ("accuracy", {"below": 1.01}, "below: 1.01 always fires"),
        ("accuracy", {"below": 0.0}, "below: 0 never fires"),
        ("coverage", {"above": 95}, "above: 95 never fires: coverage is between 0 and 1; did you"),
        ("roc_auc", {"above": 1.0}, "above: 1 never fires"),
        ("recall:dog", {"below": 50}, "did you mean 0.5?"),
        ("missing_rate:age", {"above": -0.1}, "above: -0.1 always fires"),
        ("mae", {"below": 0}, "below: 0 never fires: mae is never below 0"),
        ("latency_p95_ms", {"above": -1}, "above: -1 always fires"),
        ("log_loss", {"above": 40}, "above: 40 never fires: log_loss is between 0 and 34.54"),
        ("f1", {"falls_by": 1.0}, "falls_by: 1 never fires: f1 is between 0 and 1"),
        ("labels", {"falls_by": 1}, "falls_by: 1 never fires: labels is never below 0"),
        ("mean:age", {"below": float("nan")}, "below: nan is no number"),
        ("accuracy", {"falls_by": float("nan")}, ""),
    ],
)
def test_a_limit_that_no_value_or_every_value_passes_is_refused(
    metric: str, limit: dict[str, float], says: str
) -> None:
    with pytest.raises(ConfigError) as error:
        parse_monitors(only(metric, **limit))

    assert says in str(error.value)


@pytest.mark.parametrize(
    ("metric", "limit"),
    [
        ("accuracy", {"below": 1.0}),
        ("accuracy", {"above": 0.0}),
        ("predictions", {"below": 20}),
        ("log_loss", {"above": 3}),
        ("mean:age", {"below": -5}),
        ("bias", {"above": -5}),
        ("label_delay_p50_ms", {"below": -5}),
        ("mean:a:b", {"above": 1}),
    ],
)
def test_a_limit_within_the_range_is_taken(metric: str, limit: dict[str, float]) -> None:
    monitors = parse_monitors(only(metric, **limit))

    assert monitors.thresholds[0].metric == metric


@pytest.mark.parametrize(
    ("task", "metric"),
    [
        ("binary", "mae"),
        ("binary", "recall:dog"),
        ("multiclass", "roc_auc"),
        ("multiclass", "rmse"),
        ("regression", "accuracy"),
        ("regression", "f1:dog"),
    ],
)
def test_a_rule_on_a_metric_that_the_told_task_never_has_is_refused(task: str, metric: str) -> None:
    data = {"models": {"m": {"task": task}}} | only(metric, above=0.5)
    data["thresholds"][0]["model"] = "m"

    with pytest.raises(ConfigError, match=f"metric: '{metric}'.*(task {task}|a {task} model)"):
        parse_monitors(data)


def test_a_rule_for_many_models_may_fit_some_of_them_only() -> None:
    data = {"models": {"m": {"task": "regression"}}} | only("accuracy", below=0.5)

    assert parse_monitors(data).thresholds[0].model == "*"


def test_a_window_may_hop_as_often_as_four_weeks_do_by_ten_minutes() -> None:
    assert parse_monitors(hopping("28d", "10m")).windows == (Window(28 * 86_400_000, 600_000),)


def test_a_detector_of_the_name_of_a_default_monitor_takes_its_place() -> None:
    """So one is set, and a file that had the name before it was a default one is still read."""
    given = drift(name="loss-scan", detector="scan", severity="critical")

    found, usual = parse_monitors(given), parse_monitors({})

    assert sorted(one.name for one in found.drifts) == sorted(one.name for one in usual.drifts)
    assert [one.severity for one in found.drifts if one.name == "loss-scan"] == ["critical"]
