"""A specification of what to watch as a record: the content of a monitors file, and since when.

It is JSON: ``{"effective_at": 1767225600000, "monitors": {…}}``. What `monitors` holds is what a
monitors file holds without its `settings`, which belong to workers; ``null``, or a tombstone, takes
a specification back.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from streams.chosen import check_counted
from streams.comparisons import check_comparisons, says_spans
from streams.errors import ConfigError, RecordError
from streams.moments import parse_time_ms
from streams.monitors import Monitors, counted_for, pane_ms
from streams.monitors_file import parse_monitors

KEY = b"monitors"
"""Key of every specification: the last one is what the topic says."""

LARGEST_BYTES = 1 << 20

_REASON = "invalid_monitors"
FIXED = {
    "windows": "windows",
    "coarse": "how long finished panes are kept",
    "baseline": "how much of a model's beginning windows are compared with",
    "features": "what is read of predictions",
    "metrics": "which metrics are published",
}
"""What a specification cannot change, and its meaning."""


class Specification(msgspec.Struct, frozen=True):
    """What to watch from a moment on.

    Attributes
    ----------
    effective_ms
        Event time from which on it holds.
    content
        JSON of what a monitors file holds; `None` where no specification holds, but what a worker
        was started with.
    """

    effective_ms: int
    content: bytes | None


class _Record(msgspec.Struct, forbid_unknown_fields=True):
    effective_at: int | str
    monitors: dict[str, Any] | None


def read_specification(key: bytes | None, value: bytes | None, *, time_ms: int) -> Specification:
    """Read a record; what its content says is checked by `monitors_of`.

    Parameters
    ----------
    time_ms
        The record's own time: that of a tombstone, which has no other.

    Raises
    ------
    RecordError
        With the reason ``invalid_monitors``.

    Examples
    --------
    >>> value = b'{"effective_at": "2026-01-01", "monitors": {}}'
    >>> read_specification(b"monitors", value, time_ms=0)
    Specification(effective_ms=1767225600000, content=b'{}')
    """
    if key != KEY:
        raise _refused(f"the key is {key!r:.60}; it must be {KEY.decode()!r}")
    if value is None:
        return Specification(max(time_ms, 0), None)
    if len(value) > LARGEST_BYTES:
        raise _refused(f"it has over {LARGEST_BYTES:,} bytes")
    try:
        record = msgspec.json.decode(value, type=_Record)
        content = None if record.monitors is None else msgspec.json.encode(record.monitors)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise _refused(str(error)) from None
    return Specification(parse_time_ms(record.effective_at), content)


def write_specification(content: dict[str, Any] | None, *, effective_ms: int) -> bytes:
    """Return the value of a record."""
    return msgspec.json.encode(_Record(effective_ms, content))


def monitors_of(content: bytes, own: Monitors) -> Monitors:
    """Return what a specification says, completed by what it cannot change.

    Parameters
    ----------
    own
        What the worker was started with: its windows, and whether it reads features.

    Raises
    ------
    RecordError
        If a monitors file with that content would be refused, or if it changes one of these.
    """
    data: dict[str, Any] = msgspec.json.decode(content)
    if "settings" in data:
        raise _refused("settings: these belong to workers; leave them out")
    try:
        monitors = parse_monitors(data, file="monitors")
        check_rules(monitors, own)
    except ConfigError as error:
        raise _refused(str(error)) from None
    for name, meaning in FIXED.items():
        rows = name == "baseline" and monitors.baseline_rows != own.baseline_rows
        if says(data, name) and (rows or getattr(monitors, name) != getattr(own, name)):
            raise _refused(
                f"{name}: {meaning} cannot change while workers run: leave {name} out, or start"
                " workers with a monitors file that says the same"
            )
    found = completed(monitors, own)
    if own.windows:
        length_ms = pane_ms(own.windows)
        try:
            check_comparisons(found.compared, spans_ms=found.baseline, pane_ms=length_ms)
        except ConfigError as error:
            raise _refused(str(error)) from None
    return found


def says(data: Mapping[str, Any], name: str) -> bool:
    """Tell whether a monitors file says one of `FIXED`; see `streams.comparisons` for mappings."""
    given = data.get(name)
    return name in data and not (
        isinstance(given, dict) and name == "baseline" and not says_spans(given)
    )


def check_rules(monitors: Monitors, own: Monitors) -> None:
    """Refuse rules on what workers do not count that were started with other monitors.

    Raises
    ------
    ConfigError
        Naming the rule and the fix.
    """
    check_counted(counted_for(own), [(one.name, one.metric) for one in monitors.thresholds])


def completed(monitors: Monitors, own: Monitors) -> Monitors:
    """Return a specification with what it cannot change as a worker was started with."""
    fixed = {name: getattr(own, name) for name in (*FIXED, "baseline_rows")}
    return msgspec.structs.replace(monitors, **fixed)


def _refused(detail: str) -> RecordError:
    return RecordError(_REASON, detail)
