"""The verifier of the fault suite finds what it is there to find."""

import json
from collections import Counter
from typing import Any, NamedTuple

import pytest

from tests.faults import verify
from tests.faults.ledger import Entry


class Read(NamedTuple):
    """Just as much of a record as the verifier looks at."""

    topic_: str
    key_: bytes
    value_: bytes | None

    def topic(self) -> str:
        return self.topic_

    def key(self) -> bytes:
        return self.key_

    def value(self) -> bytes | None:
        return self.value_


def revisions(*numbers: int | None) -> Any:
    return [
        Read("metrics", b"k", None if n is None else json.dumps({"revision": n}).encode())
        for n in numbers
    ]


@pytest.mark.parametrize("numbers", [(1, 2, 3), (1, 4), (1, None, 2)])
def test_revisions_that_rise_are_accepted(numbers: tuple[int | None, ...]) -> None:
    assert verify.revisions_rise(revisions(*numbers)) == []


@pytest.mark.parametrize("numbers", [(1, 1), (2, 1), (1, None, 1)], ids=["twice", "falls", "again"])
def test_revisions_that_do_not_rise_are_found(numbers: tuple[int | None, ...]) -> None:
    assert len(verify.revisions_rise(revisions(*numbers))) == 1


def test_an_alert_that_comes_twice_is_found() -> None:
    alert = {"alert_id": "a", "state": "firing", "revision": 0}

    assert verify.alerts_come_once([alert, alert | {"state": "resolved"}]) == []
    assert len(verify.alerts_come_once([alert, alert])) == 1


@pytest.mark.parametrize("copies", [0, 2], ids=["lost", "twice"])
def test_an_input_that_does_not_hold_what_was_acknowledged_is_found(copies: int) -> None:
    entry = Entry("p", b"k", b"v")
    inputs: Any = {"p": [Read(*entry)] * copies}

    assert list(verify.written_once(Counter([entry]), {"p": [Read(*entry)]})) == []  # type: ignore[list-item]
    assert len(list(verify.written_once(Counter([entry]), inputs))) == 1


def test_a_record_that_is_in_no_metric_and_no_fate_is_found() -> None:
    metrics = [{"segment": "", "metric": name, "value": 1} for name in ("predictions", "labels")]
    record: Any = [Read("t", b"k", b"v")]
    dead: Any = {"predictions": [], "labels": []}
    fates = Counter({"joined": 2})

    whole = {"predictions": record, "labels": record}
    assert verify.conserved(metrics, inputs=whole, dead=dead, fates=fates) == []
    more = {"predictions": record, "labels": record * 2}
    assert verify.conserved(metrics, inputs=more, dead=dead, fates=fates) == [
        "labels in: 2, should be 1"
    ]
