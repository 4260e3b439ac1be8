"""`driftline tune`: what alarms other monitors would raise over recorded events.

Both are replayed over the same events; what is printed is the difference of the two.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from agents.exits import EXIT_ALARMS_DIFFER, EXIT_NOTHING_USABLE
from agents.recordings import Recordings
from agents.replay import load_monitors, play
from agents.settings import Settings
from agents.tuning_shown import show
from streams.alarms import Alarm, Count, Differences, alarms, counts, differences
from streams.dryrun import DryRun
from streams.durations import format_duration
from streams.errors import ConfigError
from streams.join import Join
from streams.monitor import Monitor
from streams.monitors import DEFAULTS, Monitors, Threshold
from streams.nearest import nearest
from streams.rules.findings import Heard
from streams.rules.lives import Looks
from streams.rules.proposing import Proposal, listened, propose
from streams.verdicts import Said

MONTH_MS = 30 * 86_400_000


class Limits(NamedTuple):
    """When a difference is too large; `None` for never.

    Attributes
    ----------
    fails_on
        Keys of `CHANGES` of which there must be none.
    """

    fails_on: frozenset[str] = frozenset()
    most_gained: int | None = None
    most_lost: int | None = None


CHANGES: Mapping[str, Callable[[Differences], int]] = {
    "gained": lambda found: len(found.gained),
    "lost": lambda found: len(found.lost),
    "moved": lambda found: len(found.moved),
    "changed": lambda found: len(found.gained) + len(found.lost) + len(found.moved),
    "lost-true": lambda found: sum(one.verdict == "true" for one in found.lost),
}
"""What may be too much: the name of it for ``--fail-on``, and how much of it there is."""


class Wish(NamedTuple):
    """A rule, and how many alarms a month it is to raise."""

    monitor: str
    alarms: int


class Tuned(NamedTuple):
    """What was found.

    Attributes
    ----------
    before, after
        How many alarms there are.
    broken
        What is more than allowed, in words.
    unknown
        How many verdicts are on no alarm of either.
    """

    before: int
    after: int
    found: Differences
    counts: list[Count]
    broken: list[str]
    judged: int
    unknown: int
    proposal: Proposal | None

    def plain(self) -> dict[str, Any]:
        """Return all of it as plain values."""
        moved = [
            {"before": _plain(one.before), "after": _plain(one.after), "later_ms": one.later_ms}
            for one in self.found.moved
        ]
        return {
            "before": self.before,
            "after": self.after,
            "same": len(self.found.same),
            "monitors": msgspec.to_builtins(self.counts),
            "gained": list(map(_plain, self.found.gained)),
            "lost": list(map(_plain, self.found.lost)),
            "moved": moved,
            "verdicts": {"alarms": self.judged, "unknown": self.unknown},
            "proposal": None if self.proposal is None else msgspec.to_builtins(self.proposal),
            "failed": self.broken,
        }


def _plain(one: Alarm) -> Any:
    return msgspec.to_builtins(one)


def run_tune(
    files: list[Path],
    *,
    against: Path | None,
    verdicts: Mapping[str, Said],
    within_ms: int,
    limits: Limits,
    wish: Wish | None,
    columns: str | None,
    missing: Sequence[str],
    settings: Settings,
    json_output: bool,
) -> int:
    """Replay with both monitors, print what differs, and return the exit code.

    Parameters
    ----------
    against
        The monitors file before; `None` for the default monitors.
    verdicts
        What was said of alerts, by their id.
    within_ms
        See `streams.alarms.differences`.
    wish
        Of which rule to propose a limit.

    Raises
    ------
    ConfigError
        If one of the files, or the rule, cannot be used.
    """
    old, new = load_monitors(against), load_monitors(settings.monitors)
    if wish is not None:
        _check_wish(wish, DEFAULTS if new is None else new)
    before, _, usable = _replayed(files, old, columns, missing, settings)
    after, heard, _ = _replayed(
        files, new, columns, missing, settings, rule=None if wish is None else wish.monitor
    )
    were, are = alarms(before, verdicts), alarms(after, verdicts)
    found = differences(were, are, within_ms=within_ms)
    known = {one.alert_id for one in (*were, *are)}
    tuned = Tuned(
        len(were),
        len(are),
        found,
        counts(found),
        broken(found, limits),
        len(known & verdicts.keys()),
        len(verdicts.keys() - known),
        None if wish is None else _proposal(heard, wish),
    )
    if json_output:
        print(json.dumps(tuned.plain()))
    else:
        show(tuned)
    if not usable:
        return EXIT_NOTHING_USABLE
    return EXIT_ALARMS_DIFFER if tuned.broken else 0


def broken(found: Differences, limits: Limits) -> list[str]:
    """Say what there is more of than allowed."""
    most = dict.fromkeys(limits.fails_on, 0)
    for name, limit in (("gained", limits.most_gained), ("lost", limits.most_lost)):
        if limit is not None and name not in most:
            most[name] = limit
    amounts = {name: CHANGES[name](found) for name in CHANGES if name in most}
    return [
        f"{amount} {name}, and at most {most[name]} may be"
        for name, amount in amounts.items()
        if amount > most[name]
    ]


class _Listening(DryRun):
    """A run in memory that notes what one rule looks at, if any is named."""

    def __init__(
        self, join: Join, monitor: Monitor, *, partitions: int, rule: str | None = None
    ) -> None:
        super().__init__(join, monitor, partitions=partitions)
        self.heard: list[Heard] = []
        self._rule, self._numbers = rule, dict[tuple[str, str], int]()
        if rule is not None:
            for state in self.monitor_states:
                state.rule_states.judge.heard = self._hear

    def _hear(self, one: Heard) -> None:
        if one.rule.name == self._rule:
            # A code is given to another model once its model is forgotten.
            names = self.monitor_states[0].names
            models = one.looks.models.copy()
            for place, code in enumerate(one.looks.models.tolist()):
                number = self._numbers.setdefault(names[code], len(self._numbers))
                models[place] = number
            self.heard.append(one._replace(looks=Looks(models, *one.looks[1:])))


def _replayed(
    files: list[Path],
    monitors: Monitors | None,
    columns: str | None,
    missing: Sequence[str],
    settings: Settings,
    *,
    rule: str | None = None,
) -> tuple[list[dict[str, Any]], list[Heard], bool]:
    """Return the alerts of a replay, what a rule looked at, and whether anything could be used."""

    def kind(join: Join, monitor: Monitor, *, partitions: int) -> _Listening:
        return _Listening(join, monitor, partitions=partitions, rule=rule)

    limits = settings.limits
    run, letters, survey = play(
        Recordings(files, columns, missing=missing, line_bytes=limits.record_bytes),
        kind,
        monitors=monitors,
        window_ms=settings.window_ms,
        horizon_ms=settings.horizon_ms,
        partitions=1,
        disorder_ms=None,
        limits=limits,
        forget_ms=settings.forget_ms,
        caps=settings.caps,
    )
    usable = survey.lines != run.fates()["dead_letter"] + letters.refused or not survey.lines
    return [json.loads(alert) for alert in run.alerts], run.heard, usable


def _check_wish(wish: Wish, monitors: Monitors) -> None:
    every = {one.name: one for one in monitors.every()}
    if wish.monitor not in every:
        known = nearest(wish.monitor, every)
        raise ConfigError(f"--propose: {wish.monitor!r} is no monitor of --monitors{known}")
    rule = every[wish.monitor]
    if not isinstance(rule, Threshold) or rule.slo is not None:
        raise ConfigError(
            f"--propose: {wish.monitor!r} has no limit of its own: name a rule that holds a metric"
            " against a number"
        )


def _proposal(heard: Sequence[Heard], wish: Wish) -> Proposal:
    of = listened(heard)
    if of is None:
        raise ConfigError(
            f"--propose: {wish.monitor!r} was never judged: the recording has no window of its"
            " metric that is large enough (minimum) and complete"
        )
    wanted = wish.alarms * of.span_ms // MONTH_MS
    found = propose(of, wanted=wanted)
    if found is None:
        raise ConfigError(
            f"--propose: no limit of {wish.monitor!r} raises {wanted} or fewer alarms in the"
            f" {format_duration(of.span_ms)} of the recording in which it was judged"
        )
    return found
