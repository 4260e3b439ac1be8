"""Drift detectors over an ordered sequence of numbers, with state that can be written down.

river's ADWIN and Page-Hinkley do the detecting. What is added: which way the level moved, a scale
so that neither units nor sentinels matter (`streams.scale`), and a state of plain bytes and
numbers (no pickle).
An input on its own scale (`raw`) reaches ADWIN unchanged, so that it fires exactly where bare
river fires on the same sequence.
"""

import math
import sys
from collections.abc import Sequence
from functools import reduce
from operator import add, length_hint
from typing import Annotated, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from streams.errors import ConfigError, StateError
from streams.scale import CLIP, Reference

Floats = NDArray[np.float64]


def _import_river() -> Any:
    """Import river's detectors, but not scikit-learn, which river loads where it is installed.

    Nothing here needs it, and it makes a worker start two seconds later.
    """
    hidden = "sklearn" not in sys.modules
    if hidden:
        sys.modules["sklearn"] = None  # type: ignore[assignment]  # "is not installed"
    try:
        from river import drift  # noqa: PLC0415
    finally:
        if hidden:
            del sys.modules["sklearn"]
    return drift


river_drift = _import_river()


class Change(msgspec.Struct, frozen=True):
    """A drift that a detector found.

    Attributes
    ----------
    position
        Index into the values that were just fed.
    index
        Number of the value, from 0, in everything that the detector was fed.
    before, after
        Level before and after the change, in the input's own unit.
    """

    position: int
    index: int
    before: float
    after: float


class Adwin:
    """ADWIN (Bifet & Gavaldà 2007), two-sided, direction from the part that it drops.

    Parameters
    ----------
    raw
        Feed values as they are; otherwise scaled by what the first `reference` values are, clipped
        at five spreads and mapped to [0, 1], since ADWIN's bound wants bounded values.
    """

    name = "adwin"

    def __init__(self, *, raw: bool, reference: int = 500, delta: float = 0.002) -> None:
        self.reference = None if raw else Reference(reference, wide=False)
        self.detector = river_drift.ADWIN(delta=delta)
        self.index = 0

    def feed(self, values: Floats) -> list[Change]:
        """Advance over the values; return the changes among them."""
        fresh = values if self.reference is None else self.reference.take(values)
        skipped = len(values) - len(fresh)
        scaled = self._scaled(fresh)
        changes = []
        while scaled:
            known = self._level()
            taken = self._advance(scaled)
            if self.detector.drift_detected:
                skipped += taken
                position = skipped - 1
                change = self._change(known, scaled[:taken], (position, self.index + position))
                changes.append(change)
            scaled = scaled[taken:]
        self.index += len(values)
        return changes

    def _level(self) -> tuple[int, float]:
        """Return how many values there were since the last change, and their sum."""
        if self.detector.drift_detected:  # river starts afresh at the next update
            return 0, 0.0
        return int(self.detector.width), self.detector.total

    def _advance(self, values: list[float]) -> int:
        """Take values until a change is found; return how many were taken."""
        detector = self.detector
        detector.update(values[0])  # after a change, this begins anew
        if detector.drift_detected:
            return 1
        # What river's `update` calls, without its wrapping; a loop in Python would cost as much.
        rest = iter(values)
        next(rest)
        detector._drift_detected = any(map(detector._helper.update, rest))
        return len(values) - length_hint(rest)

    def _scaled(self, values: Floats) -> list[float]:
        few: list[float]
        if self.reference is None or not len(values):
            few = values.tolist()
            return few
        scaled = self.reference.scaled(values)
        if isinstance(scaled, list):
            return [(value + CLIP) / (2 * CLIP) for value in scaled]
        few = ((scaled + CLIP) / (2 * CLIP)).tolist()
        return few

    def _unscaled(self, value: float) -> float:
        if self.reference is None:
            return value
        return self.reference.unscaled(value * 2 * CLIP - CLIP)

    def _change(
        self, known: tuple[int, float], values: list[float], place: tuple[int, int]
    ) -> Change:
        """Describe a change that the last of some values has shown."""
        count, total = known[0] + len(values), reduce(add, values, known[1])
        kept, after = self.detector.width, self.detector.total
        dropped = count - kept
        before = (total - after) / dropped if dropped else total / count
        return Change(*place, self._unscaled(before), self._unscaled(after / kept))

    def pack(self) -> list[Any]:
        """Return a form that msgpack can write."""
        reference = self.reference
        known = reference and reference.pack()
        helper = self.detector._helper.__getstate__()
        return [self.index, *self._level(), known, self.detector.drift_detected, helper]

    def restore(self, packed: Sequence[Any]) -> None:
        """Continue from what `pack` returned.

        Raises
        ------
        StateError
            If it is something else.
        """
        fields = _typed("adwin", packed, _AdwinState)
        self.index, _, _, known, detected, helper = fields
        if (known is None) != (self.reference is None):
            raise StateError("adwin: the state of an input on another scale")
        if known is not None and self.reference is not None:
            self.reference.restore(known)
        try:
            self.detector._helper.__setstate__(helper)
        except BaseException as error:
            if type(error).__name__ != "PanicException":  # river's Rust; no kind of Exception
                raise
            raise StateError(f"adwin: river cannot read {len(helper)} bytes: {error}") from None
        self.detector._drift_detected = detected


class PageHinkley:
    """Page-Hinkley (Page 1954), two-sided, over means of `block` scaled values.

    Bare Page-Hinkley alarms on pure noise: its sums have the unit of the input, and rare errors
    are large jumps. Block means, in standard errors of a reference, make `threshold` mean the
    same for every input; a block also costs one update instead of `block`.
    """

    name = "page_hinkley"

    def __init__(
        self,
        *,
        raw: bool = False,  # noqa: ARG002 - it scales whatever it is fed
        reference: int = 1000,
        block: int = 32,
        delta: float = 0.5,
        threshold: float = 30.0,
    ) -> None:
        self.reference = Reference(reference, wide=True)
        self.detector = river_drift.PageHinkley(delta=delta, threshold=threshold, min_instances=10)
        self.block = block
        self.index = 0
        self.filled = 0
        self.partial = 0.0
        self.level = 0.0
        self.blocks = 0

    def feed(self, values: Floats) -> list[Change]:
        """Advance over the values; return the changes among them."""
        fresh = self.reference.take(values)
        position = len(values) - len(fresh) + self.block - self.filled - 1
        changes = []
        for total in self._totals(fresh):
            if self._drifts(total / self.block):
                changes.append(self._change(position, self.index + position))
            position += self.block
        self.index += len(values)
        return changes

    def _totals(self, values: Floats) -> list[float]:
        """Return the sums of the scaled blocks that values complete, one value added at a time."""
        if not len(values):
            return []
        values = np.asarray(self.reference.scaled(values))
        first = self.block - self.filled
        totals = []
        if len(values) >= first:
            totals.append(reduce(add, values[:first].tolist(), self.partial))
            end = len(values) - (len(values) - first) % self.block
            whole = values[first:end].reshape(-1, self.block)
            totals += np.add.accumulate(whole, axis=1)[:, -1].tolist()
            self.partial, self.filled, values = 0.0, 0, values[end:]
        self.partial = reduce(add, values.tolist(), self.partial)
        self.filled += len(values)
        return totals

    def _drifts(self, mean: float) -> bool:
        """Take the mean of a block."""
        self.blocks += 1
        self.level += (mean - self.level) * max(0.25, 1 / self.blocks)
        error = self.reference.deviation / math.sqrt(self.block)
        self.detector.update((mean - self.reference.mean) / error)
        return bool(self.detector.drift_detected)

    def _change(self, position: int, index: int) -> Change:
        error = self.reference.deviation / math.sqrt(self.block)
        before = self.detector._x_mean.get() * error + self.reference.mean
        rose = self.detector._sum_increase - self.detector._min_increase > self.detector.threshold
        after = max(self.level, before) if rose else min(self.level, before)
        return Change(position, index, *map(self.reference.unscaled, (before, after)))

    def pack(self) -> list[Any]:
        """Return a form that msgpack can write."""
        reference, inner = self.reference, self.detector
        return [
            *(self.index, self.filled, self.partial, self.level, self.blocks),
            reference.pack(),
            [inner._drift_detected, inner._x_mean.n, inner._x_mean._mean],
            [getattr(inner, name) for name in _SUMS],
        ]

    def restore(self, packed: Sequence[Any]) -> None:
        """Continue from what `pack` returned.

        Raises
        ------
        StateError
            If it is something else.
        """
        *numbers, known, mean, sums = _typed("page_hinkley", packed, _PageHinkleyState)
        self.index, self.filled, self.partial, self.level, self.blocks = numbers
        self.reference.restore(known)
        inner = self.detector
        inner._drift_detected, inner._x_mean.n, inner._x_mean._mean = mean
        for name, value in zip(_SUMS, sums, strict=True):
            setattr(inner, name, value)


_Count = Annotated[int, msgspec.Meta(ge=0)]
_Scale = tuple[float, float, float, float]
_Known = tuple[_Count, float, float, float, _Scale | None, bytes]
_AdwinState = tuple[_Count, float, float, _Known | None, bool, bytes]
_Levels = tuple[bool, float, float]
_Sums = tuple[float, float, float, float]
_PageHinkleyState = tuple[_Count, _Count, float, float, _Count, _Known, _Levels, _Sums]


def _typed(detector: str, packed: Sequence[Any], kind: Any) -> tuple[Any, ...]:
    try:
        typed: tuple[Any, ...] = msgspec.convert(packed, kind)
    except msgspec.ValidationError as error:
        raise StateError(f"{detector}: {error}") from None
    return typed


_SUMS = ("_sum_increase", "_sum_decrease", "_min_increase", "_max_decrease")

Detector = Adwin | PageHinkley
DETECTORS: dict[str, type[Adwin] | type[PageHinkley]] = {
    "adwin": Adwin,
    "page_hinkley": PageHinkley,
}
_WHOLE = frozenset({"reference", "block"})
PARAMETERS = {
    "adwin": frozenset({"delta", "reference"}),
    "page_hinkley": frozenset({"delta", "threshold", "block", "reference"}),
}


def make_detector(name: str, parameters: dict[str, float], *, raw: bool) -> Detector:
    """Build a detector by its name in `monitors.yaml`.

    Raises
    ------
    ConfigError
        If the detector or one of its parameters does not exist.

    Examples
    --------
    >>> adwin = make_detector("adwin", {}, raw=True)
    >>> [change.index for change in adwin.feed(np.array([0.0] * 500 + [1.0] * 100))]
    [511]
    """
    if name not in DETECTORS:
        raise ConfigError(f"detector: {name!r} is unknown; choose one of {', '.join(DETECTORS)}")
    unknown = set(parameters) - PARAMETERS[name]
    if unknown:
        allowed = ", ".join(sorted(PARAMETERS[name]))
        raise ConfigError(f"detector {name}: unknown parameter {min(unknown)!r}; it has {allowed}")
    for parameter, value in parameters.items():
        if not value > 0 or (parameter == "delta" and name == "adwin" and value >= 1):
            raise ConfigError(f"detector {name}: {parameter} {value:g} is out of range")
        if parameter in _WHOLE and value % 1 != 0:
            raise ConfigError(f"detector {name}: {parameter} {value:g} is no whole number")
    typed = {p: int(value) if p in _WHOLE else value for p, value in parameters.items()}
    return DETECTORS[name](raw=raw, **typed)  # type: ignore[arg-type]
