r"""Record states that every later version must read: ``python -m tests.golden.state``.

`tests/golden/state-1.msgpack.xz` and so on hold each what both stages had written down in the
middle of a stream, the records that came after it, and all results at the end.
`tests/unit/test_recorded_state.py` opens all of them with whatever is built, goes on, and compares.
A change of the format that cannot read them is no change that a user could take. So

* without any option, one more is recorded: where the state has got a table, or says more. Those
  before stay, since somebody has such a state; one is only deleted if the format has to break
  (then the changelog says so, and `FORMAT` gets another number);
* ``--results`` keeps states and records, and writes the results of this build down: where
  what it publishes is *meant* to change, or where a family has a new version and is silent for a
  while. Look at what differs first (``--check``).
"""

import argparse
import json
import lzma
import random
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import msgspec

from streams.adoption_record import Adoption, adoption_key, write_adoption
from streams.families.latency import Latency
from streams.forget_record import forget_key, write_forget
from streams.monitor.tables import TABLES
from streams.monitors_file import parse_monitors
from streams.specification import write_specification
from tests.builders import HOUR_MS, MINUTE_MS, in_order, prediction
from tests.driver import TOPICS, Driver, Input, as_inputs, batch_of, cut
from tests.golden import results, traffic
from tests.golden.watching import SENSITIVE, Spec, with_window

PATHS = sorted(Path(__file__).parent.glob("state-[0-9].msgpack.xz"))
MOST_BYTES = 500_000

KINDS = ("scored", "chance", "classes", "numbers")
_HOT: Spec = {
    "name": "hot",
    "metric": "cpu_utilization",
    "above": 0.5,
    "minimum": 1,
    "by": "value",
    "window": "8m",
}
_SCAN: list[Spec] = [
    {"name": f"{one}-scan", "input": one, "detector": "scan"} for one in ("loss", "traffic")
]
#: Where a rule has the first window of the stream.
_RULES = with_window(SENSITIVE["thresholds"], "10m")
#: A rule of each kind that remembers something of its own.
_LIVES: list[Spec] = [
    {"name": "silent", "metric": "predictions", "absent_for": "20m"},
    {"name": "waits", "metric": "labels", "below": 1_000, "for": "12h", "window": "10m"},
    {"name": "usual", "metric": "labels", "beyond_sigma": 8, "window": "10m"},
    {"name": "lengths", "metric": "mean:amount", "above": 1, "minimum": 20, "then": "retrain"},
]
_BEFORE: Spec = SENSITIVE | {
    "drift": [*SENSITIVE["drift"], *_SCAN],
    "baseline": "20m",
    "windows": ["10m", {"size": "2h", "hop": "1h"}],
    "coarse": True,
    "thresholds": [*_RULES[:-2], _HOT, *_LIVES],
}
#: What looks at longer windows from a moment on.
_LATER: Spec = {
    "name": "later",
    "metric": "accuracy",
    "segment": "region=eu",
    "below": 0.1,
    "minimum": 20,
}
_WEB: Spec = {
    "name": "web",
    "metric": "labels",
    "segment": "channel=web",
    "below": 3,
    "window": "10m",
}
_AFTER: Spec = {
    "reference": SENSITIVE["reference"],
    "thresholds": [*_RULES, _WEB, _HOT, *_LIVES, _LATER],
    "drift": [*SENSITIVE["drift"], *_SCAN],
    "silences": [{"model": "c*", "between": "00:00-23:59", "why": "all but a minute"}],
}


class Recorded(msgspec.Struct):
    """What was written down, and what came of it.

    Attributes
    ----------
    join, monitor
        By partition, keys and values of the topics of both states.
    outcomes, ends
        By partition, the records between the stages that are still to be read, by offset, and how
        many there were.
    published
        What had been published until then, as lines of a golden file.
    rest
        Topic, key and value of what came after that.
    results
        At the end, as lines of a golden file.
    """

    watched: Spec
    horizon_ms: int
    disorder_ms: int
    largest_bytes: int
    now_ms: int
    received: int
    offsets: list[tuple[str, int, int]]
    join: list[list[tuple[bytes | None, bytes | None]]]
    monitor: list[list[tuple[bytes, bytes]]]
    outcomes: list[dict[int, bytes]]
    ends: list[int]
    specifications: list[tuple[bytes | None, bytes | None]]
    published: list[str]
    rest: list[tuple[str, bytes, bytes | None]]
    results: list[str]


def _driver(recorded: Recorded) -> Driver:
    driver = Driver(
        partitions=len(recorded.join),
        disorder_ms=recorded.disorder_ms,
        horizon_ms=recorded.horizon_ms,
        monitors=parse_monitors(recorded.watched),
    )
    driver.monitor.largest_bytes = recorded.largest_bytes
    return driver


def opened(recorded: Recorded) -> Driver:
    """Return a driver that has read the state."""
    driver = _driver(recorded)
    driver.now_ms, driver.received = recorded.now_ms, recorded.received
    driver.offsets.update({(topic, part): end for topic, part, end in recorded.offsets})
    driver.join_logs = [list(log) for log in recorded.join]
    driver.monitor_logs = [dict(log) for log in recorded.monitor]
    driver.outcomes = [
        [kept.get(offset, b"") for offset in range(end)]
        for kept, end in zip(recorded.outcomes, recorded.ends, strict=True)
    ]
    for key, value in recorded.specifications:
        driver.specify(value, key=key)
    published = results.parsed(recorded.published)
    driver.metrics = {
        key: dict(zip(results.IDENTITY, key, strict=True)) | fields
        for key, fields in published.metrics.items()
    }
    driver.alerts = [one for alerts in published.alerts.values() for one in alerts]
    driver.restart(random.Random(1))
    return driver


def gone_on(driver: Driver, rest: list[Any]) -> results.Results:
    """Go on with the records that came after the state was recorded, to the end."""
    for batch in cut(rest, [120]):
        driver.feed(batch)
    driver.finish()
    return results.results_of(driver, results.digest_of(rest))


def tables_of(recorded: Recorded) -> set[str]:
    """Return the tables that the state of the monitor has records of."""
    return {msgspec.msgpack.decode(key)[0] for log in recorded.monitor for key, _ in log}


# --- recording


def _stream() -> list[Input]:
    """Make traffic of every kind of model, and of one whose state outgrows a record."""
    events = in_order(traffic.mixed(31, count=235, kinds=KINDS, span_ms=5 * HOUR_MS))
    wide = {f"{'long ' * 25}{number}": number for number in range(250)}
    events.insert(
        100,
        prediction("wide", model="wide", timestamp_ms=events[100]["timestamp_ms"], features=wide),
    )
    return _with_readings(as_inputs(events))


def _with_readings(inputs: list[Input]) -> list[Input]:
    """Put readings of hosts between events, the first before all of them."""
    found: list[Input] = []
    for number, one in enumerate(inputs):
        if number % 19 == 0:
            model = ("host:a", "scored", "host:b")[number % 3]
            time_ms = json.loads(one[2] or b"")["timestamp_ms"]
            fields = {"cpu_utilization": number % 10 / 10, "gpu_throttled": number % 4 == 0}
            value = json.dumps({"model": model, "timestamp_ms": time_ms, **fields})
            found.append((TOPICS.resources, model.encode(), value.encode()))
        found.append(one)
    return found


def record() -> Recorded:
    """Run a stream to its middle, write everything down, and go on to the end."""
    inputs = _stream()
    place = 2 * len(inputs) // 3
    recorded = Recorded(
        _BEFORE,
        horizon_ms=30 * MINUTE_MS,
        disorder_ms=5 * MINUTE_MS,
        largest_bytes=20_000,
        now_ms=0,
        received=0,
        offsets=[],
        join=[[], []],
        monitor=[],
        outcomes=[],
        ends=[],
        specifications=[],
        published=[],
        rest=[],
        results=[],
    )
    # What an earlier version of a family counted: panes of the state lack it.
    with mock.patch.object(Latency, "version", 0):
        driver = _driver(recorded)
        for batch in cut(inputs[: place // 2], [120]):
            driver.feed(batch)
    driver.restart(random.Random(2))
    newest_ms = max(json.loads(value)["timestamp_ms"] for _, _, value in inputs[:place])
    driver.specify(write_specification(_AFTER, effective_ms=newest_ms - 40 * MINUTE_MS))
    for model, minutes in (("numbers", -20), ("wide", 30)):
        value = write_forget(model, None, effective_ms=newest_ms + minutes * MINUTE_MS)
        driver.specify(value, key=forget_key(model, None))
    _adopt(driver, effective_ms=newest_ms + 10 * HOUR_MS)
    for batch in cut(inputs[place // 2 : place], [120]):
        driver.feed(batch)
    driver.pace_ms = 0  # so that rows wait to be counted, and to be taken in order
    rest = inputs[place : place + 24], inputs[place + 24 :]
    for batch in cut(rest[0], [8]):
        driver.feed(batch)
    _write_down(recorded, driver, rest[1])
    found = gone_on(opened(recorded), recorded.rest)
    driver.pace_ms = MINUTE_MS
    untouched = gone_on(driver, recorded.rest)
    results.check("recorded state, opened as it is recorded", found, untouched)
    recorded.results = results.lines_of(found)
    return recorded


def _adopt(driver: Driver, *, effective_ms: int) -> None:
    """Order every partition to adopt something at a time that never comes."""
    value = write_adoption(Adoption("a1", "scored", "ann", "", effective_ms))
    rows = [(TOPICS.feedback, adoption_key("a1"), value)]
    for part, own in enumerate(driver.monitors):
        batch = batch_of(TOPICS.feedback, rows, offsets=range(1))
        driver._take(part, driver.monitor.step(own, [batch], now_ms=driver.now_ms))


def _write_down(recorded: Recorded, driver: Driver, rest: list[Input]) -> None:
    """Write down what a worker would find, and look whether it has everything."""
    recorded.now_ms, recorded.received = driver.now_ms, driver.received
    recorded.offsets = [(*place, end) for place, end in sorted(driver.offsets.items())]
    recorded.join = [[(key, value) for key, value in log] for log in driver.join_logs]
    recorded.monitor = [sorted(log.items()) for log in driver.monitor_logs]
    recorded.ends = [len(values) for values in driver.outcomes]
    for part, state in enumerate(driver.monitors):
        waiting = _waiting(driver, part)
        recorded.outcomes.append({offset: driver.outcomes[part][offset] for offset in waiting})
        assert min(waiting) < state.taken <= max(waiting), "rows wait to be counted, and in order"
    recorded.specifications = [(key, value) for _, key, value in driver.specifications]
    recorded.published = results.lines_of(results.results_of(driver, ""))
    recorded.rest = [(topic, key or b"", value) for topic, key, value in rest]
    missing = set(TABLES) - tables_of(recorded)
    assert not missing, f"the state has no record of {', '.join(sorted(missing))}"


def _waiting(driver: Driver, part: int) -> list[int]:
    state = driver.monitor.new_state(part)
    for key, value in driver.monitor_logs[part].items():
        driver.monitor.fold(state, key, value)
    return sorted(driver.monitor.recalls(state)[TOPICS.outcomes])


def read(path: Path) -> Recorded:
    """Read what was recorded."""
    return msgspec.msgpack.decode(lzma.decompress(path.read_bytes()), type=Recorded)


def _write(recorded: Recorded, path: Path) -> None:
    content = lzma.compress(msgspec.msgpack.encode(recorded), preset=9)
    assert len(content) <= MOST_BYTES, f"{len(content):,} bytes; {MOST_BYTES:,} at most"
    path.write_bytes(content)
    records = sum(map(len, recorded.monitor))
    print(f"{path.name}: {records:,} records of the monitor's state, {len(content):,} bytes")


def _go_on(path: Path, *, check: bool) -> bool:
    """Open a state and go on; compare the results, or write them down. Tell if all is well."""
    recorded = read(path)
    found = gone_on(opened(recorded), recorded.rest)
    if not check:
        recorded.results = results.lines_of(found)
        _write(recorded, path)
        return True
    try:
        results.check(path.name, found, results.parsed(recorded.results))
    except AssertionError as error:
        print(error)
        return False
    print(f"{path.name}: as recorded")
    return True


def main() -> int:
    """Record, or compare; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.golden.state")
    parser.add_argument("--check", action="store_true", help="say what differs, write nothing")
    parser.add_argument("--results", action="store_true", help="keep the state, write results")
    given = parser.parse_args()
    if given.check or given.results:
        found = [_go_on(path, check=given.check) for path in PATHS]
        return 0 if all(found) else 1
    _write(record(), Path(__file__).with_name(f"state-{len(PATHS) + 1}.msgpack.xz"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
