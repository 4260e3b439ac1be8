"""What is different between two specifications of what to watch, as lines for people.

Windows, and what else cannot change while workers run, are left out.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from streams.durations import format_duration
from streams.monitors import Monitor, Monitors, Threshold
from streams.silences import Silences

Fields = dict[str, Any]

_SPANS = {"hold_ms": "for", "cooldown_ms": "cooldown"}


def changes(before: Monitors, after: Monitors) -> Iterator[str]:
    """Yield a line for everything that is added (+), gone (-) or another one (~).

    Examples
    --------
    >>> floor = Threshold(name="floor", metric="accuracy", kind="below", given=0.9)
    >>> higher = Threshold(name="floor", metric="accuracy", kind="below", given=0.95)
    >>> for line in changes(Monitors(), Monitors(thresholds=(floor,), resolve_ms=60_000)):
    ...     print(line)
    + threshold 'floor': metric accuracy, below 0.9
    ~ resolve_after 1h → 1m
    >>> print(*changes(Monitors(thresholds=(floor,)), Monitors(thresholds=(higher,))))
    ~ threshold 'floor': below 0.9 → 0.95
    """
    yield from _between("threshold", _rules(before), _rules(after))
    yield from _between("drift", _named(before.drifts), _named(after.drifts))
    yield from _between("model", _models(before), _models(after))
    yield from _silences(before.silences, after.silences)
    yield from _between("feature", _told_of(before), _told_of(after))
    old, new = _general(before), _general(after)
    yield from (f"~ {name} {old[name]} → {new[name]}" for name in old if old[name] != new[name])


def _silences(before: Silences, after: Silences) -> Iterator[str]:
    yield from (f"+ silence: {one}: {one.why}" for one in after if one not in before)
    yield from (f"- silence: {one}: {one.why}" for one in before if one not in after)


def _rules(monitors: Monitors) -> dict[str, Fields]:
    return _named([*monitors.thresholds, *monitors.absences, *monitors.composites])


def _named(some: Sequence[Monitor]) -> dict[str, Fields]:
    return {one.name: _fields(one) for one in some}


def _fields(one: Monitor) -> Fields:
    """Return what is said of a monitor beside its name, and the usual."""
    usual = {field.name: field.default for field in msgspec.structs.fields(type(one))}
    given: Fields = msgspec.to_builtins(one)
    if isinstance(one, Threshold):  # as a file says it
        given = {
            **{name: value for name, value in given.items() if name not in ("kind", "given")},
            one.kind: one.given,
        }
        given.pop("slo")  # what it says is in the limits
        for field, key in _SPANS.items():
            span_ms = given.pop(field)
            given |= {key: format_duration(span_ms)} if span_ms else {}
    return {
        name: value
        for name, value in given.items()
        if name != "name" and value not in (usual.get(name), {})
    }


def _models(monitors: Monitors) -> dict[str, Fields]:
    names = monitors.models.keys() | monitors.owned.keys() | monitors.compared.keys()
    return {
        name: {**_told(monitors, name), **_owned(monitors, name), **_compared(monitors, name)}
        for name in names
    }


def _compared(monitors: Monitors, model: str) -> Fields:
    found = monitors.compared.get(model)
    return {} if found is None else {"baseline": str(found)}


def _told(monitors: Monitors, model: str) -> Fields:
    if (task := monitors.models.get(model)) is None:
        return {}
    positive = {} if task.positive is None else {"positive": repr(task.positive)}
    return {"task": task.kind, **positive}


def _owned(monitors: Monitors, model: str) -> Fields:
    if (owned := monitors.owned.get(model)) is None:
        return {}
    said = {"owner": owned.owner, "runbook": owned.runbook}
    tags = {f"tag {name}": value for name, value in owned.tags.items()}
    return {name: value for name, value in said.items() if value} | tags


def _told_of(monitors: Monitors) -> dict[str, Fields]:
    return {name: {"values": how} for name, how in monitors.values.items()}


def _general(monitors: Monitors) -> Fields:
    return {
        "evaluate_every": format_duration(monitors.evaluate_ms),
        "reference": monitors.reference,
        "resolve_after": format_duration(monitors.resolve_ms),
    }


def _between(kind: str, before: Mapping[str, Fields], after: Mapping[str, Fields]) -> Iterator[str]:
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name), after.get(name)
        if old == new:
            continue
        if old is None or new is None:
            sign, fields = ("+", new) if old is None else ("-", old)
            said = ", ".join(f"{key} {value}" for key, value in (fields or {}).items())
            yield f"{sign} {kind} {name!r}: {said}"
            continue
        said = ", ".join(
            f"{key} {old.get(key, 'as usual')} → {new.get(key, 'as usual')}"
            for key in {**old, **new}
            if old.get(key) != new.get(key)
        )
        yield f"~ {kind} {name!r}: {said}"
