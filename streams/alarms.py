"""Which alarms two sets of monitors raise over the same events, and what they differ in.

An alarm is an alert when it begins; incidents, which are alerts taken together, are none. The
same alarm has the same id, since an id says who raised it, of what and when. Of what is left, two
that the same monitor raised of the same thing, not too long apart, are one that has moved.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from streams.verdicts import Said

Lane = tuple[str, str, str, str, str, str]


class Alarm(msgspec.Struct, frozen=True, kw_only=True):
    """An alert as it began.

    Attributes
    ----------
    input
        Of a detector.
    verdict
        What somebody has said of it.
    """

    alert_id: str
    model: str
    version: str
    segment: str
    monitor: str
    input: str
    direction: str
    severity: str
    at_ms: int
    message: str
    verdict: Said | None = None

    @property
    def lane(self) -> Lane:
        """Who raised it, of what."""
        return (
            self.monitor,
            self.model,
            self.version,
            self.segment,
            self.input,
            self.direction,
        )


class Moved(NamedTuple):
    """An alarm that comes at another time."""

    before: Alarm
    after: Alarm

    @property
    def later_ms(self) -> int:
        """How much later it comes; less than 0 where it comes sooner."""
        return self.after.at_ms - self.before.at_ms


class Differences(NamedTuple):
    """What two sets of alarms differ in, each in order of time."""

    same: list[Alarm]
    gained: list[Alarm]
    lost: list[Alarm]
    moved: list[Moved]


def alarms(alerts: Iterable[Mapping[str, Any]], said: Mapping[str, Said]) -> list[Alarm]:
    """Return the alarms among revisions of alerts, in order of time.

    Parameters
    ----------
    said
        Verdicts by the id of the alert.
    """
    found = [
        Alarm(
            **{name: one[name] for name in _COPIED},
            input=str(one["evidence"].get("input", "")),
            verdict=said.get(one["alert_id"]),
        )
        for one in alerts
        if one["state"] == "firing" and one["revision"] == 0 and one["kind"] != "incident"
    ]
    return sorted(found, key=_order)


_COPIED = tuple(
    one.name for one in msgspec.structs.fields(Alarm) if one.name not in ("input", "verdict")
)


def differences(before: Sequence[Alarm], after: Sequence[Alarm], *, within_ms: int) -> Differences:
    """Return what the alarms of one set of monitors and of another differ in.

    Parameters
    ----------
    within_ms
        What is further apart has not moved: one is lost, and another gained.
    """
    old, new = ({one.alert_id: one for one in some} for some in (before, after))
    same = [one for one in before if one.alert_id in new]
    left: dict[Lane, tuple[list[Alarm], list[Alarm]]] = defaultdict(lambda: ([], []))
    for place, some, others in ((0, before, new), (1, after, old)):
        for one in some:
            if one.alert_id not in others:
                left[one.lane][place].append(one)
    moved = [pair for lane in left.values() for pair in _pairs(*lane, within_ms=within_ms)]
    moved.sort(key=lambda pair: _order(pair.before))
    gone = {one.alert_id for pair in moved for one in pair}
    return Differences(
        same,
        [one for one in after if one.alert_id not in old.keys() | gone],
        [one for one in before if one.alert_id not in new.keys() | gone],
        moved,
    )


def _pairs(before: Sequence[Alarm], after: Sequence[Alarm], *, within_ms: int) -> Iterator[Moved]:
    """Yield which alarms of a lane have become which: those that are nearest first."""
    near: list[tuple[int, int, int]] = []
    first = 0
    for place, one in enumerate(before):
        while first < len(after) and after[first].at_ms < one.at_ms - within_ms:
            first += 1
        for other in range(first, len(after)):
            apart_ms = after[other].at_ms - one.at_ms
            if apart_ms > within_ms:
                break
            near.append((abs(apart_ms), place, other))
    taken: tuple[set[int], set[int]] = (set(), set())
    for _, place, other in sorted(near):
        if place not in taken[0] and other not in taken[1]:
            taken[0].add(place)
            taken[1].add(other)
            yield Moved(before[place], after[other])


class Count(msgspec.Struct, kw_only=True):
    """How many alarms of a monitor and model there are, and what has become of them.

    Attributes
    ----------
    later_ms
        How much later those that moved come, in the middle; `None` where none did.
    lost_true, lost_false, lost_expected
        What was said of those that are lost.
    """

    monitor: str
    model: str
    before: int = 0
    after: int = 0
    same: int = 0
    gained: int = 0
    lost: int = 0
    moved: int = 0
    later_ms: int | None = None
    lost_true: int = 0
    lost_false: int = 0
    lost_expected: int = 0


def counts(found: Differences) -> list[Count]:
    """Return what has become of the alarms of each monitor and model, by name."""
    known: dict[tuple[str, str], Count] = {}
    later: dict[tuple[str, str], list[int]] = defaultdict(list)

    def of(alarm: Alarm) -> Count:
        key = alarm.monitor, alarm.model
        return known.setdefault(key, Count(monitor=alarm.monitor, model=alarm.model))

    for one in found.same:
        of(one).same += 1
    for one in found.gained:
        of(one).gained += 1
    for one in found.lost:
        count = of(one)
        count.lost += 1
        if one.verdict is not None:
            name = f"lost_{one.verdict}"
            setattr(count, name, getattr(count, name) + 1)
    for pair in found.moved:
        of(pair.before).moved += 1
        later[pair.before.monitor, pair.before.model].append(pair.later_ms)
    for key, count in known.items():
        count.before = count.same + count.moved + count.lost
        count.after = count.same + count.moved + count.gained
        if key in later:
            count.later_ms = sorted(later[key])[len(later[key]) // 2]
    return [known[key] for key in sorted(known)]


def _order(alarm: Alarm) -> tuple[int, str, str, str]:
    return alarm.at_ms, alarm.model, alarm.monitor, alarm.alert_id
