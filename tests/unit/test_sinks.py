"""The loop of a sink: what is refused is set aside, what is away is waited for, nothing is lost."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import ClassVar

import msgspec
import pytest

from agents.sinks import catalogue
from agents.sinks.contract import AwayError, Kind, RefusedError, Sink, Upsert
from agents.sinks.files import Files, FilesOptions
from agents.sinks.telemetry import SinkHealth
from driftline.places import Gap
from streams.errors import ConfigError
from tests.sinking import (
    MINUTE_MS,
    START_MS,
    TOPICS,
    Log,
    alert,
    json_lines,
    letters,
    metric,
    run,
)


class Target(Sink):
    """Takes everything but revision 13, and is away as often as it is told."""

    name = "target"

    def __init__(self, *, away: int = 0, names_it: bool = False) -> None:
        self.away, self.names_it = away, names_it
        self.written: list[Upsert] = []
        self.safe: list[Upsert] = []
        self.calls: list[str] = []

    def write(self, upserts: Sequence[Upsert]) -> None:
        bad = [one for one in upserts if one.record is not None and one.record.revision == 13]
        if bad:
            raise RefusedError("unlucky", "13", upsert=bad[0] if self.names_it else None)
        self.written += upserts

    def flush(self) -> None:
        if self.away:
            self.away -= 1
            self.written.clear()
            raise AwayError("asleep")
        self.safe += self.written
        self.written.clear()

    def caught_up(self) -> None:
        self.calls.append("caught_up")

    def missing(self, gap: Gap) -> None:
        self.calls.append(str(gap))


def value(health: SinkHealth, name: str, **labels: str) -> float | None:
    return health.telemetry.registry.get_sample_value(name, {"sink": "target", **labels})


def revisions(sink: Target) -> list[int]:
    return [one.record.revision for one in sink.safe if one.record is not None]


@pytest.mark.parametrize("names_it", [False, True])
def test_what_a_target_refuses_is_set_aside_and_the_rest_goes_on(
    tmp_path: Path, names_it: bool
) -> None:
    log, sink = Log(), Target(names_it=names_it)
    log.add(*(metric(number) for number in (1, 13, 2, 13, 3)))

    health = run(sink, log, tmp_path)

    assert revisions(sink) == [1, 2, 3]
    assert [(one["reason"], one["offset"]) for one in letters(tmp_path)] == [
        ("unlucky", 1),
        ("unlucky", 3),
    ]
    assert value(health, "driftline_sink_dead_letters_total", reason="unlucky") == 2
    assert log.committed == 5


def test_what_cannot_be_decoded_is_set_aside_with_its_place(tmp_path: Path) -> None:
    log, sink = Log(), Target()
    log.put(TOPICS.metrics, b"k", b'{"model": 1}')
    log.put(TOPICS.alerts, b"\xff", b"\xff")
    log.put(TOPICS.metrics, None, b"{}")
    log.add(metric(1))

    run(sink, log, tmp_path)

    assert revisions(sink) == [1]
    found = letters(tmp_path)
    assert [one["reason"] for one in found] == ["undecodable", "undecodable", "no_key"]
    assert found[0]["value"] == '{"model": 1}'
    assert found[1]["value_base64"] == "/w=="


def test_times_that_nobody_can_show_are_set_aside(tmp_path: Path) -> None:
    log, sink = Log(), Target()
    log.add(metric(1, window_end_ms=10**18), alert(at_ms=-1), metric(2, window_start_ms=2**70))
    log.add(metric(3), at_ms=253_402_300_800_000)
    log.add(metric(4), at_ms=253_402_300_799_999)

    run(sink, log, tmp_path)

    assert revisions(sink) == [4]
    assert [one["reason"] for one in letters(tmp_path)] == ["implausible_time"] * 4


def test_a_window_that_ends_before_it_begins_is_set_aside(tmp_path: Path) -> None:
    log, sink = Log(), Target()
    log.add(metric(1, window_end_ms=START_MS), metric(2, window_end_ms=START_MS - 1), metric(3))

    run(sink, log, tmp_path)

    assert revisions(sink) == [3]
    assert [one["reason"] for one in letters(tmp_path)] == ["implausible_time"] * 2


def test_numbers_that_no_file_or_database_has_are_set_aside(tmp_path: Path) -> None:
    log, sink = Log(), Target()
    log.add(metric(1, count=2**63), metric(2, count=-(2**63) - 1), alert(revision=10**400))
    log.add(metric(3, count=2**63 - 1))

    run(sink, log, tmp_path)

    assert revisions(sink) == [3]
    assert [one["reason"] for one in letters(tmp_path)] == ["out_of_range"] * 3


@pytest.mark.parametrize("around", [b"[%b]", b'{"a":%b}', b'[1,{"a":[%b]}]'])
def test_evidence_that_who_reads_it_next_could_not_is_set_aside(
    tmp_path: Path, around: bytes
) -> None:
    log, sink = Log(), Target()
    levels = around.count(b"[") + around.count(b"{")
    for times in (30 // levels, 100):
        value = b"1"
        for _ in range(times):
            value = around.replace(b"%b", value)
        told = msgspec.json.encode(alert(evidence={"x": "@"})).replace(b'"@"', value)
        log.put(TOPICS.alerts, b"a1", told)
    log.add(alert(message="x" * 262_144))

    run(sink, log, tmp_path)

    assert len(revisions(sink)) == 1
    assert [one["reason"] for one in letters(tmp_path)] == ["too_deep", "too_large"]


def test_a_target_that_is_away_is_waited_for_and_gets_everything_in_order(tmp_path: Path) -> None:
    log, sink = Log(), Target(away=3)
    log.add(*map(metric, range(1, 6)))

    health = run(sink, log, tmp_path)

    assert revisions(sink) == [1, 2, 3, 4, 5]
    assert value(health, "driftline_sink_errors_total") == 3
    assert value(health, "driftline_sink_ready") == 1
    assert log.committed == 5


def test_a_deletion_is_handed_on(tmp_path: Path) -> None:
    log, sink = Log(), Target()
    log.add(metric(1))
    log.delete(metric(1))

    run(sink, log, tmp_path)

    assert [one.record is None for one in sink.safe] == [False, True]


def test_a_sink_is_handed_only_what_it_reads(tmp_path: Path) -> None:
    class OfAlerts(Target):
        reads: ClassVar[tuple[Kind, ...]] = ("alerts",)

    log, sink = Log(), OfAlerts()
    log.add(metric(1), alert())

    run(sink, log, tmp_path)

    assert [one.kind for one in sink.safe] == ["alerts"]


def test_a_sink_is_handed_so_many_at_once_and_confirms_all_of_them(tmp_path: Path) -> None:
    class Small(Target):
        at_once: ClassVar[int] = 2

        def write(self, upserts: Sequence[Upsert]) -> None:
            self.calls.append(str(len(upserts)))
            super().write(upserts)

    log, sink = Log(), Small(away=1)
    log.add(*map(metric, range(1, 6)))

    run(sink, log, tmp_path)

    assert revisions(sink) == [1, 2, 3, 4, 5]
    assert sink.calls == ["2", "2", "1"] * 2 + ["caught_up"]


def test_a_sink_hears_once_that_it_has_caught_up_after_all_was_written(tmp_path: Path) -> None:
    log, sink = Log(), Target()
    log.add(*map(metric, range(1, 6)))

    health = run(sink, log, tmp_path, most=2, idle_steps=3)

    assert sink.calls == ["caught_up"]
    assert value(health, "driftline_sink_written_records_total", kind="metrics") == 5
    assert health.unready() is None


def test_until_then_it_is_not_ready_and_a_target_that_is_away_says_why() -> None:
    health = SinkHealth("target", version="1")

    before = health.unready()
    health.caught_up()
    health.away("asleep")

    assert before == "reading what was there before"
    assert health.unready() == "the target is away: asleep"
    assert health.stalled() is None


def test_missing_records_are_told_and_counted(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    log, sink = Log(), Target()
    log.add(metric(1))
    log.gaps.append(Gap(TOPICS.metrics, 0, 10, 50, START_MS, None))

    health = run(sink, log, tmp_path)

    assert sink.calls == [str(log.gaps[0]), "caught_up"]
    assert value(health, "driftline_sink_missing_records_total", topic=TOPICS.metrics) == 40
    said = capfd.readouterr()[1]
    assert "records are missing: driftline.metrics/0: wanted from offset 10" in said


def test_a_file_of_dead_letters_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--dead-letters: .* cannot be written"):
        run(Target(), Log(), tmp_path / "missing")


# ------------------------------------------------------------------ files
def lines_of(folder: Path, kind: str) -> list[dict[str, object]]:
    files = sorted((folder / kind).glob("*.jsonl"))
    return json_lines(line for file in files for line in file.read_text().splitlines())


def files(folder: Path) -> Files:
    return Files(FilesOptions(target=str(folder)))


def test_files_have_a_line_a_revision_by_day_and_say_deletions(tmp_path: Path) -> None:
    log = Log()
    log.add(metric(1), metric(2))
    log.add(metric(3), at_ms=START_MS + 24 * 60 * MINUTE_MS)
    log.delete(metric(3), at_ms=START_MS + 24 * 60 * MINUTE_MS)
    log.add(alert())

    run(files(tmp_path / "out"), log, tmp_path)

    names = {str(path.relative_to(tmp_path / "out")) for path in tmp_path.rglob("*.jsonl")}
    assert names == {
        "metrics/2026-01-01.jsonl",
        "metrics/2026-01-02.jsonl",
        "alerts/2026-01-01.jsonl",
    }
    metrics = lines_of(tmp_path / "out", "metrics")
    assert [one["record"] and one["record"]["revision"] for one in metrics] == [1, 2, 3, None]  # type: ignore[index]
    assert [one["offset"] for one in metrics] == [0, 1, 2, 3]


def test_files_are_cut_to_what_the_offsets_say_after_a_crash(tmp_path: Path) -> None:
    log, out = Log(), tmp_path / "out"
    log.add(*map(metric, range(1, 4)))
    run(files(out), log, tmp_path)
    with (out / "metrics" / "2026-01-01.jsonl").open("a") as file:
        file.write('{"half a li')
    (out / "metrics" / "2026-01-02.jsonl").write_text('{"of": "a crash"}\n')
    log.add(*map(metric, range(4, 6)))

    run(files(out), log, tmp_path)

    assert [one["offset"] for one in lines_of(out, "metrics")] == [0, 1, 2, 3, 4]


def test_a_file_that_was_taken_away_is_begun_anew(tmp_path: Path) -> None:
    log, out = Log(), tmp_path / "out"
    log.add(metric(1))
    run(files(out), log, tmp_path)
    (out / "metrics" / "2026-01-01.jsonl").unlink()
    log.add(metric(2))

    run(files(out), log, tmp_path)

    assert [one["offset"] for one in lines_of(out, "metrics")] == [1]


def test_files_of_a_topic_that_was_made_anew_are_left_as_they_are(tmp_path: Path) -> None:
    log, out, ids = Log(), tmp_path / "out", {TOPICS.metrics: "old", TOPICS.alerts: "a"}

    def again() -> Files:
        sink = files(out)
        sink.identify(lambda: dict(ids))
        return sink

    log.add(metric(1))
    run(again(), log, tmp_path)
    ids[TOPICS.alerts] = "b"  # of which nothing was read yet
    run(again(), log, tmp_path)
    before = lines_of(out, "metrics")
    ids[TOPICS.metrics] = "new"
    log.add(metric(2))

    with pytest.raises(ConfigError, match=r"its id was old, and is new; .* name another folder"):
        run(again(), log, tmp_path)

    assert lines_of(out, "metrics") == before


@pytest.mark.parametrize("text", ["[]", "{", '{"next": [1], "sizes": {}}'])
def test_a_folder_with_positions_of_another_program_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "positions.json").write_text(text)

    with pytest.raises(ConfigError, match="was not written by this sink"):
        files(tmp_path).start()


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(ConfigError, match="cannot be written"):
        files(tmp_path / "file").start()


# ------------------------------------------------------------------ other packages
def _points(monkeypatch: pytest.MonkeyPatch, **values: str) -> None:
    points = [EntryPoint(name, text, catalogue.GROUP) for name, text in values.items()]
    monkeypatch.setattr(catalogue, "entry_points", lambda **_: points)


def test_other_packages_bring_sinks_and_do_not_replace_ours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here = "tests.unit.test_sinks:Target"
    _points(monkeypatch, mine=here, files=here)

    assert catalogue.names() == [*catalogue.SINKS, "mine"]
    assert catalogue.find("mine") is not None
    assert catalogue.find("files") is Files
    assert catalogue.find("nothing") is None


def test_a_sink_has_the_name_that_it_has_in_the_catalogue() -> None:
    assert [sink.name for sink in catalogue.ours()] == list(catalogue.SINKS)


@pytest.mark.parametrize(
    ("where", "why"),
    [("no_such_module:X", "cannot be loaded"), ("pathlib:Path", "is no class that derives")],
)
def test_what_is_no_sink_is_refused_with_its_name(
    monkeypatch: pytest.MonkeyPatch, where: str, why: str
) -> None:
    _points(monkeypatch, bad=where)

    with pytest.raises(ConfigError, match=f"sink 'bad'.*{why}"):
        catalogue.find("bad")
