"""Which models there are: read from records of the monitor's state alone, without counting."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from streams.cells.baselines import EARLY
from streams.cells.comparing import NEVER_MS
from streams.cells.levels import BASELINES
from streams.cells.records import rows_of
from streams.durations import format_duration
from streams.errors import StateError
from streams.monitor.tables import FORMAT, TABLES, decode

_BEFORE_EPOCH = 1 << 30
_READ = frozenset({"clock", "seen", "shown", "page", "baselines", "predictions"})


class KnownModel(msgspec.Struct, frozen=True):
    """A model version that workers know.

    Attributes
    ----------
    task
        What it is judged to be; empty until it has had labels.
    last_seen_ms
        When its newest window begins; of who has no window left, within a hundredth of the time
        after which silent models are forgotten. -1 if nobody knows.
    baseline_since_ms
        When its baseline begins; -1 before that.
    inherits
        Version whose baseline it goes by until it has its own; `None` for none.
    compared_with
        What its windows are compared with now; empty for nothing.
    baseline_rows
        How many rows that has, where it is the beginning of a version.
    """

    model: str
    version: str
    task: str
    last_seen_ms: int
    baseline_since_ms: int = -1
    inherits: str | None = None
    compared_with: str = ""
    baseline_rows: int = 0


class _Begun(NamedTuple):
    """What is known of the baselines of a model version."""

    begun_ms: int
    source: str | None
    early_ms: int
    passed_ms: int
    spans_ms: Sequence[int]
    said: str

    @property
    def longest(self) -> tuple[int, str] | None:
        """Number of the longest that is complete, and what it is, for people."""
        found = None
        if self.early_ms <= self.passed_ms:
            found = EARLY, "first rows"
        for number, span_ms in enumerate(self.spans_ms):
            if self.begun_ms + span_ms <= self.passed_ms:
                found = BASELINES.first + number, f"first {format_duration(span_ms)}"
        return found


class KnownModels:
    """Folds records of the state, in their order in each partition."""

    def __init__(self) -> None:
        self._panes_ms: dict[int, int] = {}
        self._last_ms: dict[tuple[int, int], dict[tuple[str, str], int]] = {}
        self._told: dict[tuple[str, str], str] = {}
        self._pages: dict[tuple[Any, ...], list[tuple[str, str]]] = {}
        self._begun: dict[tuple[int, int], dict[tuple[str, str], _Begun]] = {}
        self._rows: dict[tuple[Any, ...], dict[tuple[str, str], int]] = {}

    def fold(self, partition: int, key: bytes | None, value: bytes | None) -> None:
        """Fold a record.

        Raises
        ------
        StateError
            If it is none of this build.
        """
        if key is None:
            raise StateError("the monitor's state topic has a record without a key")
        name, *place = decode(key)
        if name not in _READ:
            return
        content = None
        if value is not None:
            version, content = FORMAT.read(value)
            if version != TABLES[name].version:
                return
        getattr(self, f"_{name}")(partition, place, content)

    def _clock(self, partition: int, _: Sequence[Any], content: Any) -> None:
        if content is not None:
            self._panes_ms[partition] = content[0][0]

    def _seen(self, partition: int, place: Sequence[Any], content: Any) -> None:
        spell_ms, models = content or (1, ())
        last_ms = {(model, version): last * spell_ms for model, version, _, last, _ in models}
        self._last_ms[partition, place[0]] = last_ms

    def _shown(self, _: int, place: Sequence[Any], content: Any) -> None:
        self._told.pop((place[0], place[1]), None)
        if content is not None:
            self._told[place[0], place[1]] = content[1]

    def _baselines(self, partition: int, place: Sequence[Any], content: Any) -> None:
        passed_ms, models, *rest = content or (-1, ())
        spans_ms, said = rest or ((), {})
        self._begun[partition, place[0]] = {
            (model, version): _Begun(
                begun_ms,
                None if source is None else source[1],
                early_ms[0] if early_ms else NEVER_MS,
                passed_ms,
                spans_ms,
                said.get(model, ""),
            )
            for model, version, begun_ms, source, *early_ms in models
        }

    def _predictions(self, partition: int, place: Sequence[Any], content: Any) -> None:
        """Take rows of baselines from their cells."""
        if not BASELINES.first <= place[0] <= EARLY:
            return
        self._rows.pop((partition, *place), None)
        if content is not None:
            self._rows[partition, *place] = rows_of(content)

    def _page(self, partition: int, place: Sequence[Any], content: Any) -> None:
        self._pages.pop((partition, *place), None)
        if content is not None:
            self._pages[partition, *place] = [(model, version) for model, version in content[0]]

    def models(self) -> list[KnownModel]:
        """Return the models, by name."""
        last_ms = {name: ms for found in self._last_ms.values() for name, ms in found.items()}
        last_ms |= dict.fromkeys(self._told.keys() - last_ms.keys(), -1)
        for (partition, _, _, number, *_), names in self._pages.items():
            start_ms = (number - _BEFORE_EPOCH) * self._panes_ms.get(partition, 0)
            for name in names:
                if name in last_ms:
                    last_ms[name] = max(last_ms[name], start_ms)
        begun = {name: one for found in self._begun.values() for name, one in found.items()}
        found = []
        for name in sorted(last_ms):
            since_ms, inherits, text, rows = self._compared(name, begun)
            told = task_of(self._told.get(name, ""))
            found.append(KnownModel(*name, told, last_ms[name], since_ms, inherits, text, rows))
        return found

    def _compared(
        self, name: tuple[str, str], begun: Mapping[tuple[str, str], _Begun]
    ) -> tuple[int, str | None, str, int]:
        """Return since when a baseline is, whose, what windows are compared with, and its rows."""
        own = begun.get(name)
        if own is None:
            return -1, None, "", 0
        if own.said:
            return own.begun_ms, own.source, own.said, 0
        found, whose = own.longest, name
        if found is None and own.source is not None:
            whose = name[0], own.source
            found = begun[whose].longest if whose in begun else None
        if found is None:
            return own.begun_ms, own.source, "", 0
        number, text = found
        rows = sum(known.get(whose, 0) for (_, at, *_), known in self._rows.items() if at == number)
        text = text if whose == name else f"{text} of version {whose[1]}"
        return own.begun_ms, own.source, text, rows


def task_of(told: str) -> str:
    """Return the kind in what was said of a model.

    Examples
    --------
    >>> task_of("multiclass of words: 1"), task_of("binary: fraud"), task_of("")
    ('multiclass', 'binary', '')
    """
    return told.partition(":")[0].partition(" ")[0]
