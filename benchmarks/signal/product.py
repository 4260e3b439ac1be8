"""Streams through the product: its monitor stage, with columns in place of a join before it.

What a join would make of the records is put together from the columns of streams, six hours of
event time a step. Each stream is a model: what a step costs, it costs for all of them together, and
no model knows of the others, but that the clock goes on where one is silent.
`tests/unit/test_signal_product.py` holds that `driftline replay` of the records says the same.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np

from benchmarks.signal.stream import HOUR_MS, NEVER, Ints, Stream
from streams.chosen import Choice
from streams.held import hash_ids
from streams.model_keys import model_key, pack_names
from streams.monitor import Monitor
from streams.monitors import DEFAULTS, Monitors
from streams.outcomes import FATE_KINDS, FORMAT, ClockNotice, encode_clock
from streams.steps import Batch
from streams.topics import Topics
from streams.topology import build

HORIZON_MS = HOUR_MS
WINDOW_MS = 300_000
"""As a worker has them where nobody says anything else."""

_STEP_MS = 6 * HOUR_MS
_ROWS_AT_ONCE = 1_000_000
_TOPICS = Topics()
_encode = msgspec.msgpack.Encoder().encode

# No window is published here: what nobody reads need not be counted or compared.
_NO_METRICS = (Choice(exclude=("all",)),)


class Notice(NamedTuple):
    """An alert: what it said when it began, and whether it was over in the end.

    Attributes
    ----------
    subject
        Its input, or the metric of its rule.
    after, onset_ms
        The new level, and since when; `None` where it does not say.
    """

    at_ms: int
    severity: str
    subject: str
    direction: str
    monitor: str
    segment: str
    is_open: bool
    after: float | None = None
    onset_ms: int | None = None

    @property
    def source(self) -> str:
        """Monitor, subject and segment: what has one alert at a time."""
        return " ".join(part for part in (self.monitor, self.subject, self.segment) if part)


def alerts_of(
    streams: Mapping[str, Stream], monitors: Monitors | None = None
) -> dict[str, list[dict[str, Any]]]:
    """Return every revision of every alert that the monitors raise, by model.

    Parameters
    ----------
    streams
        By model; all begin at the same time.
    monitors
        `None` for the defaults.
    """
    monitors = DEFAULTS if monitors is None else monitors
    monitors = msgspec.structs.replace(monitors, metrics=_NO_METRICS, baseline=())
    _, monitor = build(
        _TOPICS,
        window_ms=WINDOW_MS,
        horizon_ms=HORIZON_MS,
        disorder_ms=0,
        partitions=1,
        monitors=monitors,
    )
    monitor.hold_metrics = True
    monitor.rows_at_once = _ROWS_AT_ONCE
    found: dict[str, list[dict[str, Any]]] = {model: [] for model in streams}
    for alert in _run(monitor, streams):
        found[alert["model"]].append(alert)
    return found


def notices(revisions: list[dict[str, Any]]) -> list[Notice]:
    """Return the alerts in the order in which they began; incidents, made of others, are none."""
    last = {one["alert_id"]: one["state"] for one in revisions}
    first: dict[str, dict[str, Any]] = {}
    for one in revisions:
        if one["kind"] != "incident":
            first.setdefault(one["alert_id"], one)
    found = [_notice(one, is_open=last[name] == "firing") for name, one in first.items()]
    return sorted(found, key=lambda one: (one.at_ms, one.source))


def _notice(alert: dict[str, Any], *, is_open: bool) -> Notice:
    evidence = alert["evidence"]
    return Notice(
        at_ms=alert["at_ms"],
        severity=alert["severity"],
        subject=evidence.get("input") or evidence.get("metric") or alert["monitor"],
        direction=alert["direction"],
        monitor=alert["monitor"],
        segment=alert["segment"],
        is_open=is_open,
        after=evidence.get("after", evidence.get("mean_after")),
        onset_ms=evidence.get("onset_ms"),
    )


def _run(monitor: Monitor, streams: Mapping[str, Stream]) -> Iterator[dict[str, Any]]:
    state = monitor.new_state(0)
    offset = 0
    for steps in zip(*(steps_of(model, stream) for model, stream in streams.items()), strict=True):
        until_ms = steps[0][0]
        values = [value for _, own in steps for value in own]
        values.append(encode_clock(_clock(until_ms)))
        offsets = range(offset, offset + len(values))
        offset = offsets.stop
        batches = [_batch(values, offsets, until_ms)]
        while True:
            effects = monitor.step(state, batches, now_ms=until_ms, idle=frozenset(monitor.inputs))
            for record in effects.records:
                if record.topic == _TOPICS.alerts and record.value is not None:
                    yield json.loads(record.value)
            if not (state.held or state.behind):
                break
            batches = []


def _batch(values: Sequence[bytes], offsets: range, time_ms: int) -> Batch:
    return Batch(
        topic=_TOPICS.outcomes,
        offsets=offsets,
        keys=[None] * len(values),
        values=values,
        times_ms=[time_ms] * len(values),
        next_offset=offsets.stop,
    )


def _clock(until_ms: int) -> ClockNotice:
    return ClockNotice(source=0, sources=1, clock_ms=until_ms, newest_ms=until_ms, idle=False)


def steps_of(model: str, stream: Stream) -> Iterator[tuple[int, list[bytes]]]:
    """Yield until when a step goes, and the record that it reads, if there is any."""
    at_ms = stream.outcome_ms
    known = np.flatnonzero(at_ms != NEVER)
    known = known[np.argsort(at_ms[known], kind="stable")]
    ties = _ties(len(stream.time_ms))
    ends_ms = np.arange(stream.begun_ms, stream.ended_ms, _STEP_MS) + _STEP_MS
    made = np.searchsorted(stream.time_ms, ends_ms).tolist()
    said = np.searchsorted(at_ms[known], ends_ms).tolist()
    first_made = first_said = 0
    for until_ms, last_made, last_said in zip(ends_ms.tolist(), made, said, strict=True):
        predictions = np.arange(first_made, last_made)
        outcomes = known[first_said:last_said]
        first_made, first_said = last_made, last_said
        if len(predictions) + len(outcomes):
            yield (
                until_ms,
                [_record(model, stream, ties, predictions=predictions, outcomes=outcomes)],
            )
        else:
            yield until_ms, []


def _ties(count: int) -> Ints:
    """Return what orders rows of one moment, of predictions whose ids are their numbers."""
    return hash_ids([str(number).encode() for number in range(count)]).low.view(np.int64)


def _record(model: str, stream: Stream, ties: Ints, *, predictions: Ints, outcomes: Ints) -> bytes:
    """Write rows down as `RowCollector` does."""
    versions = np.unique(stream.version[np.concatenate([predictions, outcomes])])
    names = [(model, str(version)) for version in versions.tolist()]
    keys, checks = np.array([model_key(name) for name in names]).T
    sets = [(name,) if name else () for name in stream.segments]
    columns = list(stream.features)
    matrix = np.column_stack([stream.features[name][predictions] for name in columns] or [[]])
    blocks = [(columns, np.arange(len(predictions), dtype="<i4").tobytes(), matrix.tobytes())]
    return _encode(
        (
            *(*FORMAT.head, [keys.tobytes(), checks.tobytes(), pack_names(names)], [], sets),
            _packed(_prediction_columns(stream, ties, predictions, versions)),
            blocks if columns and len(predictions) else [],
            _packed(_outcome_columns(stream, ties, outcomes, versions)),
            _packed([(np.empty(0), kind) for kind in FATE_KINDS]),
        )
    )


def _packed(columns: list[tuple[Any, str]]) -> list[bytes]:
    return [np.asarray(column).astype(kind).tobytes() for column, kind in columns]


def _prediction_columns(
    stream: Stream, ties: Ints, rows: Ints, versions: Ints
) -> list[tuple[Any, str]]:
    return [
        (np.searchsorted(versions, stream.version[rows]), "<i4"),
        (stream.time_ms[rows], "<i8"),
        (ties[rows], "<i8"),
        (stream.number[rows], "<f8"),
        (np.full(len(rows), -1), "<i4"),
        (stream.score[rows], "<f8"),
        (stream.latency_ms[rows], "<f8"),
        (stream.segment[rows], "<i4"),
    ]


def _outcome_columns(
    stream: Stream, ties: Ints, rows: Ints, versions: Ints
) -> list[tuple[Any, str]]:
    one, none = np.ones(len(rows)), np.full(len(rows), -1)
    return [
        (np.searchsorted(versions, stream.version[rows]), "<i4"),
        (stream.time_ms[rows], "<i8"),
        (stream.label_ms[rows], "<i8"),
        (stream.outcome_ms[rows], "<i8"),
        *((one, "<i1"), (one, "<i1"), (one, "<i1")),
        (ties[rows], "<i8"),
        (stream.number[rows], "<f8"),
        (none, "<i4"),
        (stream.label[rows], "<f8"),
        (none, "<i4"),
        (stream.score[rows], "<f8"),
        (np.full(len(rows), np.nan), "<f8"),
        (stream.segment[rows], "<i4"),
    ]
