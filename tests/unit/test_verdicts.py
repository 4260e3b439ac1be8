"""How precise monitors are, by what people say of their alerts."""

from typing import Any, NamedTuple

import msgspec
import pytest

from agents.feedback import last_of_keys
from streams.precision import Precision, precision
from streams.verdicts import Verdict


def said(name: str, verdict: str, *, by: str = "ann") -> Verdict:
    plain = {
        "alert_id": name,
        "verdict": verdict,
        "by": by,
        "at_ms": 1,
        "model": "fraud",
        "monitor": "accuracy-drop",
    }
    return msgspec.convert(plain, Verdict)


def test_precision_is_the_share_of_the_true_among_the_judged() -> None:
    of = {f"a{number}": "accuracy-drop" for number in range(6)}
    verdicts = [said("a0", "true"), said("a1", "true"), said("a2", "true"), said("a3", "false")]

    [found] = precision(of, [*verdicts, said("a4", "expected")])

    assert (found.alerts, found.true, found.false, found.expected) == (6, 3, 1, 1)
    assert found.value == 0.75
    assert found.low == pytest.approx(0.3006, abs=1e-4)
    assert found.high == pytest.approx(0.9544, abs=1e-4)


def test_the_last_verdict_on_an_alert_counts() -> None:
    [found] = precision({"a0": "accuracy-drop"}, [said("a0", "true"), said("a0", "false")])

    assert (found.true, found.false) == (0, 1)


def test_who_was_never_judged_has_no_precision() -> None:
    found = precision({"a0": "accuracy-drop"}, [said("gone", "true")])

    assert found == [Precision("accuracy-drop", 1, 0, 0, 0, None, None, None)]


def test_monitors_are_told_apart() -> None:
    found = precision({"a0": "accuracy-drop", "a1": "loss-drift"}, [said("a1", "true")])

    assert [(one.monitor, one.value) for one in found] == [
        ("accuracy-drop", None),
        ("loss-drift", 1.0),
    ]


@pytest.mark.parametrize("fields", [{"verdict": "maybe"}, {"by": ""}, {"at_ms": -1}])
def test_what_is_no_verdict_is_refused(fields: dict[str, object]) -> None:
    plain = msgspec.to_builtins(said("a0", "true")) | fields

    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(plain, Verdict)


class Record(NamedTuple):
    """A message, as far as verdicts are read of it."""

    name: bytes
    said: Verdict | None

    def key(self) -> bytes:
        return self.name

    def value(self) -> bytes | None:
        return None if self.said is None else msgspec.json.encode(self.said)


def test_a_verdict_under_another_key_does_not_outlast_those_of_the_alert() -> None:
    own, other = Record(b"a0", said("a0", "false")), Record(b"a1", said("a0", "true"))
    records: Any = [own, other]

    assert last_of_keys(records, Verdict) == [own.said]
    assert last_of_keys([*records, Record(b"a0", None)], Verdict) == []
