"""Models that fall silent: when no predictions, or no labels, have come for so long.

A silent model has no rows that a window could hold. What tells is the time of the whole stream: the
watermark, which the others move. So a rule is looked at whenever that goes on, and one model that
is silent among many is found, at the moment at which it has been silent for long enough. A version
that another one takes over from is no silence: of a model, the version counts that came last.

Where the whole stream is silent, nothing moves the watermark. A worker's ticks say how long that
has been, and what they find rests on them alone; a replay reads none, and finds the same only where
the recording goes on after the silence.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.model_keys import Name
from streams.rule_kinds import Absence

Ints = NDArray[np.int64]

_NEVER_MS = 1 << 62
_SIDES = ("predictions", "labels")
METRICS = _SIDES
"""What may be absent."""


class Absent(NamedTuple):
    """A model that has fallen silent, or is no longer.

    Attributes
    ----------
    since_ms
        When the last row came.
    ticked
        Whether only ticks say that so much time has passed.
    """

    model: int
    rule: Absence
    at_ms: int
    over: bool
    since_ms: int
    ticked: bool = False


class _Group(NamedTuple):
    """Versions of a model that a rule is for."""

    rule: Absence
    codes: list[int]


class Absences:
    """When models of a partition had rows last, as far as rules ask.

    Parameters
    ----------
    is_firing
        Tells whether a rule fires for a model now, by its name.

    Attributes
    ----------
    changed
        Buckets that are not written down as they are.
    """

    def __init__(self, *, is_firing: Callable[[int, str], bool]) -> None:
        self._is_firing = is_firing
        self._names: dict[int, Name] = {}
        self._buckets: dict[int, int] = {}
        self._groups: dict[tuple[str, str], _Group] = {}
        self._keys: dict[int, list[tuple[str, str]]] = {}
        self._last: dict[int, list[int]] = {}
        self._due_ms = _NEVER_MS
        self.changed: set[int] = set()

    def watch(self, code: int, name: Name, rules: Sequence[Absence], *, bucket: int) -> None:
        """Let these rules, and no others, be for a model version."""
        self._leave(code)
        if rules:
            self._names[code], self._buckets[code] = name, bucket
            self._keys[code] = [(rule.name, name[0]) for rule in rules]
        for rule in rules:
            group = self._groups.setdefault((rule.name, name[0]), _Group(rule, []))
            if group.rule != rule:
                group = self._groups[rule.name, name[0]] = _Group(rule, group.codes)
            group.codes.append(code)
        self._due_ms = -1

    def forget(self, code: int) -> None:
        """Forget a model version."""
        self._leave(code)
        self._last.pop(code, None)
        self._names.pop(code, None)
        if (bucket := self._buckets.pop(code, None)) is not None:
            self.changed.add(bucket)

    def _leave(self, code: int) -> None:
        for key in self._keys.pop(code, ()):
            codes = self._groups[key].codes
            codes.remove(code)
            if not codes:
                del self._groups[key]

    # ------------------------------------------------------------------ going on
    def advance(self, waiting: Sequence[Any], *, from_ms: int, until_ms: int) -> Iterator[Absent]:
        """Take what has become due; yield what that ends, and what has not come by then."""
        if not self._groups:
            return
        came = self._came(waiting, from_ms, until_ms)
        if not came and until_ms <= self._due_ms:
            return
        keys = dict.fromkeys(key for code, _ in came for key in self._keys[code])
        groups = [self._groups[key] for key in keys]
        if until_ms > self._due_ms:
            self._due_ms, groups = _NEVER_MS, list(self._groups.values())
        for group in groups:
            yield from self._of(group, came, until_ms)
        for (code, side), times_ms in came.items():
            self._see(code, side, times_ms)
        # Rows put off what is due, so that the earliest of before is early enough.
        self._due_ms = min(self._due_ms, *map(self._next_ms, groups), _NEVER_MS)

    def tick(self, waiting: Sequence[Any], *, from_ms: int, settled_ms: int) -> Iterator[Absent]:
        """Yield what has not come by a time of which only ticks tell.

        Parameters
        ----------
        waiting
            Rows that wait for their time: of whom there are any, nobody can say that yet.
        """
        if settled_ms <= self._due_ms:
            return
        came = {code for code, _ in self._came(waiting, from_ms, _NEVER_MS)}
        for group in list(self._groups.values()):
            if came.isdisjoint(group.codes):
                for found in self._of(group, {}, settled_ms):
                    yield found._replace(ticked=True)
        self._due_ms = min(map(self._next_ms, self._groups.values()), default=_NEVER_MS)

    def _came(
        self, waiting: Sequence[Any], from_ms: int, until_ms: int
    ) -> dict[tuple[int, int], Ints]:
        """Return by version and side the times of rows that are due, those that differ, rising."""
        found: dict[tuple[int, int], list[Ints]] = {}
        for one in waiting:
            table = one.table
            for side, models, times_ms in (
                (0, table.predictions.model, table.predictions.time_ms),
                (1, table.outcomes.model, table.outcomes.at_ms),
            ):
                due = np.flatnonzero((times_ms >= from_ms) & (times_ms < until_ms))
                due = due[np.argsort(models[due], kind="stable")]
                codes, starts = np.unique(models[due], return_index=True)
                parts = np.split(times_ms[due], starts[1:])
                for code, part in zip(codes.tolist(), parts, strict=False):
                    if code in self._names:
                        found.setdefault((code, side), []).append(part)
        return {key: np.unique(np.concatenate(times)) for key, times in found.items()}

    def _of(
        self, group: _Group, came: dict[tuple[int, int], Ints], until_ms: int
    ) -> Iterator[Absent]:
        """Yield what is found of a rule and a model."""
        rule, codes = group
        side, absent_ms = _SIDES.index(rule.metric), rule.absent_ms
        times_ms, whose = self._rows(codes, side, came)
        last_ms, last = self._newest(codes, side)
        firing = next((code for code in codes if self._is_firing(code, rule.name)), None)
        if firing is not None and len(times_ms):
            yield Absent(firing, rule, int(times_ms[0]), over=True, since_ms=last_ms)
            firing, last_ms = None, -1
        if last_ms < 0 and len(times_ms):
            last_ms, last = int(times_ms[0]), int(whose[0])
        every_ms, codes_of = np.append(last_ms, times_ms), np.append(last, whose)
        for gap in np.flatnonzero(np.diff(every_ms) > absent_ms).tolist():
            since_ms, code = int(every_ms[gap]), int(codes_of[gap])
            yield Absent(code, rule, since_ms + absent_ms, over=False, since_ms=since_ms)
            yield Absent(code, rule, int(every_ms[gap + 1]), over=True, since_ms=since_ms)
        since_ms = int(every_ms[-1])
        if firing is None and 0 <= since_ms < until_ms - absent_ms:
            code = int(codes_of[-1])
            yield Absent(code, rule, since_ms + absent_ms, over=False, since_ms=since_ms)

    def _rows(
        self, codes: Sequence[int], side: int, came: dict[tuple[int, int], Ints]
    ) -> tuple[Ints, Ints]:
        """Return the times of rows of versions, rising, and the version of each.

        A model that has never had a label lacks them since its first prediction.
        """
        times, whose = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        for code in sorted(codes, key=self._names.__getitem__):
            own = came.get((code, side))
            if side and self._last.get(code, [-1, -1])[1] < 0 and (code, 0) in came:
                first = came[code, 0][:1]
                own = first if own is None else np.union1d(first, own)
            if own is not None:
                times.append(own)
                whose.append(np.full(len(own), code))
        every, versions = np.concatenate(times), np.concatenate(whose)
        order = np.argsort(every, kind="stable")
        return every[order], versions[order]

    def _newest(self, codes: Sequence[int], side: int) -> tuple[int, int]:
        """Return when the last row came before, and of which version; -1 for never."""
        known = [
            (self._last[code][side], self._names[code], code)
            for code in codes
            if code in self._last
        ]
        if not known:
            return -1, -1
        last_ms, _, code = max(known)
        return last_ms, code

    def _see(self, code: int, side: int, times_ms: Ints) -> None:
        last = self._last.setdefault(code, [-1, -1])
        last[side] = max(last[side], int(times_ms[-1]))
        if last[1] < 0:
            last[1] = int(times_ms[0])
        self.changed.add(self._buckets[code])

    def _next_ms(self, group: _Group) -> int:
        """Return when a rule is to be looked at, unless there are rows: later than this."""
        side = _SIDES.index(group.rule.metric)
        if any(self._is_firing(code, group.rule.name) for code in group.codes):
            return _NEVER_MS
        last_ms, _ = self._newest(group.codes, side)
        return _NEVER_MS if last_ms < 0 else last_ms + group.rule.absent_ms

    # ------------------------------------------------------------------ written down
    def changes(self) -> Iterator[tuple[int, list[Any] | None]]:
        """Yield every bucket that has changed, and what is known of its models."""
        for bucket in sorted(self.changed):
            found = [
                [*self._names[code], *last]
                for code, last in sorted(self._last.items())
                if self._buckets.get(code) == bucket
            ]
            yield bucket, found or None
        self.changed.clear()

    def restore(self, code: int, last: Sequence[int]) -> None:
        """Put back what is known of a model."""
        self._last[code] = list(last)
        self._due_ms = -1
