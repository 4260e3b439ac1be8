"""Profiles: a table that was counted, with which windows are compared."""

import json
import random
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.monitors_topic import apply_monitors
from agents.profiles import run_profile
from agents.profiles_read import with_profiles
from agents.settings import Settings, read_monitors_file
from streams.errors import ConfigError
from streams.families.family import Sparse
from streams.monitors import Monitors, Window
from streams.monitors_file import parse_monitors
from streams.profiles import comparing, entries_of, steps_of
from streams.specification import write_specification
from tests.builders import MINUTE_MS, START_MS, Event
from tests.driver import Driver
from tests.examples import some
from tests.unit.test_baselines import MONITORS, fed, feed, found, rows_of, values

WINDOWS = (Window(10 * MINUTE_MS, 10 * MINUTE_MS),)
COMPARED = ("psi:amount", "ks:amount", "score_psi", "score_ks", "prediction_psi", "prediction_ks")


def profile(folder: Path, events: list[Event], **how: Any) -> dict[str, Any]:
    """Write a profile of events, and return what is in it."""
    table, out = folder / "table.jsonl", folder / "ref.json"
    table.write_text("".join(json.dumps(one) + "\n" for one in events))
    usual: dict[str, Any] = {"model": None, "version": None, "segments": True, "columns": None}
    code = run_profile([table], out=out, json_output=True, **(usual | how))
    assert code == 0
    found: dict[str, Any] = json.loads(out.read_text())
    return found


def monitors(given: Any, **more: Any) -> Monitors:
    """Return monitors that compare with something, and windows of ten minutes."""
    parsed = parse_monitors({"baseline": given, "defaults": False, **more})
    return msgspec.structs.replace(parsed, windows=WINDOWS)


def test_windows_are_as_far_from_a_profile_as_from_the_same_rows_as_first_days(
    tmp_path: Path,
) -> None:
    first, later = rows_of(0, 30), rows_of(30, 60, shift=0.3)
    for place, one in enumerate([*first, *later]):
        one["features"]["city"] = ["Rome", "Oslo", "Bern", f"new {place // 600}"][place % 4]
        one["segments"] = {"region": "eu" if place % 3 else "us"}
    known = {"profile": profile(tmp_path, first)}

    plain = fed([*first, *later])
    compared = fed([*first, *later], monitors=monitors(known))

    for metric in (*COMPARED, "unseen_rate:city", "psi:city"):
        own = found(plain, metric)
        assert sorted(own) == [30, 40, 50]
        assert {m: found(compared, metric)[m] for m in own} == own
    eu = {k: v for k, v in plain.metrics.items() if v["segment"] == "region=eu"}
    assert sum(one["metric"] == "psi:amount" for one in eu.values()) == 3
    assert {k: compared.metrics[k] for k in eu} == eu
    # A profile is there before the model's first row; the window that it is of is like itself.
    assert values(compared, "psi:amount").keys() == {0, 10, 20, 30, 40, 50}


def test_nothing_of_a_text_is_in_a_profile(tmp_path: Path) -> None:
    events = rows_of(0, 5)
    for one in events:
        one["features"]["mail"] = "somebody@example.com"

    written = json.dumps(profile(tmp_path, events))

    assert "somebody" not in written
    assert "mail" in written


def test_a_profile_says_whose_rows_it_is_of_and_how_many(tmp_path: Path) -> None:
    one = profile(tmp_path, [*rows_of(0, 5), *rows_of(60, 65, version="v2")])

    assert (one["schema"], one["format"], one["model"]) == ("driftline.profile", 1, "m")
    assert (one["versions"], one["rows"]) == (["v1", "v2"], 200)
    assert (one["from_ms"], one["until_ms"]) == (START_MS, START_MS + 120 * MINUTE_MS)
    assert one["families"] == {"answers": 1, "distribution": 1}
    v2 = profile(tmp_path, [*rows_of(0, 5), *rows_of(60, 65, version="v2")], version="v2")
    assert (v2["versions"], v2["rows"]) == (["v2"], 100)


def test_a_table_is_read_as_by_a_replay_and_needs_no_label(tmp_path: Path) -> None:
    table, out = tmp_path / "t.csv", tmp_path / "ref.json"
    rows = [f"{n % 2},2026-01-01T00:{n % 60:02}:00Z,{n},red" for n in range(100)]
    table.write_text("\n".join(["p,at,x,colour", *rows]))

    run_profile(
        [table],
        out=out,
        model=None,
        version=None,
        segments=True,
        columns="prediction=p,timestamp=at,feature:x=x,feature:colour=colour",
        json_output=False,
    )

    [whole] = json.loads(out.read_text())["segments"]
    assert whole["rows"] == 100
    assert sum(whole["features"]["x"]["distribution.bins"][1::2]) == 100
    assert len(whole["features"]["colour"]["distribution.texts"]) == 2


def test_several_models_need_a_choice(tmp_path: Path) -> None:
    events = [*rows_of(0, 5), *({**one, "model": "price"} for one in rows_of(5, 8))]

    with pytest.raises(ConfigError, match=r"2 models are in there; say of which with --model"):
        profile(tmp_path, events)
    with pytest.raises(ConfigError, match=r"--model: 'pric' is not in there; did you mean price"):
        profile(tmp_path, events, model="pric")
    assert profile(tmp_path, events, model="price")["rows"] == 60


def test_every_column_of_families_that_compare_is_sparse() -> None:
    """A profile has no others: a family that compares more has to be written in another format."""
    declared = [one for family in comparing() for one in family.columns.values()]

    assert declared
    assert all(isinstance(one, Sparse) for one in declared)


@given(st.dictionaries(st.integers(0, (1 << 32) - 1), st.integers(1, 1 << 40)))
@settings(max_examples=some(50))
def test_bins_come_back_as_they_were_written(counts: dict[int, int]) -> None:
    entries = sorted(counts.items())

    assert entries_of(steps_of(entries)) == entries


def small(**other: Any) -> dict[str, Any]:
    part = {"segment": "", "rows": 3, "columns": {}, "features": {"x": {"a.b": [7, 3]}}}
    usual = {
        "schema": "driftline.profile",
        "format": 1,
        "model": "fraud",
        "versions": [],
        "kind": "binary",
        "rows": 3,
        "from_ms": 0,
        "until_ms": 1,
        "families": {"answers": 1},
        "segments": [part],
    }
    return usual | other


def with_steps(*steps: int) -> dict[str, Any]:
    part = {"segment": "", "rows": 3, "columns": {"a.b": list(steps)}, "features": {}}
    return small(segments=[part])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"profile": small(schema="evidently")}, "its schema is 'evidently'"),
        ({"profile": small(format=2)}, "its format is 2, this build reads 1"),
        ({"profile": small(rows=0)}, "has no rows"),
        ({"profile": small(segments=[])}, "has no rows"),
        ({"profile": small(families={"kl": 1})}, "a family 'kl' that this build has not"),
        ({"profile": small(families={"answers": 7})}, "'answers' is of version 7"),
        ({"profile": small(model=None)}, "damaged profile: Expected `?str`?.* model"),
        ({"profile": with_steps(1)}, "damaged profile: counts of a.b"),
        ({"profile": with_steps(1, 0)}, "damaged profile: counts of a.b"),
        ({"profile": with_steps(5, 1, 0, 2)}, "damaged profile: counts of a.b"),
        ({"profile": with_steps(1 << 32, 1)}, "damaged profile: a bin of a.b"),
        ({"profile": [1]}, "is no profile"),
        ({"filex": "ref.json"}, "no such key 'filex'; did you mean file?"),
        ({"file": "ref.json"}, "driftline monitors apply puts it there"),
        ({}, "says nothing"),
    ],
)
def test_what_cannot_be_compared_with_is_refused(given: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse_monitors({"models": {"fraud": {"baseline": given}}})


def test_a_profile_of_another_kind_of_model_is_refused() -> None:
    entry = {"task": "regression", "baseline": {"profile": small()}}

    with pytest.raises(ConfigError, match="of a binary model, but task: regression"):
        parse_monitors({"models": {"price": entry}})
    with pytest.raises(ConfigError, match="of a binary model, but task: regression"):
        parse_monitors({"baseline": {"profile": small()}, "models": {"p": {"task": "regression"}}})


def test_a_file_is_named_from_the_folder_of_the_monitors_file(tmp_path: Path) -> None:
    profile(tmp_path, rows_of(0, 5))
    file = tmp_path / "monitors.yaml"
    file.write_text("models:\n  'fraud*':\n    baseline: {file: ref.json}\n")

    parsed = parse_monitors(read_monitors_file(file)[1])

    assert str(parsed.compared["fraud*"]) == "a profile of m, 100 rows of 1 day"
    file.write_text("baseline: {file: other.json}\n")
    with pytest.raises(ConfigError, match=r"file: other.json: no such file; driftline profile"):
        read_monitors_file(file)
    (tmp_path / "other.json").write_text("{")
    with pytest.raises(ConfigError, match="is no JSON"):
        read_monitors_file(file)
    assert with_profiles(["no mapping"], file) == ["no mapping"]


def test_what_is_too_large_for_a_record_is_not_applied(tmp_path: Path) -> None:
    steps = [1, 1] * 300_000
    part = {"segment": "", "rows": 3, "columns": {"answers.score_bins": steps}, "features": {}}
    (tmp_path / "ref.json").write_text(json.dumps(small(segments=[part])))
    file = tmp_path / "monitors.yaml"
    file.write_text("baseline: {file: ref.json}\n")

    with pytest.raises(ConfigError, match=r"a topic takes 900,000; .*--no-segments"):
        apply_monitors(Settings(), file, at=str(START_MS), json_output=False)


def test_edges_that_coincide_do_no_harm(tmp_path: Path) -> None:
    first, later = rows_of(0, 30), rows_of(30, 50)
    for one in [*first, *later]:
        one["features"] = {"amount": 1.0}
    later[-1]["features"] = {"amount": 2.0}
    known = {"profile": profile(tmp_path, first)}

    driver = fed([*first, *later], monitors=monitors(known))

    assert values(driver, "ks:amount") == {0: 0, 10: 0, 20: 0, 30: 0, 40: pytest.approx(1 / 200)}
    assert values(driver, "psi:amount")[40] >= 0


# --- while workers run


def spec(minute: int, **content: Any) -> bytes:
    return write_specification(
        {"defaults": False, **content}, effective_ms=START_MS + minute * MINUTE_MS
    )


def ran(events: list[Event], *specs: tuple[int, bytes], **how: Any) -> Driver:
    """Feed events; specifications come before some of them."""
    random_of = random.Random(7)
    size, restarts = how.pop("size", 200), how.pop("restarts", False)
    driver = Driver(monitors=MONITORS, disorder_ms=MINUTE_MS, **how)
    waiting = list(specs)
    for start in range(0, len(events), size):
        minute = (events[start]["timestamp_ms"] - START_MS) // MINUTE_MS
        while waiting and minute >= waiting[0][0]:
            driver.specify(waiting.pop(0)[1])
        feed(driver, events[start : start + size], size=size)
        if restarts:
            driver.restart(random_of)
    driver.finish()
    return driver


def test_a_profile_that_is_applied_holds_for_windows_that_begin_from_then_on(
    tmp_path: Path,
) -> None:
    events = [*rows_of(0, 100), *rows_of(100, 120, version="v2")]
    other = {"profile": profile(tmp_path, rows_of(0, 30, shift=3.0))}
    applied = (45, spec(58, models={"m": {"baseline": other}}))
    taken_back = (75, spec(80, models={}))

    driver = ran(events, applied, taken_back)

    ks = values(driver, "ks:amount")
    far = {minute for minute, value in ks.items() if value > 0.5}
    assert far == {60, 70}
    assert sorted(ks) == [30, 40, 50, 60, 70, 80, 90]
    assert sorted(values(ran(events, applied), "ks:amount")) == [30, 40, 50, 60, 70, 80, 90]
    new = found(ran(events, applied), "ks:amount", version="v2")
    assert all(one["value"] > 0.5 for one in new.values())
    assert len(new) == 2


def test_windows_that_were_published_ahead_of_the_change_are_published_again() -> None:
    driver = Driver(monitors=MONITORS, disorder_ms=15 * MINUTE_MS)
    driver.specify(spec(60, baseline={"profile": _SECOND}))
    feed(driver, rows_of(0, 71))
    before = values(driver, "ks:amount")[60]

    feed(driver, [{**one, "model": "other"} for one in rows_of(71, 90, version="v2")])

    assert before < 0.3
    assert values(driver, "ks:amount")[60] > 0.5


@given(size=st.integers(20, 200), partitions=st.integers(1, 3), restarts=st.booleans())
@settings(max_examples=some(5))
def test_it_is_the_same_for_any_cuts_partitions_and_restarts(
    size: int, partitions: int, restarts: bool
) -> None:
    whole = rows_of(0, 100, each=4)
    other = {"profile": _PROFILE}
    specs = (  # both before any row
        (0, spec(58, models={"m": {"baseline": other}})),
        (0, spec(80, baseline=other, models={"m*": {"baseline": {"profile": _SECOND}}})),
    )
    plain = ran(whole, *specs)

    again = ran(whole, *specs, size=size, partitions=partitions, restarts=restarts)

    assert again.result()["metrics"] == plain.result()["metrics"]


def _made(shift: float) -> dict[str, Any]:
    import tempfile  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        return profile(Path(folder), rows_of(0, 30, shift=shift))


_PROFILE, _SECOND = _made(1.0), _made(2.0)
