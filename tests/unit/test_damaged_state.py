"""State is data, never code, and damage to it is an ordinary error: no panic, no endless work."""

import ast
import random
from pathlib import Path

import msgspec
import pytest

from streams.errors import StateError
from streams.monitor import Monitor
from streams.monitors_file import parse_monitors
from streams.steps import Batch
from streams.topics import Topics
from tests.builders import history, in_order
from tests.driver import Driver, as_inputs

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted(
    p for name in ("streams", "agents", "driftline") for p in (ROOT / name).rglob("*.py")
)
UNSAFE = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
ATTEMPTS = 400
WATCHED = parse_monitors(
    {
        "drift": [{"name": "loss-drift", "input": "loss"}],
        "thresholds": [
            {"name": "accuracy-drop", "metric": "accuracy", "falls_by": 0.05},
            {"name": "odd", "metric": "recall", "beyond_sigma": 5, "window": "5m"},
        ],
    }
)
"""Beside the scan."""


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: f"{path.parent.name}.{path.stem}")
def test_no_module_reads_data_that_could_run_code(path: Path) -> None:
    used = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            used |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            used.add((node.module or "").split(".")[0])
        elif isinstance(node, ast.Attribute | ast.Name):
            name = node.attr if isinstance(node, ast.Attribute) else node.id
            used |= {name} & {"__reduce__", "__reduce_ex__", "eval", "exec", "unsafe_load"}

    assert not used & (UNSAFE | {"__reduce__", "__reduce_ex__", "eval", "exec", "unsafe_load"})


@pytest.fixture(scope="module")
def state() -> list[tuple[Monitor, bytes, bytes]]:
    """State records of a monitor that has panes, rules, waiting rows and detectors."""
    driver = Driver(disorder_ms=600_000, monitors=WATCHED)
    driver.feed(as_inputs(in_order(history(5, count=3_000))))
    records = [(driver.monitor, *record) for record in driver.monitor_logs[0].items()]
    kinds = {msgspec.msgpack.decode(key)[0] for _, key, _ in records}
    assert kinds >= {
        "clock",
        "predictions",
        "outcomes",
        "page",
        "classes",
        "lanes",
        "long rule",
        "long course",
        "rows",
        "scan",
    }
    return records


def test_damaged_state_is_an_ordinary_error_or_still_state(
    state: list[tuple[Monitor, bytes, bytes]],
) -> None:
    """Kafka's checksums find bits that flip by chance; these are flipped behind their back."""
    rng = random.Random(1)
    errors = 0

    for _ in range(ATTEMPTS):
        monitor, key, value = rng.choice(state)
        damaged = bytearray(value)
        damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
        try:
            monitor.fold(monitor.new_state(0), key, bytes(damaged))
        except Exception:  # noqa: BLE001 - the point: a panic would not be caught here
            errors += 1

    assert errors


def test_state_that_is_cut_short_is_never_accepted(
    state: list[tuple[Monitor, bytes, bytes]],
) -> None:
    rng = random.Random(2)

    for _ in range(ATTEMPTS):
        monitor, key, value = rng.choice(state)
        with pytest.raises((msgspec.DecodeError, StateError)):
            monitor.fold(monitor.new_state(0), key, value[: rng.randrange(len(value))])


@pytest.mark.parametrize(
    "value",
    [b"", b"\x91", b"\x92\x01", b"\xdd\xff\xff\xff\xff", b"\x91" * 100_000, b"\xc0", b"\x91\x63"],
    ids=["empty", "cut", "short", "four billion items", "nested", "null", "schema"],
)
def test_a_poison_outcomes_record_stops_with_its_place(value: bytes) -> None:
    monitor = Driver().monitor
    topic = Topics().outcomes
    batch = Batch(
        topic=topic, offsets=[7], keys=[None], values=[value], times_ms=[0], next_offset=8
    )

    with pytest.raises(StateError, match=f"{topic}/3@7"):
        monitor.step(monitor.new_state(3), [batch], now_ms=0)
