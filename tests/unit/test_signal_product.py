"""The benchmark of signals takes a short cut around the join: a replay of the records agrees."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.recordings import Recordings
from agents.replay import play
from benchmarks.signal.jobs import draw
from benchmarks.signal.product import HORIZON_MS, WINDOW_MS, alerts_of, steps_of
from benchmarks.signal.stream import HOUR_MS, NEVER, Stream
from streams.dryrun import DryRun
from streams.outcomes import Outcomes, decode_outcomes

RATE = 4_000
LARGE = ("error-5-20", "gauss-sd-1.5-x1000")
"""Changes that no monitors may miss: without an alert, nothing would be compared."""


def write(model: str, stream: Stream, file: Path) -> None:
    """Write the records of a stream in the order of time."""
    lines: list[tuple[int, dict[str, Any]]] = []
    for number, time_ms in enumerate(stream.time_ms.tolist()):
        segment = stream.segments[stream.segment[number]]
        event: dict[str, Any] = {
            "prediction_id": str(number),
            "timestamp_ms": time_ms,
            "model": model,
            "version": str(stream.version[number]),
            "prediction": stream.number[number].item(),
            "latency_ms": stream.latency_ms[number].item(),
            "features": {
                name: None if np.isnan(values[number]) else values[number].item()
                for name, values in stream.features.items()
            },
        }
        if segment:
            event["segments"] = dict([segment.split("=")])
        if not np.isnan(stream.score[number]):
            event["score"] = stream.score[number].item()
        lines.append((time_ms, event))
        label_ms = stream.label_ms[number].item()
        if label_ms != NEVER:
            label = {"prediction_id": str(number), "label": stream.label[number].item()}
            lines.append((label_ms, {**label, "timestamp_ms": label_ms}))
    lines.sort(key=lambda line: line[0])
    file.write_text("".join(f"{json.dumps(event)}\n" for _, event in lines))


def test_what_the_short_cut_writes_is_read_as_what_the_join_writes() -> None:
    stream, _ = draw("error-5-20", 2_000, 1)

    every = [decode_outcomes(one) for _, own in steps_of("m", stream) for one in own]

    predictions = [len(one.predictions.model) for one in every if isinstance(one, Outcomes)]
    outcomes = [len(one.outcomes.model) for one in every if isinstance(one, Outcomes)]
    assert sum(predictions) == len(stream.time_ms)
    assert sum(outcomes) == np.count_nonzero(stream.outcome_ms != NEVER)


@pytest.mark.long
@pytest.mark.parametrize(
    "name",
    ["error-5-20", "feature-missing", "segment-50", "release-25", "gauss-sd-1.5-x1000"],
)
def test_a_replay_of_the_records_raises_the_same_alerts(name: str, tmp_path: Path) -> None:
    stream, _ = draw(name, RATE, 1)
    write(name, stream, tmp_path / "events.jsonl")
    run, _, _ = play(
        Recordings([tmp_path / "events.jsonl"], None),
        DryRun,
        monitors=None,
        window_ms=WINDOW_MS,
        horizon_ms=HORIZON_MS,
        partitions=1,
        disorder_ms=None,
    )
    # At its end a recording stops, and the benchmark goes on to midnight.
    until_ms = stream.time_ms[-1] - HOUR_MS

    replayed = [json.loads(alert) for alert in run.alerts]
    ours = alerts_of({name: stream})[name]

    assert _until(ours, until_ms) == _until(replayed, until_ms)
    assert ours or name not in LARGE


@pytest.mark.long
def test_a_stream_among_others_raises_the_alerts_that_it_raises_alone() -> None:
    names = ("error-5-20", "feature-x1000", "gauss-sd-1.5-x1", "release-25", "traffic-0")
    streams = {name: draw(name, RATE, 1)[0] for name in names}

    together = alerts_of(streams)

    assert together == {name: alerts_of({name: streams[name]})[name] for name in names}
    assert together["error-5-20"]


def _until(alerts: list[dict[str, Any]], time_ms: int) -> list[dict[str, Any]]:
    found = [alert for alert in alerts if alert["at_ms"] <= time_ms]
    return sorted(found, key=lambda alert: (alert["at_ms"], alert["alert_id"], alert["revision"]))
