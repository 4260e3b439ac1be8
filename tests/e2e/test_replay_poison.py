"""Poison in a file is counted as dead letters and harms nothing else."""

import time
from pathlib import Path

import pytest

from tests import builders, oracle

WINDOW_MS = 5 * builders.MINUTE_MS


@pytest.fixture(scope="module")
def good_lines() -> list[bytes]:
    """Return a history without poison."""
    arrivals = builders.history(21, count=4_000, span_ms=20 * builders.MINUTE_MS)
    return builders.as_lines(builders.in_order(arrivals))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder for this file's histories and results."""
    return tmp_path_factory.mktemp("poison")


@pytest.fixture(scope="module")
def clean(folder: Path, good_lines: list[bytes]) -> oracle.Result:
    """Replay the history without poison."""
    file = builders.write_lines(folder / "clean.jsonl", good_lines)
    return oracle.replay(file, out=folder / "clean")


def _spread(lines: list[bytes], *, among: list[bytes]) -> list[bytes]:
    """Put one of `lines` before each of the first, spread evenly; the last comes at the end."""
    step = len(among) // (len(lines) - 1)
    mixed: list[bytes] = []
    for index, line in enumerate(lines):
        mixed += [line, *among[index * step : (index + 1) * step]]
    return mixed + among[len(lines) * step :]


def _missed(folder: Path) -> list[str]:
    """Return the names of poison that alone in a file is not one dead letter."""
    missed = []
    for name, line in builders.POISON.items():
        file = builders.write_lines(folder / "one.jsonl", [line])
        done = oracle.run("replay", file, "--out", folder / "one")
        result = oracle.Result(folder / "one", done.stdout, done.stderr)
        if done.returncode != 3 or result.fates["dead_letter"] != 1:
            missed.append(name)
    return missed


def test_poison_is_dead_letters_and_the_rest_is_unharmed(
    folder: Path, good_lines: list[bytes], clean: oracle.Result
) -> None:
    """Metrics, alerts and all other fates are those of the history without poison."""
    lines = _spread(list(builders.POISON.values()), among=good_lines)
    file = builders.write_lines(folder / "poisoned.jsonl", lines)

    result = oracle.replay(file, out=folder / "poisoned")

    if result.fates["dead_letter"] != len(builders.POISON):
        assert _missed(folder) == []
    assert result.fates == clean.fates | {"dead_letter": len(builders.POISON)}
    assert [line for line in oracle.changes(result, clean) if not line.startswith("fates")] == []


def test_the_rest_is_right_by_the_oracle_too(good_lines: list[bytes], clean: oracle.Result) -> None:
    """The history that poison must not change is right to begin with."""
    expected = oracle.expect(good_lines, window_ms=WINDOW_MS)

    assert oracle.differences(expected, clean) == []


def test_a_bad_value_costs_the_value_and_not_the_prediction(folder: Path) -> None:
    """Every fate and metric is as if the values were not there, and each field is named once."""
    arrivals = builders.history(23, count=3_000, span_ms=20 * builders.MINUTE_MS)
    lines = builders.as_lines(builders.in_order(builders.blemished(arrivals)))
    file = builders.write_lines(folder / "blemished.jsonl", lines)

    result = oracle.replay(file, out=folder / "blemished")

    assert oracle.differences(oracle.expect(lines, window_ms=WINDOW_MS), result) == []
    named = [line.split(" of model ")[0].split()[-1] for line in result.stdout.splitlines()]
    fields = ["features", "latency_ms", "score", "segments"]
    assert [name for name in named if name in fields] == fields


def test_poison_with_the_id_of_a_good_prediction_does_not_shadow_it(folder: Path) -> None:
    """An invalid record is no first record: what comes after it is neither conflict nor label."""
    good = [builders.prediction("a"), builders.label("a")]
    bad = [
        builders.prediction("a", timestamp_ms=-1),
        builders.prediction("a", prediction=[0]),
        builders.label("a", label=[0]),
        builders.label("a", label=0, timestamp_ms=builders.START_MS // 1_000),
    ]
    file = builders.write_lines(folder / "shadow.jsonl", builders.as_lines(bad + good))

    result = oracle.replay(file, out=folder / "shadow")

    assert result.fates == dict.fromkeys(oracle.FATES, 0) | {"joined": 2, "dead_letter": 4}
    assert [r["value"] for r in result.metrics if r["metric"] == "accuracy"] == [1.0]


def test_what_a_replay_finds_does_not_depend_on_the_day_on_which_it_runs(folder: Path) -> None:
    """A worker refuses what is over a day ahead of its clock; a recording has no such clock."""
    now_ms = int(time.time() * 1000)
    times_ms = [builders.START_MS, now_ms + 25 * builders.HOUR_MS, 4_102_444_800_000]
    events = [
        event
        for number, time_ms in enumerate(times_ms)
        for event in (
            builders.prediction(f"p{number}", timestamp_ms=time_ms),
            builders.label(f"p{number}", timestamp_ms=time_ms),
        )
    ]
    file = builders.write_lines(folder / "ahead.jsonl", builders.as_lines(events))

    fates = oracle.replay(file, out=folder / "ahead").fates

    assert fates == dict.fromkeys(oracle.FATES, 0) | {"joined": 6}


@pytest.mark.parametrize(
    ("earlier_ms", "fate", "code"),
    [(0, "joined", 0), (1, "dead_letter", 3)],
    ids=["earliest", "too early"],
)
def test_times_in_seconds_are_dead_letters(
    folder: Path, earlier_ms: int, fate: str, code: int
) -> None:
    """They would lie in January 1970, 1000 times too close together."""
    time_ms = 100_000_000_000 - earlier_ms
    events = [
        builders.prediction("a", timestamp_ms=time_ms),
        builders.label("a", timestamp_ms=time_ms),
    ]
    file = builders.write_lines(folder / "seconds.jsonl", builders.as_lines(events))

    fates = oracle.replay(file, out=folder / "seconds", code=code).fates

    assert fates == dict.fromkeys(oracle.FATES, 0) | {fate: 2}


def test_a_file_of_nothing_but_poison_gives_empty_results(folder: Path) -> None:
    """There is nothing to report; the exit code says so."""
    lines = [b"\xff", b"{", b"nope"]
    file = builders.write_lines(folder / "only.jsonl", lines)

    result = oracle.replay(file, out=folder / "only", code=3)

    assert result.fates == dict.fromkeys(oracle.FATES, 0) | {"dead_letter": 3}
    assert result.metrics == []
    assert result.alerts == []
