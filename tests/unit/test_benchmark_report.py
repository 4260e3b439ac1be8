"""The report of the benchmarks says what the raw figures say."""

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from benchmarks import report
from benchmarks.cases import CASES, Bench, Case
from benchmarks.measure import MeasurementError
from benchmarks.run import Record, choose, climb

MACHINE = {"commit": "abc", "events": 1_000, "cores": "2 × some CPU"}


def results(**cases: dict[str, Any]) -> dict[str, Any]:
    return {"machine": MACHINE, "cases": cases, "failed": {}}


def job(*cpu_us: float, group: str = "jobs") -> dict[str, Any]:
    runs = [{"cpu_us": value, "events_per_s": 1e6 / value, "exact": True} for value in cpu_us]
    return {"group": group, "says": "a job", "commit": MACHINE["commit"], "runs": runs}


def test_a_table_gives_median_spread_and_number_of_runs() -> None:
    text = report.render(results(full=job(4.0, 2.0, 2.5)))

    assert "| a job | 2.50 [2.00–4.00] | 400,000 [250,000–500,000] | 3 of 3 | 3 |" in text


def test_what_was_not_measured_is_not_shown() -> None:
    text = report.render(results(full=job(2.0), empty=job(group="latency")))

    assert "Latency" not in text
    assert "broker CPU" not in text


def test_what_failed_is_said() -> None:
    text = report.render(results(full=job(2.0)) | {"failed": {"models-10": "the worker\nended"}})

    assert "* `models-10`: the worker ended" in text


def test_workers_are_compared() -> None:
    of = {"workers-1": job(4.0, group="workers"), "workers-2": job(2.0, group="workers")}

    text = report.render(results(**of))

    assert text.count("a job took 2.00 times as many events a second as one.") == 1


def test_other_engines_are_shown_as_ratios_cheapest_first() -> None:
    both = {"exactly_once": True, "runs": 3, "spread": [1.5, 12.0], "result_ok": True}
    ours = {"engine": "driftline", "variant": "same job", "cpu_us": 2.0, "warm_us": 1.0, **both}
    slow = {"engine": "slow", "variant": "DSL", "cpu_us": 10.0, "warm_us": None, **both}
    warm = {"engine": "warm", "variant": "", "cpu_us": 12.0, "warm_us": 8.0, **both}
    dead = {"engine": "dead", "variant": "", "cpu_us": None, **both, "result_ok": False}

    text = report.render(results(full=job(2.0)), [dead, warm, slow, ours])

    assert "| slow | DSL | yes | 10.00 [1.50–12.00] | – | 5.0 | right | 3 |" in text
    assert "| 12.00 [1.50–12.00] | 8.00 | 8.0 |" in text
    assert "| wrong or failed |" in text
    assert text.index("| driftline |") < text.index("| slow |") < text.index("| dead |")


def test_engines_that_were_measured_at_another_time_have_no_ratio() -> None:
    of = {"exactly_once": True, "runs": 3, "spread": [1.5, 12.0], "result_ok": True}
    ours = {"engine": "driftline", "variant": "", "cpu_us": 2.0, **of}
    old = {"engine": "old", "variant": "", "cpu_us": 10.0, **of}

    text = report.render(
        results(full=job(2.0)),
        [ours | {"machine": {"commit": "b"}}, old | {"machine": {"commit": "a"}}],
    )

    assert "| 10.00 [1.50–12.00] | – | – | right | 3 |" in text
    assert "What has no ratio was measured with an earlier commit" in text


def test_growth_is_plotted() -> None:
    cases = {
        f"models-{n}": job(us, group="models") | {"size": n} for n, us in ((10, 2.0), (1_000, 3.0))
    }

    (svg,) = report.plots(results(**cases)).values()

    ElementTree.fromstring(svg)
    assert ">3.00<" in svg
    assert "plots/models.svg" in report.render(results(**cases))


def test_every_group_of_cases_has_a_heading() -> None:
    data = {case.name: job(2.0, group=case.group) for case in CASES}

    text = report.render(results(**data))

    assert text.count("\n## ") == len({case.group for case in CASES})


def test_cases_are_chosen_by_name_or_group() -> None:
    chosen = [case.name for case in choose("full,workers", long=False)]

    whole = [f"workers-{n}-whole" for n in (1, 2, 4)]
    assert chosen == ["full", "workers-1", "workers-2", *whole]
    assert not any(case.long for case in choose("", long=False))
    with pytest.raises(SystemExit, match="no such case: latencies"):
        choose("latencies", long=False)


def test_cases_of_a_group_take_turns(tmp_path: Path) -> None:
    order: list[str] = []

    def case(name: str, group: str, *, ends: bool = False, exact: bool = True) -> Case:
        def run(_bench: Bench) -> dict[str, Any]:
            order.append(name)
            if ends:
                raise MeasurementError("the worker ended")
            return {"exact": exact}

        return Case(name, group, "", run)

    def climbed(*cases: Case, build: str) -> bool:
        order.clear()
        record = Record(tmp_path / "results.json", MACHINE | {"commit": build})
        bench = Bench(None, events=1, recorded={})  # type: ignore[arg-type]  # no case needs a broker
        return climb(bench, cases, record, 2)

    one, two, other = case("same-job", "a"), case("full", "a"), case("partitions-1", "b")

    assert climbed(one, two, other, build="1")
    assert order == ["same-job", "full", "same-job", "full", "partitions-1", "partitions-1"]
    assert climbed(one, build="1")
    assert order == []
    assert not climbed(case("same-job", "a", ends=True), two, build="2")
    assert order == ["same-job", "full", "full"]
    assert not climbed(case("same-job", "a", exact=False), build="3")
    assert order == ["same-job", "same-job"]


def test_case_names_are_unique() -> None:
    names = [case.name for case in CASES]

    assert len(names) == len(set(names))


def test_a_case_begins_anew_with_another_build_and_the_others_stay(tmp_path: Path) -> None:
    file, case, other = tmp_path / "results.json", CASES[0], CASES[1]
    record = Record(file, MACHINE)
    for each in (case, other):
        record.runs(each).append({"cpu_us": 2.0})
    record.save()

    same, later = Record(file, MACHINE), Record(file, MACHINE | {"commit": "def"})

    assert same.runs(case) == [{"cpu_us": 2.0}]
    assert later.runs(case) == []
    assert list(later.by_case) == [case.name, other.name]
    assert later.by_case[other.name] == [{"cpu_us": 2.0}]
    assert not Record(file, MACHINE | {"events": 5}).by_case


def test_what_was_measured_with_an_earlier_build_is_named() -> None:
    old = {"commit": "old"}
    of = {"a": job(1.0), "b": job(2.0) | old, "c": job(3.0, group="pending") | old}

    text = report.render(results(**of))

    assert "Measured with commit old: a job." in text
    assert "Measured with commit old.\n" in text
    assert "Measured with commit abc" not in text
