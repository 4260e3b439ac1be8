"""Which models have been silent for long: decided in event time, at boundaries of spells.

The time after which a model is forgotten is cut into a hundred spells, and of every model only the
spells are known in which it had rows: so what is kept changes rarely, and is the same in whatever
order the rows came. A hundred spells without a row end a model's *life*. Rows are counted as they
come, ahead of the watermark, and some may be of the next life before the watermark has passed the
end of this one: what they show of the model is kept apart until then.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streams.cells.names import grown
from streams.noticed import Noticed
from streams.outcomes import Ints
from streams.shown import Shown

SPELLS = 100
"""So many spells without a row end a life."""

_NEVER = 1 << 62
_SPELL_BITS = 40
_APART = SPELLS + 1

Name = tuple[str, str]


class Life:
    """Spells in which a model had rows, none of them a silence apart from the next.

    Attributes
    ----------
    first, last
        The first and the last of them.
    shown
        What the model has shown in it.
    """

    def __init__(self, first: int, last: int, shown: Shown) -> None:
        self.first, self.last, self.shown = first, last, shown


class Silence:
    """When the lives of the models of a partition end.

    Parameters
    ----------
    after_ms
        A model that was silent for so long is forgotten.
    noticed
        What the models have shown in their present lives.
    new_shown
        Makes what a model has shown at the beginning of a life.

    Attributes
    ----------
    later
        By model, lives after the present one, in their order.
    replaced
        Models of which what they have shown is another now.
    changed
        Buckets that are not written down as they are.
    is_written, is_settled
        Whether the state that was read back has any of this, and whether `settle` was called.
    """

    def __init__(
        self, noticed: Noticed, *, after_ms: int, new_shown: Callable[[Name], Shown]
    ) -> None:
        self.after_ms = after_ms
        self.spell_ms = -(-after_ms // SPELLS)
        self._noticed, self._new_shown = noticed, new_shown
        self._first, self._last = np.empty(0, np.int64), np.empty(0, np.int64)
        self._due = np.empty(0, np.int64)
        self._count = 0
        self._members: dict[int, dict[int, Name]] = {}
        self._bucket: dict[int, int] = {}
        self.later: dict[int, list[Life]] = {}
        self.replaced: set[int] = set()
        self.changed: set[int] = set()
        self.is_written = self.is_settled = False

    def add(self, code: int, name: Name, *, bucket: int) -> None:
        """Add a model that has no rows yet."""
        self._count = max(self._count, code + 1)
        self._first = grown(self._first, code + 1, fill=-1)
        self._last = grown(self._last, code + 1, fill=-1)
        self._due = grown(self._due, code + 1, fill=_NEVER)
        self._bucket[code] = bucket
        self._members.setdefault(bucket, {})[code] = name

    def remove(self, code: int) -> None:
        """Forget a model."""
        bucket = self._bucket.pop(code)
        del self._members[bucket][code]
        self._first[code] = self._last[code] = -1
        self._due[code] = _NEVER
        self.later.pop(code, None)
        self.replaced.discard(code)
        self.changed.add(bucket)

    def members(self, bucket: int) -> list[int]:
        """Return the models in a bucket."""
        return list(self._members.get(bucket, ()))

    # ------------------------------------------------------------------ rows
    def see(self, models: NDArray[np.integer], times_ms: Ints, *, watermark_ms: int) -> None:
        """Take into account when models have rows."""
        spells = times_ms // self.spell_ms
        news = (spells > self._last[models]) | (spells + _APART <= self._first[models])
        if not news.any():
            return
        keys = np.unique(models[news].astype(np.int64) << _SPELL_BITS | spells[news])
        oldest = watermark_ms // self.spell_ms
        for key in keys.tolist():
            self._see(key >> _SPELL_BITS, key & ((1 << _SPELL_BITS) - 1), oldest)

    def see_now(self, models: NDArray[np.integer], *, watermark_ms: int) -> None:
        """Let models of which nobody knows when they had rows have had them now."""
        unknown = np.unique(models[self._last[models] < 0])
        if watermark_ms >= 0:
            self.see(unknown, np.full(len(unknown), watermark_ms), watermark_ms=watermark_ms)

    def _see(self, code: int, spell: int, oldest: int) -> None:
        first, last = int(self._first[code]), int(self._last[code])
        if last < 0:
            self._live(code, spell, spell)
        elif spell >= self._due[code]:
            self._add_later(code, Life(spell, spell, self._new_shown(self._name(code))))
        elif spell > last:
            self._live(code, first, spell)
        elif spell + _APART <= first and spell >= oldest:
            # Rows of another partition of the join that is far behind: they are of a life before.
            self._add_later(code, Life(first, last, self._noticed.shown[code]))
            self._due[code] = 0
            self._replace(code, self._new_shown(self._name(code)))
            self._live(code, spell, spell)
        self.changed.add(self._bucket[code])

    def _live(self, code: int, first: int, last: int) -> None:
        """Let a life go on; take in later ones that begin before it ends."""
        due = max(int(self._due[code]), last + _APART)
        self._first[code], self._last[code] = first, last
        self._due[code] = last + _APART if due == _NEVER else due
        self._take_in(code)

    def _take_in(self, code: int) -> None:
        lives = self.later.get(code, [])
        while lives and lives[0].first < self._due[code]:
            life = lives.pop(0)
            self._last[code] = max(int(self._last[code]), life.last)
            self._due[code] = max(int(self._due[code]), life.last + _APART)
            self._noticed.shown[code].absorb(life.shown)
            self.replaced.add(code)
        if not lives:
            self.later.pop(code, None)

    def _add_later(self, code: int, life: Life) -> None:
        kept = []
        for other in self.later.get(code, []):
            if life.first < other.last + _APART and other.first < life.last + _APART:
                life.first = min(life.first, other.first)
                life.last = max(life.last, other.last)
                life.shown.absorb(other.shown)
            else:
                kept.append(other)
        self.later[code] = sorted([*kept, life], key=lambda one: one.first)

    def are_later(self, models: NDArray[np.integer], times_ms: Ints) -> NDArray[np.bool_] | None:
        """Tell which rows are of later lives; `None` for none."""
        if not self.later:
            return None
        found: NDArray[np.bool_] = times_ms // self.spell_ms >= self._due[models]
        return found if found.any() else None

    def lives(
        self, models: NDArray[np.integer], times_ms: Ints, later: NDArray[np.bool_]
    ) -> Iterator[tuple[Shown, NDArray[np.bool_]]]:
        """Yield what models have shown in later lives, and which rows are of these."""
        spells = times_ms // self.spell_ms
        for code in np.unique(models[later]).tolist():
            self.changed.add(self._bucket[code])
            for life in self.later[code]:
                own = later & (models == code) & (spells >= life.first) & (spells <= life.last)
                if own.any():
                    yield life.shown, own

    def _name(self, code: int) -> Name:
        return self._members[self._bucket[code]][code]

    def _replace(self, code: int, shown: Shown) -> None:
        self._noticed.put(code, shown)
        self.replaced.add(code)

    # ------------------------------------------------------------------ boundaries
    @property
    def next_ms(self) -> int:
        """When the next life ends, unless there are more rows."""
        return int(self._due[: self._count].min(initial=_NEVER)) * self.spell_ms

    def due(self, until_ms: int) -> list[int]:
        """Return the models whose life ends by a time."""
        found: list[int] = np.flatnonzero(
            self._due[: self._count] <= until_ms // self.spell_ms
        ).tolist()
        return found

    def put_off(self, code: int, until_ms: int) -> None:
        """Look at a model again at the next boundary; what has come until then is of this life."""
        self._due[code] = until_ms // self.spell_ms + 1
        self._take_in(code)

    def keep(self, code: int) -> None:
        """Let a life go on until there are more rows, however long that takes."""
        lives = self.later.get(code)
        self._due[code] = lives[0].first + 1 if lives else _NEVER
        self._take_in(code)

    def begin_next(self, code: int) -> bool:
        """Let the next life of a model begin, if it has one; tell if it has."""
        lives = self.later.get(code)
        if not lives:
            return False
        life = lives.pop(0)
        self._first[code], self._last[code] = life.first, life.last
        self._due[code] = life.last + _APART
        self._replace(code, life.shown)
        self._take_in(code)
        self.changed.add(self._bucket[code])
        return True

    def unseen(self) -> list[int]:
        """Return models of which no rows are known."""
        return [code for code in sorted(self._bucket) if self._last[code] < 0]

    def settle(self, watermark_ms: int) -> list[int]:
        """After the state was read back, return models of which only remains are left."""
        unknown = self.unseen()
        if self.is_written:
            # A model that an alert had kept is looked at again at the next boundary.
            codes = np.array(sorted(self._bucket), np.int64)
            known = codes[self._last[codes] >= 0]
            next_spell = -(-max(watermark_ms, 0) // self.spell_ms)
            self._due[known] = np.maximum(self._due[known], next_spell)
            for code in list(self.later):
                self._take_in(code)
            return unknown
        self.see_now(np.array(unknown, np.int64), watermark_ms=watermark_ms)
        return []

    # ------------------------------------------------------------------ written down
    def changes(self) -> Iterator[tuple[int, list[Any] | None]]:
        """Yield every changed bucket and what is in it, once."""
        for bucket in sorted(self.changed):
            content = [
                [*name, int(self._first[code]), int(self._last[code]), self._pack_later(code)]
                for code, name in self._members.get(bucket, {}).items()
                if self._last[code] >= 0
            ]
            yield bucket, [self.spell_ms, content] if content else None
        self.changed.clear()

    def _pack_later(self, code: int) -> list[Any]:
        return [[one.first, one.last, one.shown.pack()] for one in self.later.get(code, ())]

    def restore(self, code: int, packed: Sequence[Any], *, spell_ms: int) -> None:
        """Put back what is known of a model; spells may have been of another length."""
        first, last, later = packed
        self.later.pop(code, None)
        self._first[code] = self._spell(first, spell_ms)
        self._last[code] = self._spell(last + 1, spell_ms, before=1)
        self._due[code] = self._last[code] + _APART
        for start, end, content in later:
            shown = self._new_shown(self._name(code))
            shown.restore(content)
            span = self._spell(start, spell_ms), self._spell(end + 1, spell_ms, before=1)
            self._add_later(code, Life(*span, shown))
        self._take_in(code)

    def _spell(self, spell: int, spell_ms: int, *, before: int = 0) -> int:
        return (spell * spell_ms - before) // self.spell_ms
