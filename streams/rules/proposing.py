"""Propose the limit of a rule for a wanted number of alarms, from what it looked at.

What a rule has looked at in a recording does not depend on its limit: with another one, the same
looks say when it would have fired. Limits are tried from the one that no look is beyond.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from streams.errors import ConfigError
from streams.metric_ranges import check_clear, check_limit
from streams.monitors import Threshold
from streams.rule_kinds import BY_NAME, Bounds
from streams.rules.findings import Heard
from streams.rules.limits import BEYOND, Edges, Readings, bounds_of, levels, that_matter
from streams.rules.lives import Lives, Looks
from streams.rules.metrics import Asked

Floats = NDArray[np.float64]

_EACH, _STEP = 50, 1.1
_DIGITS = range(2, 7)


class Listened(NamedTuple):
    """All looks at a rule; models rise, and so do the times of each."""

    rule: Threshold
    looks: Looks
    readings: Readings
    reference: Floats
    asked: Asked

    @property
    def span_ms(self) -> int:
        """From the first look to the last."""
        return int(np.ptp(self.looks.times_ms))


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """A limit, and how many alarms it would have raised.

    Attributes
    ----------
    key, given, proposed
        Which number of the rule it is, what it is, and what it had better be.
    wanted, before, alarms
        How many alarms were wanted, how many the rule has raised, and how many it would have.
    span_ms
        How long it was judged.
    """

    monitor: str
    key: str
    given: float
    proposed: float
    wanted: int
    before: int
    alarms: int
    span_ms: int


def listened(heard: Sequence[Heard]) -> Listened | None:
    """Put looks together; `None` if there were none."""
    if not heard:
        return None
    looks = Looks(*(np.concatenate(part) for part in zip(*(h.looks for h in heard), strict=True)))
    parts = zip(*(one.readings for one in heard), strict=True)
    readings = Readings(*map(np.concatenate, parts))
    reference = np.concatenate([one.reference for one in heard])
    order = np.lexsort((looks.times_ms, looks.models))
    rule, *_, asked = heard[0]
    return Listened(rule, looks.only(order), readings.only(order), reference[order], asked)


def alarms_with(given: float, of: Listened) -> int:
    """Return how many alarms a rule would have raised with another number."""
    rule = msgspec.structs.replace(of.rule, given=given)
    bounds = (bounds_of(rule, of.reference, back=back) for back in (False, True))
    outer, inner = (Bounds(*map(of.asked.as_published, one)) for one in bounds)
    said = levels(rule.by, of.readings, Edges(outer, inner, of.asked.range))
    said = that_matter(rule, said, of.readings.value, of.reference)
    looks = of.looks._replace(levels=said)
    turns = Lives().turns(rule, looks, is_firing=lambda *_: False)
    return int(np.count_nonzero(said[turns] == BEYOND))


def propose(of: Listened, *, wanted: int) -> Proposal | None:
    """Return the most sensitive limit with no more alarms than are wanted.

    Returns
    -------
    Proposal or None
        `None` where no number that a file may give raises so few, or the kind of the rule does not
        say which number makes a value its limit.
    """
    edges = _edges(of)
    found, bad = None, len(edges)
    for place in _places(len(edges)):
        if alarms_with(edges[place], of) > wanted:
            bad = place
            break
        found = place
    if found is None:
        return None
    # Between the last that was tried with success and the first without.
    steps = np.unique(np.linspace(found, bad, _EACH + 2).astype(int)).tolist()
    for place in steps[1:-1]:
        if alarms_with(edges[place], of) > wanted:
            break
        found = place
    proposed, alarms = _rounded(edges[found], of)
    return Proposal(
        monitor=of.rule.name,
        key=of.rule.kind,
        given=of.rule.given,
        proposed=proposed,
        wanted=wanted,
        before=alarms_with(of.rule.given, of),
        alarms=alarms,
        span_ms=of.span_ms,
    )


def _edges(of: Listened) -> list[float]:
    """Return the numbers with which a look is just not beyond; those that few are beyond first."""
    kind, falling = BY_NAME[of.rule.kind], of.rule.falling
    ends = of.readings.value
    if of.rule.by == "interval":
        end = of.readings.high if falling else of.readings.low
        ends = np.where(np.isnan(of.readings.low) | np.isnan(of.readings.high), ends, end)
    edges = kind.given_at(ends, of.reference)
    edges = np.unique(edges[np.isfinite(edges)])
    if not len(edges):
        return []
    least, most = (kind.bounds(edge, np.ones(1)) for edge in (edges[0], edges[-1]))
    if least.lowest > most.lowest or least.highest < most.highest:
        edges = edges[::-1]
    return [edge for edge in edges.tolist() if _may(edge, of.rule)]


def _may(given: float, rule: Threshold) -> bool:
    """Tell whether a monitors file may give a rule this number."""
    kind = BY_NAME[rule.kind]
    try:
        msgspec.convert(given, kind.given)
        check_limit(rule.metric, kind, given, where="")
        if rule.clear is not None:
            check_clear(rule.metric, kind, (given, rule.clear), where="")
    except (msgspec.ValidationError, ConfigError):
        return False
    return True


def _places(count: int) -> Iterator[int]:
    """Yield places to try, each of the first ones, and the fewer the further."""
    place = 0
    while place < count:
        yield place
        place = max(place + 1, int(place * _STEP)) if place >= _EACH else place + 1


def _rounded(given: float, of: Listened) -> tuple[float, int]:
    """Return a number with as few digits as make no difference, and its alarms."""
    alarms = alarms_with(given, of)
    for digits in _DIGITS:
        short = float(f"{given:.{digits}g}")
        if _may(short, of.rule) and alarms_with(short, of) == alarms:
            return short, alarms
    return given, alarms
