"""Which cells windows are compared with, where something else is said than how a model began.

What is said holds for windows that begin from a moment on, a boundary of panes; so it may change
while older windows are still revised. Profiles are cells of no model, with numbers of their own.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.cells.levels import DAY_MS
from streams.cells.prediction_cells import PredictionCells
from streams.cells.profiling import forget_part, put_part
from streams.cells.summed import (
    FIRST_PROFILE,
    added_to,
    compared_numbers,
    is_over,
    is_summed,
    outlived,
)
from streams.comparisons import (
    Between,
    Comparison,
    OfProfile,
    OfVersion,
    Own,
    Trailing,
    compared_with,
)
from streams.profiles import Profile

Ints = NDArray[np.int64]
Name = tuple[str, str]

NEVER_MS = 1 << 62


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
    """With what windows are compared: of every pane, whose it is and its number; -1: with none.

    Attributes
    ----------
    owners
        The window that each is for; these do not fall.
    """

    whose: Ints
    numbers: Ints
    owners: Ints


class Grown(NamedTuple):
    """How far the baselines of models have grown.

    Attributes
    ----------
    longest
        Returns, by code and the begin of a window, the number of the longest baseline.
    passed_ms
        Returns, by code, until when panes were added.
    """

    longest: Callable[[Ints, Ints], Ints]
    passed_ms: Callable[[Ints], Ints]


class Comparing:
    """What is said of all models of a partition.

    Parameters
    ----------
    side
        Cells of predictions, among which are those of profiles.
    names
        Of models and versions, by code; the list grows.
    """

    def __init__(self, side: PredictionCells, names: Sequence[Name], grown: Grown) -> None:
        self._side, self._names, self._grown = side, names, grown
        self._versions: dict[str, dict[str, int]] = {}
        self._said: Sequence[Said] = ()
        self._spans: dict[int, tuple[Span, ...]] = {}
        self._profiles: list[tuple[Profile, dict[str, int]]] = []
        self._next = FIRST_PROFILE

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

    def add(self, code: int) -> None:
        """Know a model."""
        model, version = self._names[code]
        self._versions.setdefault(model, {})[version] = code
        self._spans.pop(code, None)

    def forget(self, codes: Collection[int]) -> None:
        """Forget models, whose codes others may get."""
        for code in codes:
            self._spans.pop(code, None)
            model, version = self._names[code]
            versions = self._versions.get(model, {})
            if versions.pop(version, None) is not None and not versions:
                del self._versions[model]

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

    def now(self, code: int) -> Comparison | None:
        """Return what is said of a model now; `None` where it is how it began."""
        spans = self.spans(code)
        return spans[-1].found if spans and spans[-1].until_ms == NEVER_MS else None

    # ------------------------------------------------------------------ other versions
    def keeps(self, code: int) -> bool:
        """Tell whether a version is not to be forgotten, since others are compared with it."""
        model, version = self._names[code]
        found = compared_with(self._said[-1].every, model) if self._said else None
        if isinstance(found, Between):
            subjects = self._side.world.subjects
            subject = subjects.of(np.array([code]), subjects.names.codes([""]))
            number = np.array([added_to(found, found.first * DAY_MS)])
            return bool(self._side.find(subject, number)[0] >= 0)
        return isinstance(found, OfVersion) and found.version == version

    def followers(self, codes: Collection[int]) -> list[int]:
        """Return other models that are compared with cells of these."""
        if not self:
            return []
        models = {self._names[code][0] for code in codes}
        own = {self._names[code] for code in codes}
        return [
            code
            for model in sorted(models)
            for code in self._versions.get(model, {}).values()
            if code not in codes
            and any(_reads(span.found, model, own) for span in self.spans(code))
        ]

    # ------------------------------------------------------------------ days
    def collects(self, code: int) -> bool:
        """Tell whether hours or days of a model are still added up."""
        if not self:
            return False
        passed_ms = int(self._grown.passed_ms(np.array([code]))[0])
        return any(is_summed(span.found, passed_ms) for span in self.spans(code))

    def collected(self, models: Ints, start_ms: int) -> Iterator[tuple[int, list[int]]]:
        """Yield to which number the pane that begins then is added, and of which models."""
        found: dict[int, list[int]] = {}
        for code in np.unique(models).tolist():
            for span in self.spans(code):
                if span.from_ms <= start_ms < span.until_ms:
                    number = added_to(span.found, start_ms)
                    if number is not None:
                        found.setdefault(number, []).append(code)
        yield from found.items()

    def outlived(self, until_ms: int) -> list[int]:
        """Return what was added up and no window is compared with that begins from then on."""
        every = [found for one in self._said for found in one.every.values()]
        return outlived(self._side.members, every, until_ms)

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
    def put(self, panes: Panes, subjects: Ints, starts_ms: Ints) -> Panes:
        """Return with what windows are compared where what is said of their models counts.

        Parameters
        ----------
        panes
            One of every window, by how models began; some are replaced in place.
        """
        models = self._side.world.subjects.models[subjects]
        more = []
        for code in np.unique(models).tolist():
            for span in self.spans(code):
                inside = (models == code) & (starts_ms >= span.from_ms)
                here = np.flatnonzero(inside & (starts_ms < span.until_ms))
                if not len(here):
                    continue
                match span.found:
                    case OfProfile():
                        self._put_profile(panes, here, subjects[here], span.found)
                    case OfVersion():
                        place = here, subjects[here], starts_ms[here]
                        self._put_version(panes, *place, (self._names[code][0], span.found))
                    case Trailing() | Between():
                        panes.numbers[here] = -1
                        place = here, subjects[here], starts_ms[here]
                        more.append(self._summed(*place, (self._names[code][0], span.found)))
        if not more:
            return panes
        every = Panes(*(np.concatenate(column) for column in zip(panes, *more, strict=True)))
        order = np.argsort(every.owners, kind="stable")
        return Panes(*(column[order] for column in every))

    def _put_version(
        self,
        panes: Panes,
        here: Ints,
        subjects: Ints,
        starts_ms: Ints,
        which: tuple[str, OfVersion],
    ) -> None:
        model, found = which
        source = self._versions.get(model, {}).get(found.version)
        world = self._side.world.subjects
        if source is None:
            panes.numbers[here] = -1
        elif self._names[source] != self._names[int(world.models[subjects[0]])]:
            sources = np.full(len(here), source)
            panes.whose[here] = world.of(sources, world.segments[subjects])
            panes.numbers[here] = self._grown.longest(sources, starts_ms)

    def _summed(
        self, here: Ints, subjects: Ints, starts_ms: Ints, which: tuple[str, Trailing | Between]
    ) -> Panes:
        """Return the days that windows are compared with, of all versions, once they are over."""
        model, found = which
        world = self._side.world.subjects
        codes = np.array(sorted(self._versions.get(model, {}).values()), np.int64)
        passed_ms = self._grown.passed_ms(codes).min(initial=NEVER_MS)
        over = is_over(found, starts_ms, passed_ms)
        here, subjects = here[over], subjects[over]
        before = compared_numbers(found, starts_ms[over])
        each = before.shape[1] * len(codes)
        segments = np.repeat(world.segments[subjects], each)
        owners = np.repeat(here, each)
        sources = np.tile(np.repeat(codes, before.shape[1]), len(here))
        numbers = np.tile(before, len(codes)).ravel()
        known = numbers >= 0
        whose = world.of(sources[known], segments[known])
        return Panes(whose, numbers[known], owners[known])

    def _put_profile(self, panes: Panes, here: Ints, subjects: Ints, found: Comparison) -> None:
        assert isinstance(found, OfProfile)
        world, numbers = self._side.world.subjects, self._numbers(found.profile)
        texts = world.names.texts
        panes.whose[here] = 0  # a profile is of nobody
        panes.numbers[here] = [
            numbers.get(texts[code], -1) for code in world.segments[subjects].tolist()
        ]


def _reads(found: Comparison, model: str, others: Collection[Name]) -> bool:
    """Tell whether windows of a model that go by this are compared with cells of others."""
    if isinstance(found, OfVersion):
        return (model, found.version) in others
    return isinstance(found, Trailing | Between)
