"""What the numbers of a run must be, worked out beside it: by the oracle, and by a replay."""

import json
import zlib
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from tests import builders, oracle

MONITORS = Path(__file__).with_name("monitors.yaml")
#: What workers are told to watch instead, and from when on.
APPLIED = Path(__file__).with_name("applied.yaml")
APPLIED_MS = builders.START_MS + 50 * builders.MINUTE_MS
WINDOW_MS = 300_000
MARGIN_MS = 60_000
#: `roc_auc` is made of histograms; in a window of a dozen rows two scores in one bin show.
AUC_TOLERANCE = 0.06
#: Ids of records whose times are wrong begin like this.
FAST = "fast-"
_LAST_RECORDS = 200

_beside = ThreadPoolExecutor(1, "truth")


@dataclass(frozen=True)
class Truth:
    """A history, and what must come of it.

    Attributes
    ----------
    lines
        The events in their order of arrival.
    disorder_ms
        How far a topic by itself is out of order, and a minute more: with this `--disorder` no
        record is late, however far one topic is read ahead of the other.
    """

    lines: list[bytes]
    disorder_ms: int
    _replayed: Future[oracle.Result]
    _expected: Future[oracle.Expected]

    @property
    def replayed(self) -> oracle.Result:
        """What `driftline replay` says; waits for it."""
        return self._replayed.result()

    @property
    def expected(self) -> oracle.Expected:
        """What pandas and scikit-learn say; waits for it."""
        return self._expected.result()


def work_out(events: list[builders.Event], folder: Path) -> Truth:
    """Begin to work out what must come of a history; `folder` takes the files."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = builders.as_lines(events)
    file = builders.write_lines(folder / "events.jsonl", [specification(), *lines])
    disorder_ms = _disorder_ms(events) + MARGIN_MS
    return Truth(
        lines,
        disorder_ms,
        _beside.submit(_replay, file, folder, disorder_ms),
        _beside.submit(_expect, lines),
    )


def _replay(file: Path, folder: Path, disorder_ms: int) -> oracle.Result:
    # With the workers' disorder: what is near goes by it, and so how far the last label has moved
    # the clock, and which windows are final.
    disorder = ("--disorder", f"{disorder_ms}ms")
    return oracle.replay(file, "--monitors", MONITORS, *disorder, out=folder)


def _expect(lines: list[bytes]) -> oracle.Expected:
    expected = oracle.expect(lines, window_ms=WINDOW_MS)
    for key, want in expected.metrics.items():
        if key.metric == "roc_auc":
            expected.metrics[key] = replace(want, absolute=AUC_TOLERANCE)
    return expected


def specification() -> bytes:
    """Return what is told to the workers, as the topic of monitors and a recording have it."""
    monitors = yaml.safe_load(APPLIED.read_text(encoding="utf-8"))
    return json.dumps({"effective_at": APPLIED_MS, "monitors": monitors}).encode()


def is_label(event: builders.Event) -> bool:
    """Tell whether an event belongs on the topic of labels."""
    return "prediction" not in event


def _disorder_ms(events: list[builders.Event]) -> int:
    """Return the disorder of the records whose times are right."""
    newest_ms = {True: -1, False: -1}
    disorder_ms = 0
    for event in events:
        if event["prediction_id"].startswith(FAST):
            continue
        topic, time_ms = is_label(event), event["timestamp_ms"]
        newest_ms[topic] = max(newest_ms[topic], time_ms)
        disorder_ms = max(disorder_ms, newest_ms[topic] - time_ms)
    return disorder_ms


def as_json(line: bytes) -> builders.Event:
    """Decode a line of a truth."""
    event: builders.Event = json.loads(line)
    return event


# Traffic


def mishaps(seed: int, *, count: int) -> list[builders.Event]:
    """Make traffic with every mishap, each event held up by up to half a minute."""
    return _ended(_mishaps(seed, count=count))


def _mishaps(seed: int, *, count: int) -> list[builders.Event]:
    return builders.delayed(builders.history(seed, count=count), seed=seed, bound_ms=30_000)


def _ended(events: list[builders.Event]) -> list[builders.Event]:
    """Add traffic of another model, hours later, so that nobody doubts how far time has come.

    The last labels of a history are many minutes apart. Whether one of them is near depends on the
    others in its partition, and a replay of the file has other partitions than workers: of twelve
    seeds, four left windows final in one and not in the other.
    """
    last_ms = max(event["timestamp_ms"] for event in events) + 2 * builders.HOUR_MS
    return events + [
        make(f"end{number}", model="end", timestamp_ms=last_ms + 1_000 * number)
        for number in range(_LAST_RECORDS)
        for make in (builders.prediction, builders.label)
    ]


def skewed(seed: int, *, count: int) -> list[builders.Event]:
    """Make the same traffic, with clocks of the labels' producers that are off by 45 s."""
    skew_ms = (-45_000, 45_000)[seed % 2]
    return [
        event | {"timestamp_ms": event["timestamp_ms"] + skew_ms} if is_label(event) else event
        for event in mishaps(seed, count=count)
    ]


def without_labels_for_a_while(seed: int, *, count: int) -> list[builders.Event]:
    """Make the same traffic, but no label arrives in the third of four half hours."""
    start_ms = builders.START_MS + builders.HOUR_MS
    gap = range(start_ms, start_ms + builders.HOUR_MS // 2)
    arrivals = [
        arrival
        for arrival in builders.history(seed, count=count)
        if not (is_label(arrival.event) and int(arrival.at_ms) in gap)
    ]
    return _ended(builders.delayed(arrivals, seed=seed, bound_ms=1_000))


def one_a_day_ahead(seed: int, *, count: int) -> list[builders.Event]:
    """Make that traffic, and one prediction a day ahead just as the labels cease."""
    events = without_labels_for_a_while(seed, count=count)
    ceased_ms = builders.START_MS + builders.HOUR_MS
    at = next(n for n, event in enumerate(events) if event["timestamp_ms"] > ceased_ms)
    day_ms = 24 * builders.HOUR_MS
    ahead = builders.prediction(f"{FAST}1", model="other", timestamp_ms=ceased_ms + day_ms)
    return [*events[:at], ahead, *events[at:]]


def one_host_fast(seed: int, *, count: int) -> list[builders.Event]:
    """Make the traffic with every mishap; the host of a model with a fifth of it is 3 h fast."""
    return _ended(
        [
            _fast(event) if zlib.crc32(event["prediction_id"].encode()) % 5 == 0 else event
            for event in _mishaps(seed, count=count)
        ]
    )


def _fast(event: builders.Event) -> builders.Event:
    """Move an event to the model whose host is fast; one version without segments."""
    own = {name: "fast" for name in ("model", "version") if name in event}
    moved = (
        event
        | own
        | {
            "prediction_id": FAST + event["prediction_id"],
            "timestamp_ms": event["timestamp_ms"] + 3 * builders.HOUR_MS,
        }
    )
    return {name: value for name, value in moved.items() if name != "segments"}


Traffic = Callable[..., list[builders.Event]]
