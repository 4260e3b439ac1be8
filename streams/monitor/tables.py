"""The tables of the monitor's state: what each record says, and how it is put back.

Every record of the state topic is of one table, whose name is the first part of its key, and says
in which version of the table it was written. One of another version is left out, and the table
begins anew: what it had known is missing, and nothing else. Nothing is computed of the rest of it:
what cells lack is noted (`streams.cells.lacking`), and what begins anew is said (`restarts`). Only
what all others rest on must be of the version that is known.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec

from streams.cells.windows import KINDS as CELL_TABLES
from streams.cells.windows import PAGES
from streams.errors import StateError
from streams.formats import Format
from streams.monitor.state import MonitorState
from streams.outcomes import ClockNotice
from streams.quarantine import Quarantined
from streams.rules.ground_records import CELLS as GROUND
from streams.rules.ground_records import OPENED
from streams.rules.records import FLOORS
from streams.rules.records import KINDS as RULE_TABLES

FORMAT = Format("a state of the monitor", 7)

Key = Sequence[Any]
"""Parts of the key after the name of the table."""

Fold = Callable[[MonitorState, str, Key, Any], None]
"""Puts a record back: of a table, with its key and content; no content deletes."""


class Table(NamedTuple):
    """A table.

    Attributes
    ----------
    about
        What it knows, for people.
    of_models
        Whether its keys go on with model and version, of which alone the record is.
    essential
        Whether nothing can be understood without it.
    lose
        Takes a record of another version, of which only the key is known.
    """

    fold: Fold
    about: str
    version: int = 1
    of_models: bool = False
    essential: bool = False
    lose: Fold | None = None


# --- one function a table


def _clock(state: MonitorState, _: str, __: Key, content: Any) -> None:
    layout, state.next, state.sources, notices, *places = content
    state.watermark_ms, state.counted, state.taken = places
    state.notices = {notice[0]: ClockNotice(*notice) for notice in notices}
    state.windows.open(layout)


def _rows(state: MonitorState, _: str, key: Key, content: Any) -> None:
    if content is None:
        state.to_reread.pop(key[0], None)
    else:
        state.to_reread[int(key[0])] = int(content)


def _cells(state: MonitorState, table: str, key: Key, content: Any) -> None:
    state.restarts.families(state.windows.fold((table, *key), content, state.code))


def _lose_cells(state: MonitorState, table: str, key: Key, _: Any) -> None:
    state.windows.lose((table, *key))


def _rules(state: MonitorState, table: str, key: Key, content: Any) -> None:
    state.restarts.families(state.rules.fold((table, *key), content, state.code))


def _lose_rules(state: MonitorState, table: str, key: Key, _: Any) -> None:
    state.rules.lose((table, *key))


def _lives(state: MonitorState, _: str, key: Key, content: Any) -> None:
    if content is not None:
        state.rule_states.lives.restore(state.code((key[0], key[1])), content)


def _usual(state: MonitorState, _: str, key: Key, content: Any) -> None:
    if content is not None:
        state.rule_states.judge.usuals.restore(state.code((key[0], key[1])), content)


def _absence(state: MonitorState, _: str, __: Key, content: Any) -> None:
    for model, version, *last in content or ():
        state.rule_states.absences.restore(state.code((model, version)), last)


def _classes(state: MonitorState, _: str, key: Key, content: Any) -> None:
    if content is not None:
        state.world.classes.restore(state.code((key[0], key[1])), content)


def _shown(state: MonitorState, _: str, key: Key, content: Any) -> None:
    if content is not None:
        code = state.code((key[0], key[1]))
        state.noticed.shown[code].restore(content)
        state.noticed.settle(code)
        state.noticed.untold.add(code)
        state.judges.update(code)


def _lanes(state: MonitorState, _: str, key: Key, content: Any) -> None:
    if content is not None:
        code = state.code((key[0], key[1]))
        state.restore_lanes(key[2], (code, key[3]), content)


def _scan(state: MonitorState, _: str, key: Key, content: Any) -> None:
    state.scan.written.fold(key, content)


def _firing(state: MonitorState, _: str, key: Key, content: Any) -> None:
    if content is not None:
        state.alerts.restore(state.code((key[0], key[1])), content)


def _lose_firing(state: MonitorState, _: str, key: Key, content: Any) -> None:
    if not state.alerts.restore_foreign(state.code((key[0], key[1])), content):
        state.restarts.unreadable.add(key[0])


def _incident(state: MonitorState, _: str, key: Key, content: Any) -> None:
    state.incidents.restore(key[0], content)


def _acting(state: MonitorState, _: str, key: Key, content: Any) -> None:
    state.acting.restore(key[0], content)


def _specification(state: MonitorState, _: str, __: Key, content: Any) -> None:
    if content is not None:
        state.restore_specifications(content)


def _seen(state: MonitorState, _: str, key: Key, content: Any) -> None:
    state.silence.is_written = True
    spell_ms, models = content or (1, ())
    found = {(model, version): rest for model, version, *rest in models}
    gone = [c for c in state.silence.members(key[0]) if state.names[c] not in found]
    if gone:
        state.forget(gone)
    for name, rest in found.items():
        state.silence.restore(state.code(name), rest, spell_ms=spell_ms)


def _forget(state: MonitorState, _: str, key: Key, content: Any) -> None:
    state.forgets.restore(int(key[0]), content)


def _adopt(state: MonitorState, _: str, key: Key, content: Any) -> None:
    state.adoptions.restore(int(key[0]), content)


def _models(state: MonitorState, _: str, key: Key, content: Any) -> None:
    if content is not None:
        state.facts.restore(state.code((key[0], key[1])), content)


def _hours(state: MonitorState, _: str, __: Key, content: Any) -> None:
    if content is not None:
        state.windows.hours.restore(content)


def _baselines(state: MonitorState, _: str, key: Key, content: Any) -> None:
    passed_ms, models, *_rest = content or (-1, ())
    state.windows.baselines.restore_passed(int(key[0]), passed_ms)
    for model, version, begun_ms, source, *early_ms in models:
        code = state.code((model, version))
        other = None if source is None else state.code((source[0], source[1]))
        state.windows.baselines.restore(code, begun_ms, other, *early_ms)


def _readings(state: MonitorState, _: str, key: Key, content: Any) -> None:
    state.hosts.restore(int(key[0]), content)


def _hosts(state: MonitorState, _: str, __: Key, content: Any) -> None:
    state.hosts.newest_ms = int(content or -1)


def _fates(state: MonitorState, _: str, __: Key, content: Any) -> None:
    if content is not None:
        state.fates.restore(content, state.code)


def _quarantine(state: MonitorState, _: str, key: Key, content: Any) -> None:
    if content is not None:
        name = key[0], key[1]
        state.set_aside(state.code(name), Quarantined(*name, *content))


TABLES = {
    "clock": Table(_clock, "positions and the watermark", essential=True),
    "rows": Table(_rows, "records that are not done with", essential=True),
    "classes": Table(_classes, "names of classes", of_models=True, essential=True),
    "specification": Table(_specification, "specification that holds", essential=True),
    "quarantine": Table(_quarantine, "models that are set aside", of_models=True, essential=True),
    **dict.fromkeys(CELL_TABLES, Table(_cells, "counts of windows", lose=_lose_cells)),
    PAGES: Table(_cells, "what was published of windows", essential=True),
    **dict.fromkeys(RULE_TABLES, Table(_rules, "what rules know", lose=_lose_rules)),
    GROUND: Table(_rules, "windows that open alerts rest on", lose=_lose_rules),
    OPENED: Table(_rules, "what is known of these", of_models=True, lose=_lose_rules),
    "lives": Table(_lives, "rules that wait, or rest", of_models=True),
    "usual": Table(_usual, "what is usual of rules that learn it", of_models=True),
    "absence": Table(_absence, "when models had records last, as far as rules ask"),
    **dict.fromkeys(
        FLOORS, Table(_rules, "times from which on rules count", of_models=True, essential=True)
    ),
    "shown": Table(
        _shown, "classes and numbers that models have shown", of_models=True, essential=True
    ),
    "lanes": Table(_lanes, "drift detectors", of_models=True),
    "scan": Table(_scan, "sums of ten minutes"),
    "firing": Table(_firing, "alerts that fire", of_models=True, lose=_lose_firing),
    "incident": Table(_incident, "incidents that are open"),
    "acting": Table(_acting, "which actions rest"),
    "fates": Table(_fates, "records by model and fate"),
    "models": Table(_models, "what is told of models", of_models=True),
    "hours": Table(_hours, "how far hours were looked at"),
    "baselines": Table(_baselines, "when baselines of models began"),
    "readings": Table(_readings, "readings of hosts that wait"),
    "hosts": Table(_hosts, "how far readings of hosts have come"),
    "seen": Table(_seen, "when models had records"),
    "forget": Table(_forget, "orders to forget models", essential=True),
    "adopt": Table(_adopt, "orders to adopt levels"),
}
"""By the first part of the key."""


def written(table: str, key: Key, content: Any) -> tuple[bytes, bytes | None]:
    """Return key and value of a record; no content deletes it."""
    name = encode((table, *key))
    if content is None:
        return name, None
    return name, encode((*FORMAT.head, TABLES[table].version, content))


def fold(state: MonitorState, key: bytes, value: bytes | None) -> None:
    """Put a record back.

    Raises
    ------
    StateError
        If it is damaged, or its table is of another version and cannot be done without.
    """
    name, *place = decode(key)
    table = TABLES.get(name)
    if table is None:
        state.restarts.unknown.add(str(name))
        return
    content = None
    if value is not None:
        version, content = FORMAT.read(value)
        if version != table.version:
            _refuse_if_essential(name, version)
            if table.lose is not None:
                table.lose(state, name, place, content)
            state.restarts.parts.add(name)
            return
    table.fold(state, name, place, content)


def _refuse_if_essential(name: str, version: Any) -> None:
    table = TABLES[name]
    if table.essential:
        raise StateError(
            f"the state's {table.about} ({name}) are of version {version!r:.20}; this build reads"
            f" version {table.version}: run the build that wrote them"
        )


def is_of(key: bytes, name: tuple[str, str]) -> bool:
    """Tell whether a key is of a record of one model version alone."""
    table, *place = decode(key)
    return TABLES[table].of_models and (place[0], place[1]) == name


encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder().decode
