"""`driftline profile`: count a table as windows are counted, to compare windows with it later.

It is a replay with one baseline that never ends: its cells are the profile.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import msgspec

from agents import cells
from agents.exits import EXIT_NOTHING_USABLE
from agents.printable import printable
from agents.recordings import Recordings
from agents.replay import play
from streams.cells.levels import BASELINES, HOUR_MS
from streams.cells.profiling import parts_of
from streams.dryrun import DryRun
from streams.errors import ConfigError
from streams.limits import LIMITS, RecordLimits
from streams.metrics import Metric
from streams.model_keys import Name
from streams.moments import time_text
from streams.monitor.state import MonitorState
from streams.monitors import Monitors, Window
from streams.nearest import nearest
from streams.profiles import Profile, comparing, write_profile

_FOREVER_MS = 1 << 60
_COUNTING = Monitors(
    windows=(Window(HOUR_MS, HOUR_MS),), baseline=(_FOREVER_MS,), thresholds=(), drifts=()
)


def run_profile(
    files: list[Path],
    *,
    out: Path,
    model: str | None,
    version: str | None,
    segments: bool,
    columns: str | None,
    missing: Sequence[str] = cells.MISSING,
    limits: RecordLimits = LIMITS,
    json_output: bool,
) -> int:
    """Write a profile of recorded predictions and print what is in it; return the exit code.

    Parameters
    ----------
    model, version
        Whose predictions; `None` for the only model of the files, and for all its versions.
    segments
        Whether every segment is in it, too.

    Raises
    ------
    ConfigError
        If a file cannot be used, or there are several models; nothing is written then.
    """
    recordings = Recordings(
        files, columns, missing=missing, line_bytes=limits.record_bytes, labels=False
    )
    if any(out.resolve() == file.resolve() for file in files):
        raise ConfigError(f"--out: {out} is one of the tables")
    run, letters, _ = play(
        recordings,
        DryRun,
        monitors=_COUNTING,
        window_ms=HOUR_MS,
        horizon_ms=HOUR_MS,
        partitions=1,
        disorder_ms=None,
        limits=limits,
        forget_ms=_FOREVER_MS,
    )
    [state] = run.monitor_states
    if not state.codes:
        print("no prediction could be used, nothing is written")
        for sentence in letters.sentences():
            print(printable(sentence))
        return EXIT_NOTHING_USABLE
    codes = _chosen(state, model, version)
    found = _profile(state, codes, segments=segments, times_ms=_times_ms(run, codes))
    written = write_profile(found)
    _write(out, written)
    _say(found, out, len(written), json_output=json_output)
    return 0


def _profile(
    state: MonitorState, codes: Mapping[Name, int], *, segments: bool, times_ms: tuple[int, int]
) -> Profile:
    state.windows.baselines.grow(_FOREVER_MS, most=_FOREVER_MS)
    side = state.windows.grid.predictions
    parts = parts_of(side, list(codes.values()), number=BASELINES.first)
    rows = next((part.rows for part in parts if not part.segment), 0)
    kinds = {state.facts.of(code).task for code in codes.values()}
    [name] = {name for name, _ in codes}
    return Profile(
        model=name,
        versions=sorted(version for _, version in codes),
        kind=kinds.pop() if len(kinds) == 1 else "",
        rows=rows,
        from_ms=times_ms[0],
        until_ms=times_ms[1],
        families={family.name: family.version for family in comparing()},
        segments=[part for part in parts if segments or not part.segment],
    )


def _times_ms(run: DryRun, codes: Collection[Name]) -> tuple[int, int]:
    """Return when the first window of models begins, and the last ends."""
    every = [_decode(value) for value in run.metrics.values()]
    own = [one for one in every if (one.model, one.version) in codes]
    return min(one.window_start_ms for one in own), max(one.window_end_ms for one in own)


def _chosen(state: MonitorState, model: str | None, version: str | None) -> dict[Name, int]:
    """Return the models that are asked for, by name."""
    names = sorted({name for name, _ in state.codes})
    if model is None:
        if len(names) > 1:
            shown = ", ".join(names[:5]) + (" …" if len(names) > 5 else "")
            raise ConfigError(
                f"{len(names)} models are in there; say of which with --model: {shown}"
            )
        [model] = names
    own = {name: code for name, code in state.codes.items() if name[0] == model}
    if not own:
        raise ConfigError(f"--model: {model!r} is not in there{nearest(model, names)}")
    if version is not None:
        known = [name[1] for name in own]
        own = {name: code for name, code in own.items() if name[1] == version}
        if not own:
            raise ConfigError(f"--version: {version!r} is not in there{nearest(version, known)}")
    return own


def _write(out: Path, content: bytes) -> None:
    """Write a file at once, so that nobody reads half of it."""
    beside = out.with_name(f".{out.name}.new")
    try:
        beside.write_bytes(content + b"\n")
        beside.replace(out)
    except OSError as error:
        raise ConfigError(f"--out: {out}: cannot be written: {error.strerror}") from None


def _say(found: Profile, out: Path, size_bytes: int, *, json_output: bool) -> None:
    whole = next((part for part in found.segments if not part.segment), None)
    features = sorted(whole.features) if whole is not None else []
    facts = {
        "file": str(out),
        "bytes": size_bytes,
        "model": found.model,
        "versions": found.versions,
        "kind": found.kind,
        "rows": found.rows,
        "from_ms": found.from_ms,
        "until_ms": found.until_ms,
        "features": features,
        "segments": [part.segment for part in found.segments if part.segment],
    }
    if json_output:
        print(json.dumps(facts))
        return
    versions = f", {len(found.versions)} versions" if len(found.versions) > 1 else ""
    print(
        printable(
            f"{out}: {found.model}{versions}, {found.rows:,} rows from"
            f" {time_text(found.from_ms)} to {time_text(found.until_ms)}, {len(features)} features,"
            f" {len(found.segments) - 1} segments, {size_bytes:,} bytes"
        )
    )
    print(f"compare windows with it, in the monitors file: baseline: {{file: {out}}}")


_decode = msgspec.json.Decoder(Metric).decode
