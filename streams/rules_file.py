"""Rules as `monitors.yaml` has them, and what is refused in one."""

import fnmatch
from collections.abc import Mapping
from typing import Any

import msgspec

from streams import families, rule_kinds
from streams.durations import parse_duration_ms
from streams.errors import ConfigError
from streams.families.family import Part
from streams.file_values import entry
from streams.metric_ranges import check_clear, check_effect, check_limit, check_metric, of_hosts
from streams.monitors import Monitor, Positive, Threshold
from streams.rule_kinds import OTHER_KINDS, Absence, Composite, Learnt, Slo
from streams.rule_kinds.outside_season import HOUR_MS
from streams.task import Task

_MINIMUM = next(f.default for f in msgspec.structs.fields(Threshold) if f.name == "minimum")


_SPANS = {"hold": "hold_ms", "cooldown": "cooldown_ms"}
_OTHERWISE = {"kind", "given", "short", "slo", *_SPANS.values()}
_KEYS = {"hold": "for"}
"""How a file writes what Python has a word of its own for."""


def threshold_type() -> type[Any]:
    """Return how a rule is written: with a key for every kind of rules, of which it has one."""
    fields = [
        (one.name, one.type) if one.required else (one.name, one.type, one.default)
        for one in msgspec.structs.fields(Threshold)
        if one.name not in ("minimum", *_OTHERWISE)
    ]
    fields.append(("minimum", Positive | msgspec.UnsetType, msgspec.UNSET))
    fields += [(name, str | None, None) for name in _SPANS]
    kinds = [(kind.name, kind.given | None, None) for kind in rule_kinds.BY_NAME.values()]
    return msgspec.defstruct(
        "_Threshold",
        [*fields, *kinds],
        kw_only=True,
        forbid_unknown_fields=True,
        rename=_KEYS,
    )


def read_rules(given: list[Any], models: Mapping[str, Task]) -> list[Monitor]:
    """Return what the rules of a file say.

    Raises
    ------
    ConfigError
        Naming the rule, or its place where it has no name.
    """
    usual = threshold_type()
    places = enumerate(given, start=1)
    return [rule for place, one in places for rule in _rule(place, one, usual, models)]


def _rule(
    place: int, given: Any, usual: type[Any], models: Mapping[str, Task]
) -> list[Threshold] | list[Absence | Composite]:
    for kind in OTHER_KINDS:
        if isinstance(given, dict) and not given.keys().isdisjoint(kind.keys):
            _check_keys(place, given, kind, usual)
            found = entry("threshold", place, given, kind)
            where = f"threshold {found.name!r}"
            found.check(where)
            return _of_slo(found, where, models) if isinstance(found, Slo) else [found]
    return [_threshold(entry("threshold", place, given, usual), models)]


def _check_keys(
    place: int,
    given: Mapping[Any, Any],
    kind: type[Absence] | type[Composite] | type[Slo],
    usual: type[Any],
) -> None:
    """Refuse what rules with a limit may say, and this kind may not: it is no misspelt key."""
    known, others = (
        {field.encode_name for field in msgspec.structs.fields(one)} for one in (kind, usual)
    )
    for key in given:
        if key in others - known:
            kinds = ", ".join(rule_kinds.BY_NAME)
            own = next(name for name in kind.keys if name in given)
            said = (
                "; absent_for itself says for how long" if kind is Absence and key == "for" else ""
            )
            raise ConfigError(
                f"threshold {given.get('name', place)!r}: no such key {key!r} beside {own}: it is"
                f" of rules with a limit ({kinds}); leave it out{said}"
            )


def _of_slo(slo: Slo, where: str, models: Mapping[str, Task]) -> list[Threshold]:
    """Return a rule for every burn rate of an objective; they are named after its windows."""
    told = slo.slo
    kind = models[slo.model].kind if slo.model in models else "auto"
    check_metric(told.metric, task=kind, where=f"{where}: slo")
    _check_segment(told.metric, slo.segment, f"{where}: slo")
    about = families.CATALOGUE.metric(told.metric)
    assert about is not None
    if about.better not in ("higher", "lower") or (about.lowest, about.highest) != (0.0, 1.0):
        raise ConfigError(
            f"{where}: slo: metric: {told.metric!r} is no share that is good or bad: take one such"
            " as accuracy or error_rate"
        )
    rises = about.better == "lower"
    return [
        Threshold(
            name=f"{slo.name}/{burn.name}",
            metric=told.metric,
            model=slo.model,
            version=slo.version,
            segment=slo.segment,
            kind="above" if rises else "below",
            given=burn.rate * slo.budget if rises else 1.0 - burn.rate * slo.budget,
            window=burn.window,
            short=burn.short,
            minimum=told.minimum,
            minimum_coverage=told.minimum_coverage,
            severity=slo.severity if burn.fast else "warning",
            notify=slo.notify,
            then=slo.then,
            slo=slo,
        )
        for burn in slo.burns()
    ]


def _threshold(threshold: Any, models: Mapping[str, Task]) -> Threshold:
    where = f"threshold {threshold.name!r}"
    kind = models[threshold.model].kind if threshold.model in models else "auto"
    check_metric(threshold.metric, task=kind, where=where)
    if threshold.segment and "=" not in threshold.segment:
        raise ConfigError(f"{where}: segment: {threshold.segment!r} is no name=value")
    given = {
        name: limit
        for name in rule_kinds.BY_NAME
        if (limit := getattr(threshold, name)) is not None
    }
    if len(given) != 1:
        said = f"has {' and '.join(given)}" if given else "has no limit"
        names = ", ".join(rule_kinds.BY_NAME)
        raise ConfigError(f"{where}: {said}; give exactly one of {names}")
    [(name, limit)] = given.items()
    check_limit(threshold.metric, rule_kinds.BY_NAME[name], limit, where=where)
    if threshold.clear is not None:
        limits = limit, threshold.clear
        check_clear(threshold.metric, rule_kinds.BY_NAME[name], limits, where=where)
    if threshold.minimum_effect is not None:
        check_effect(
            threshold.metric, rule_kinds.BY_NAME[name], threshold.minimum_effect, where=where
        )
    window_ms = None
    if threshold.window is not None:
        window_ms = parse_duration_ms(threshold.window, setting=f"{where}: window")
    _check_learnt(threshold, name, limit, window_ms, where)
    common = {
        one.name: getattr(threshold, one.name)
        for one in msgspec.structs.fields(Threshold)
        if one.name not in _OTHERWISE
    }
    for key, field in _SPANS.items():
        if (span := getattr(threshold, key)) is not None:
            setting = f"{where}: {_KEYS.get(key, key)}"
            common[field] = parse_duration_ms(span, setting=setting)
    _check_segment(threshold.metric, threshold.segment, where)
    if of_hosts(threshold.metric):
        _check_of_hosts(threshold, where)
    if common["minimum"] is msgspec.UNSET:
        # A window has as many readings as somebody has asked for, and one is as good as many.
        common["minimum"] = 1 if of_hosts(threshold.metric) else _MINIMUM
    return Threshold(**common, kind=name, given=limit)


def _check_learnt(
    threshold: Any, name: str, limit: float, window_ms: int | None, where: str
) -> None:
    """Refuse what a kind that goes by earlier windows cannot learn."""
    kind = rule_kinds.BY_NAME[name]
    about = families.CATALOGUE.metric(threshold.metric)
    assert about is not None
    if not isinstance(kind, Learnt):
        return
    if about.compares:
        raise ConfigError(
            f"{where}: {name}: {about.name} compares windows with a baseline already; give a number"
        )
    length_ms = HOUR_MS if window_ms is None and about.counts else window_ms
    if (why := kind.refuse(limit, length_ms)) is not None:
        raise ConfigError(f"{where}: {name}: {limit:g} {why}")


def _check_segment(metric: str, segment: str, where: str) -> None:
    """Refuse a segment beside a metric that compares all segments of a key."""
    about = families.CATALOGUE.metric(metric)
    if about is not None and about.part is Part.KEY and segment:
        raise ConfigError(
            f"{where}: segment: {segment!r}: {metric} compares all segments of a key; leave it out"
        )


def _check_of_hosts(threshold: Any, where: str) -> None:
    """Refuse what a reading of a host never has."""
    if threshold.segment:
        raise ConfigError(
            f"{where}: segment: {threshold.segment!r}: {threshold.metric} is of hosts, which are in"
            " no segment; leave it out"
        )
    if not fnmatch.fnmatchcase("", threshold.version):
        raise ConfigError(
            f"{where}: version: {threshold.version!r}: {threshold.metric} is of hosts, which have"
            " no version; leave it out"
        )
