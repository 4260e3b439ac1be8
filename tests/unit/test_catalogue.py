"""Whatever asks about metrics reads the catalogue: one more family is a file and a line."""

import ast
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.recordings import Recordings
from agents.replay_letters import Letters
from agents.replay_results import Results
from benchmarks.exact import Expected
from benchmarks.load import Load
from streams import families
from streams.dryrun import DryRun
from streams.errors import ConfigError
from streams.families.family import (
    BINARY,
    FEATURE,
    ON_PREDICTIONS,
    PREDICTIONS,
    Counts,
    Family,
    Metric,
    Part,
    Sums,
)
from streams.families.sure import Sure
from streams.monitors import Monitors, Threshold
from streams.monitors_file import parse_monitors
from streams.rehearsal import Rehearsal
from streams.rules import Plan
from streams.topics import Topics
from streams.topology import build

ROOT = Path(__file__).resolve().parents[2]


class Luck(Family):
    """Metrics that there are not, of every kind that there can be."""

    name = "luck"
    reads = PREDICTIONS
    columns = {"delays": Counts(), "throws": Counts()}
    uses = (Sure,)
    metrics = (
        Metric(
            name="luck",
            help="share of dice that show six",
            better="higher",
            interval="Wilson",
            highest=0.5,
            tasks=frozenset({BINARY}),
            rests_on=ON_PREDICTIONS,
            at_most="predictions",
            headline=True,
        ),
        Metric(name="throws", help="how many dice", rests_on=ON_PREDICTIONS, counts=True),
        Metric(name="luck_p50", help="median of them", lowest=-math.inf, binned=True),
        Metric(name="luck_of", help="luck by class", part=Part.CLASS),
    )


class Tides(Family):
    name = "tides"
    reads, scope = PREDICTIONS, FEATURE
    columns = {"water": Sums()}
    metrics = (Metric(name="tide", help="how high it is", part=Part.FEATURE),)


@pytest.fixture
def _luck(monkeypatch: pytest.MonkeyPatch) -> None:
    more = families.CATALOGUE.with_family(Luck()).with_family(Tides())
    monkeypatch.setattr(families, "CATALOGUE", more)


def rule(metric: str, **limits: Any) -> dict[str, Any]:
    return {"thresholds": [{"name": "r", "metric": metric, **limits}], "defaults": False}


def rules(*metrics: str) -> Plan:
    of = [
        Threshold(name=name, metric=name, kind="above", given=0.1, by="value", window="10m")
        for name in metrics
    ]
    return Plan(of, Monitors(), lengths_ms=dict.fromkeys(metrics, (60_000,)))


@pytest.mark.usefixtures("_luck")
@pytest.mark.parametrize(
    ("data", "says"),
    [
        (rule("lukc", above=0.1), "did you mean luck?"),
        (rule("luck", above=0.5), "above: 0.5 never fires: luck is between 0 and 0.5"),
        (rule("luck", below=-1), "below: -1 never fires"),
        (rule("luck:age", above=0.1), "luck is of the whole model; leave 'age' out"),
        (rule("tide", above=0.1), "'tide' needs a feature: tide:<feature>"),
        (
            rule("luck", above=0.1, model="m") | {"models": {"m": {"task": "regression"}}},
            "'luck' is none of a model with task regression",
        ),
    ],
)
def test_a_rule_on_a_new_metric_is_checked_by_what_it_declares(
    data: dict[str, Any], says: str
) -> None:
    with pytest.raises(ConfigError) as error:
        parse_monitors(data)

    assert says in str(error.value)


@pytest.mark.usefixtures("_luck")
def test_rules_know_what_a_new_metric_needs_and_means() -> None:
    plan = rules("luck", "luck_p50", "luck_of:yes")

    assert parse_monitors(rule("luck_of:cat", above=0.1)).thresholds[0].metric == "luck_of:cat"
    assert parse_monitors(rule("luck_p50", below=-3)).thresholds
    assert rules("luck").needs_predictions
    assert not rules("luck_p50").needs_predictions
    assert isinstance(plan.families[0], Luck)
    assert plan.asked["luck_p50"].as_published(np.array([100.0])).tolist() == [100.25]
    assert plan.asked["luck_of:yes"].names == ("luck_of:yes", "luck_of:1")


@pytest.mark.usefixtures("_luck")
def test_a_rule_on_a_new_count_goes_with_the_length_of_its_window() -> None:
    assert [key[1] for key in rules("luck", "throws").traffic] == ["throws"]


@pytest.mark.usefixtures("_luck")
def test_families_that_rules_do_not_name_are_not_computed() -> None:
    needed = families.CATALOGUE.needed(["luck_of:cat", "tide:age", "luck"])

    assert [one.name for one in needed] == ["luck", "tides"]
    assert [one.name for one in families.CATALOGUE.merged(needed)] == [
        *("error_rate", "sure", "luck", "tides")
    ]


def replayed(metrics: list[str]) -> Any:
    topics = Topics()
    parts = build(topics, window_ms=1, horizon_ms=1, disorder_ms=0, partitions=1, monitors=None)
    run: Any = DryRun(*parts, partitions=1)
    record = '{{"metric":"{}","model":"m","version":"","segment":"","value":0.125}}'
    run.metrics = {f'["{name}"]'.encode(): record.format(name).encode() for name in metrics}
    return run


@pytest.mark.usefixtures("_luck")
def test_a_replay_shows_a_new_headline(capsys: pytest.CaptureFixture[str]) -> None:
    run = replayed(["luck", "throws"])

    Results(run, Letters(Recordings([], None), None), lines=1, disorder_ms=0).show(None)

    shown = capsys.readouterr().out
    assert "luck" in shown
    assert "throws" not in shown


@pytest.mark.usefixtures("_luck")
def test_the_rehearsal_sees_features_by_a_new_metric_of_them() -> None:
    parts = build(Topics(), window_ms=1, horizon_ms=1, disorder_ms=0, partitions=1, monitors=None)
    run = Rehearsal(*parts, partitions=1)
    window = '"window_start_ms":0,"window_end_ms":1,"metric":"tide:sea"'
    more = '"value":1,"low":null,"high":null,"count":1,"coverage":1,"revision":1,"final":true'
    text = f'{{"model":"m","version":"","segment":"",{window},{more}}}'
    run.metrics = {b"1": text.encode()}

    found = run.observed("m")

    assert found is not None
    assert found.features == {"sea"}


@pytest.mark.usefixtures("_luck")
def test_the_benchmark_says_which_metrics_it_does_not_judge() -> None:
    expected = Expected(Load(2_000, models=1))
    found = [{"metric": name, "model": "m0"} for name in ("luck", "luck_of:cat")]

    assert expected.unjudged(found) == ["luck", "luck_of"]
    assert not any("luck" in one for one in expected.differences(found))


@pytest.mark.parametrize(
    ("family", "says"),
    [
        ({"name": "mean"}, "family mean is there twice"),
        ({"metrics": (Metric(name="mae", help=""),)}, "metric mae is there twice"),
        ({"uses": (Luck,)}, "family x: luck, which it uses, is not listed before"),
        ({"uses": (Sure,), "columns": {"sure": Counts()}}, "two columns are called sure"),
        ({"metrics": (Metric(name="y", help="", at_most="z"),)}, "there are no counts 'z'"),
    ],
)
def test_a_family_that_cannot_be_counted_is_refused(family: dict[str, Any], says: str) -> None:
    made = type("X", (Family,), {"name": "x", **family})

    with pytest.raises(ValueError, match=says):
        families.CATALOGUE.with_family(made())


def test_every_metric_is_described() -> None:
    for metric in families.CATALOGUE.metrics.values():
        assert metric.help
        assert not metric.help.endswith(".")
        assert metric.lowest < metric.highest
        assert metric.rests_on


# --- nobody else keeps a list


#: Words that are metrics, and something else as well.
USUAL = {"predictions", "labels", "coverage", "mean"}
#: Whoever computes metrics by other means, or shows a few chosen ones of a model that it knows.
MAY_NAME = {
    "streams/tables.py",
    "streams/monitors.py",  # the default rules
    "agents/host.py",  # fields of a reading, whose names their means have
    "agents/host_gpus.py",
    "agents/demo.py",
    "agents/demo_oracle.py",
    "agents/demo_views.py",
    "agents/web/board.py",  # what a line of a fleet is
    "agents/feedback.py",  # the precision of monitors, not of models
    "agents/cli/alerts.py",
    "benchmarks/exact.py",
    "benchmarks/page.py",  # those of the models that it makes
    "streams/scan/inputs.py",  # inputs of its own, some of which are called like metrics
    "streams/scan/parameters.py",
}
#: Where they are made, and where they are compared with those of others.
NAME_ALL = {
    ROOT / "streams" / "families",
    ROOT / "benchmarks" / "compare",
    ROOT / "benchmarks" / "peers",
    ROOT / "agents" / "web" / "screens",  # what stands beside what on a page
}


def named(path: Path) -> Iterator[str]:
    """Yield the metrics that the code of a file names, docstrings aside."""
    names = families.CATALOGUE.metrics.keys() - USUAL
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        value = getattr(node, "value", None) if isinstance(node, ast.Constant) else None
        if isinstance(value, str) and value.partition(":")[0] in names:
            yield value


def test_no_other_module_names_metrics() -> None:
    files = [
        path.relative_to(ROOT).as_posix()
        for folder in ("streams", "agents", "driftline", "benchmarks", "docs")
        for path in (ROOT / folder).rglob("*.py")
        if path.parent not in NAME_ALL
    ]

    found = {file for file in files if list(named(ROOT / file))}

    assert len(files) > 100
    assert found <= MAY_NAME, found - MAY_NAME


def test_every_file_of_a_family_is_in_the_catalogue() -> None:
    files = {path.stem for path in (ROOT / "streams" / "families").glob("*.py")}
    listed = {type(family).__module__.rpartition(".")[2] for family in families.CATALOGUE.families}

    assert {family.name for family in families.CATALOGUE.families} == listed
    assert files - listed <= {"__init__", "catalogue", "family", "judging", *ARRAYS}


ARRAYS = ("intervals", "histograms", "distances", "segment_gaps")
