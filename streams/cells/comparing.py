"""Which cells windows are compared with, where something else is said than how a model began.

What is said holds for windows that begin from a moment on, a boundary of panes; so it may change
while older windows are still revised. Profiles are cells of no model, with numbers of their own.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.cells.levels import BASELINES
from streams.cells.prediction_cells import PredictionCells
from streams.cells.profiling import forget_part, put_part
from streams.comparisons import Comparison, OfProfile, Own, compared_with
from streams.profiles import Profile

Ints = NDArray[np.int64]
Name = tuple[str, str]

NEVER_MS = 1 << 62
_FIRST_PROFILE = BASELINES.first + (1 << 18)


class Said(NamedTuple):
    """What is said of models, by names and patterns, of windows that begin from a moment on."""

    from_ms: int
    every: Mapping[str, Comparison]


class Span(NamedTuple):
    """What is said of one model, of windows that begin in a span of time."""

    from_ms: int
    until_ms: int
    found: Comparison


class Panes(NamedTuple):
    """With what windows are compared: of every pane, whose it is and its number; -1: with none."""

    whose: Ints
    numbers: Ints


class Comparing:
    """What is said of all models of a partition.

    Parameters
    ----------
    side
        Cells of predictions, among which are those of profiles.
    names
        Of models and versions, by code; the list grows.
    """

    def __init__(self, side: PredictionCells, names: Sequence[Name]) -> None:
        self._side, self._names = side, names
        self._said: Sequence[Said] = ()
        self._spans: dict[int, tuple[Span, ...]] = {}
        self._profiles: list[tuple[Profile, dict[str, int]]] = []
        self._next = _FIRST_PROFILE

    def __bool__(self) -> bool:
        return any(one.every for one in self._said)

    def say(self, said: Sequence[Said]) -> list[int]:
        """Go by what is said now; return the models of which that is something else.

        Parameters
        ----------
        said
            Of all times at which a window may begin that is still published, rising.
        """
        codes = range(len(self._names))
        before = [self.spans(code) for code in codes] if self else []
        self._said, self._spans = list(said), {}
        self._take_profiles()
        if not self and not before:
            return []
        now = [self.spans(code) for code in codes]
        return [code for code in codes if now[code] != (before[code] if before else ())]

    def forget(self, codes: Collection[int]) -> None:
        """Forget what was found of models, whose codes others may get."""
        for code in codes:
            self._spans.pop(code, None)

    def spans(self, code: int) -> tuple[Span, ...]:
        """Return what is said of a model, where it is not how it began."""
        found = self._spans.get(code)
        if found is None:
            found = self._spans[code] = self._found(self._names[code][0])
        return found

    def _found(self, model: str) -> tuple[Span, ...]:
        spans = []
        for one, after in zip(self._said, [*self._said[1:], None], strict=True):
            found = compared_with(one.every, model)
            if found is not None and not isinstance(found, Own):
                until_ms = NEVER_MS if after is None else after.from_ms
                spans.append(Span(one.from_ms, until_ms, found))
        return tuple(spans)

    # ------------------------------------------------------------------ profiles
    def _take_profiles(self) -> None:
        """Make cells of profiles that are new, and forget those of others."""
        wanted: list[Profile] = []
        for one in self._said:
            for found in one.every.values():
                if isinstance(found, OfProfile) and found.profile not in wanted:
                    wanted.append(found.profile)
        known = self._profiles
        self._profiles = [(one, self._numbers(one) or self._put(one)) for one in wanted]
        for profile, numbers in known:
            if profile not in wanted:
                for number in numbers.values():
                    forget_part(self._side, number=number)

    def _numbers(self, profile: Profile) -> dict[str, int]:
        return next((numbers for one, numbers in self._profiles if one == profile), {})

    def _put(self, profile: Profile) -> dict[str, int]:
        numbers = {}
        for part in profile.segments:
            put_part(self._side, part, number=self._next)
            numbers[part.segment] = self._next
            self._next += 1
        return numbers

    # ------------------------------------------------------------------ reading
    def put(self, panes: Panes, subjects: Ints, starts_ms: Ints) -> None:
        """Let windows be compared with what is said of their models, instead of `panes`."""
        models = self._side.world.subjects.models[subjects]
        for code in np.unique(models).tolist():
            for span in self.spans(code):
                inside = (models == code) & (starts_ms >= span.from_ms)
                here = np.flatnonzero(inside & (starts_ms < span.until_ms))
                if len(here):
                    self._put_profile(panes, here, subjects[here], span.found)

    def _put_profile(self, panes: Panes, here: Ints, subjects: Ints, found: Comparison) -> None:
        assert isinstance(found, OfProfile)
        world, numbers = self._side.world.subjects, self._numbers(found.profile)
        texts = world.names.texts
        panes.whose[here] = 0  # a profile is of nobody
        panes.numbers[here] = [
            numbers.get(texts[code], -1) for code in world.segments[subjects].tolist()
        ]
