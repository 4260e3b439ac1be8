"""State of another version is refused by name: what wrote it, what this is, and what to do."""

import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from agents.partitions import Partition
from agents.state_log import _Log
from streams import join_log, outcomes
from streams.errors import StateError
from streams.formats import VERSION, Format
from streams.monitor import tables
from streams.steps import Batch
from tests.builders import label, prediction
from tests.driver import TOPICS, Driver, as_inputs

ROOT = Path(__file__).resolve().parents[2]
FORMATS = {"join": join_log.FORMAT, "monitor": tables.FORMAT, "outcomes": outcomes.FORMAT}
SECRET = "top-secret-customer"


@pytest.fixture(scope="module")
def written() -> dict[str, list[tuple[bytes | None, bytes]]]:
    """Records that both stages have written."""
    driver = Driver()
    driver.feed(as_inputs([prediction("a"), label("a"), label("b")]))
    return {
        "join": driver.join_logs[0],
        "monitor": list(driver.monitor_logs[0].items()),
        "outcomes": [(None, value) for value in driver.outcomes[0]],
    }


def read(kind: str, key: bytes | None, value: bytes) -> None:
    driver = Driver()
    if kind == "join":
        driver.join.fold(driver.joins[0], key, value)
    elif kind == "monitor":
        driver.monitor.fold(driver.monitors[0], key, value)
    else:
        how: dict[str, Any] = {"topic": TOPICS.outcomes, "offsets": [7], "times_ms": [0]}
        batch = Batch(**how, keys=[None], values=[value], next_offset=8)
        driver.monitor.step(driver.monitors[0], [batch], now_ms=0)


def test_the_version_in_the_state_is_that_of_the_distribution() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    assert project["version"] == VERSION


@pytest.mark.parametrize("kind", FORMATS)
def test_every_record_begins_with_schema_and_version(
    kind: str, written: dict[str, list[tuple[bytes | None, bytes]]]
) -> None:
    heads = {tuple(msgspec.msgpack.decode(value)[:2]) for _, value in written[kind]}

    assert heads == {(FORMATS[kind].schema, VERSION)}


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize(
    ("step", "said"),
    [
        (1, ["driftline 9.9.9 wrote", "a newer one", "run driftline 9.9.9 or a later version"]),
        (-1, ["driftline 9.9.9 wrote", "an older one", "run driftline 9.9.9 again"]),
    ],
    ids=["rollback", "upgrade"],
)
def test_a_record_of_another_version_is_refused_by_name(
    kind: str, step: int, said: list[str], written: dict[str, list[tuple[bytes | None, bytes]]]
) -> None:
    """A format to come may be of any shape behind its head."""
    key, _ = written[kind][0]
    one = FORMATS[kind]
    schema = one.schema + step if step > 0 else one.schema - one.before + step
    value = msgspec.msgpack.encode([schema, "9.9.9", {"anything": SECRET}])

    with pytest.raises(StateError) as refused:
        read(kind, key, value)

    text = str(refused.value)
    for part in [*said, FORMATS[kind].name, f"this is driftline {VERSION}"]:
        assert part in text
    assert SECRET not in text


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize(
    "record",
    [
        [FORMATS["join"].schema + 90, [[SECRET, "1"]]],
        [FORMATS["join"].schema + 90, SECRET * 20],
        [SECRET, SECRET],
        [True, VERSION, SECRET],
        [[SECRET]],
        {SECRET: 1},
        SECRET,
    ],
    ids=["before versions", "long", "text", "bool", "short", "map", "scalar"],
)
def test_no_bytes_of_a_record_are_in_what_refuses_it(
    kind: str, record: Any, written: dict[str, list[tuple[bytes | None, bytes]]]
) -> None:
    key, _ = written[kind][0]

    with pytest.raises(StateError) as refused:
        read(kind, key, msgspec.msgpack.encode(record))

    assert SECRET not in str(refused.value)


@pytest.mark.parametrize("content", [[SECRET], {SECRET: SECRET}, [1, 2, SECRET, 4, 5, 6, 7]])
def test_no_bytes_of_a_damaged_state_record_are_in_what_a_worker_says(content: Any) -> None:
    driver = Driver()
    key = msgspec.msgpack.encode(("clock",))
    value = msgspec.msgpack.encode([*tables.FORMAT.head, content])
    message: Any = SimpleNamespace(
        **{name: lambda value=value: value for name, value in (("key", key), ("value", value))},
        topic=lambda: "t",
        partition=lambda: 3,
        offset=lambda: 7,
    )

    with pytest.raises(StateError, match="state record t/3@7 cannot be used") as refused:
        _Log(Partition(driver.monitor, 3), begin=0, end=1).take(message)

    assert SECRET not in str(refused.value)


def test_a_version_that_could_write_on_a_terminal_is_not_shown() -> None:
    with pytest.raises(StateError, match="another build wrote"):
        Format("a state of the join", 4).check(5, "1.0\x1b[2J")
