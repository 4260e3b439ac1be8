"""The comparison with other engines: what is judged right, and how figures are read."""

import copy
import json
from pathlib import Path

import pytest

from benchmarks.peers.engines import ENGINES, FULL, HERE, RATES
from benchmarks.peers.measure import RunError
from benchmarks.peers.measure import _figures as figures
from benchmarks.peers.processes import Sample, at
from benchmarks.peers.progress import Lines, Progress, settled, when
from benchmarks.peers.truth import HORIZON_MS, Truth, compare, join_and_count

MINUTE_MS = 1_750_000_020_000


def encoded(**fields: object) -> bytes:
    return json.dumps(fields).encode()


def prediction(name: str, *, time_ms: int, said: int, score: float) -> bytes:
    told = {"model": "m", "timestamp_ms": time_ms, "prediction": said, "score": score}
    return encoded(prediction_id=name, **told)


def label(name: str, *, time_ms: int, was: int) -> bytes:
    return encoded(prediction_id=name, timestamp_ms=time_ms, label=was)


@pytest.fixture
def truth() -> Truth:
    return join_and_count(
        [
            prediction("a", time_ms=MINUTE_MS, said=1, score=0.75),
            prediction("b", time_ms=MINUTE_MS + 59_999, said=0, score=0.25),
            prediction("c", time_ms=MINUTE_MS + 60_000, said=1, score=1.0),
            prediction("never labelled", time_ms=MINUTE_MS, said=1, score=1.0),
            prediction("too late", time_ms=MINUTE_MS, said=1, score=1.0),
        ],
        [
            label("b", time_ms=MINUTE_MS + 60_000, was=1),
            label("a", time_ms=MINUTE_MS + HORIZON_MS, was=1),
            label("c", time_ms=MINUTE_MS + 60_000, was=0),
            label("too late", time_ms=MINUTE_MS + HORIZON_MS + 1, was=1),
        ],
    )


def test_the_truth_is_counted_by_the_minute_of_the_prediction_within_the_horizon(
    truth: Truth,
) -> None:
    first, second = truth.result["m", MINUTE_MS], truth.result["m", MINUTE_MS + 60_000]

    assert (truth.events, truth.labelled, len(truth.result)) == (9, 3, 2)
    assert [first[name] for name in FULL[:-1]] == [2, 1, 0, 0, 1, 0.25**2 + 0.75**2]
    assert [first["histogram"][1][75], first["histogram"][1][25]] == [1, 1]
    assert [first[name] for name in RATES] == [2, 0.5, 1.0, 0.5, (0.25**2 + 0.75**2) / 2]
    assert [second[name] for name in FULL[:-1]] == [1, 0, 1, 0, 0, 1.0]
    assert second["histogram"][0][99] == 1  # the last bin has both ends


def test_a_right_result_is_right(truth: Truth) -> None:
    assert compare(copy.deepcopy(truth.result), truth.result, (*FULL, *RATES)) == ""


@pytest.mark.parametrize("name", [*FULL, *RATES])
def test_one_wrong_number_makes_a_result_wrong(truth: Truth, name: str) -> None:
    found = copy.deepcopy(truth.result)
    numbers = found["m", MINUTE_MS]
    numbers[name] = [[1], [1]] if name == "histogram" else numbers[name] + 1e-6

    assert name in compare(found, truth.result, (name,))


def test_a_window_too_few_or_too_many_makes_a_result_wrong(truth: Truth) -> None:
    less = {key: truth.result[key] for key in list(truth.result)[1:]}

    assert "missing" in compare(less, truth.result, FULL)
    assert "should not exist" in compare(truth.result, less, FULL)


def test_progress_is_read_line_by_line_and_between_them_in_proportion(tmp_path: Path) -> None:
    log = tmp_path / "out.log"
    log.write_text("a warning\nP 10.0 0 0\nP 12.0 100 40\nP 14")
    lines = Lines(log)

    seen = lines.new(0)
    with log.open("a") as file:
        file.write(".0 100 50\nP 16.0 100 50\n")
    seen += lines.new(0)

    assert seen[:2] == [Progress(10, 0, 0), Progress(12, 100, 40)]
    assert [when(seen, 25), when(seen, 100), when(seen, 101)] == [10.5, 12, None]
    assert settled(seen) == 14


def test_a_job_that_consumes_everything_between_two_lines_gives_no_figure() -> None:
    samples = [Sample(1, 0, 0, 5), Sample(20, 10, 2, 5)]
    steady = [Progress(10, 0, 0), Progress(12, 50, 40), Progress(14, 100, 50)]
    at_once = [Progress(10, 0, 0), Progress(14, 100, 0), Progress(14.1, 100, 50)]

    assert figures(steady, samples, 100, begin=0.2, wrong="").events_per_s == pytest.approx(25)
    with pytest.raises(RunError, match="take more events"):
        figures(at_once, samples, 100, begin=0.2, wrong="")


def test_cpu_time_is_read_between_samples_in_proportion() -> None:
    samples = [Sample(1, 0, 0, 5), Sample(2, 10, 2, 5), Sample(3, 30, 4, 5)]

    assert at(samples, 2.5) == Sample(2.5, 20, 3, 5)
    assert at(samples, 9) == Sample(3, 30, 4, 5)


@pytest.mark.parametrize("name", ENGINES)
def test_every_engine_has_its_program(name: str) -> None:
    engine = ENGINES[name]
    java = HERE / engine.project / "src/main/java/driftline/peers" / f"{engine.program}.java"
    files = {
        "jvm": [java, HERE / engine.project / "pom.xml"],
        "python": [
            HERE / "python" / engine.program,
            HERE / "python" / "requirements" / f"{engine.project}.txt",
        ],
        "driftline": [HERE / "driftline.yaml"],
    }[engine.runtime]

    assert all(file.exists() for file in files)
