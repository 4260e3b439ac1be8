"""What a batch must be like to be decoded by columns: nothing that needs more than a glance.

Types check little, and what they leave out is checked here for all records at once. Where something
is odd, the batch is left to `streams.events`, which looks at each record by itself.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from streams.events import Number
from streams.failures import is_error
from streams.features import Block
from streams.limits import RecordLimits
from streams.plausible_times import latest_ms
from streams.scalars import Scalars
from streams.steps import Batch


class PlainPrediction(msgspec.Struct, gc=False):
    """A prediction that is checked little; `scores` and `segments` are left as they are."""

    prediction_id: str
    model: str
    prediction: str | int | float | bool | None = None
    version: str = ""
    timestamp_ms: int | None = None
    score: float | None = None
    scores: msgspec.Raw = msgspec.Raw(b"null")
    segments: msgspec.Raw = msgspec.Raw(b"null")
    latency_ms: float | None = None
    error: msgspec.Raw = msgspec.Raw(b"null")

    @property
    def failed(self) -> bool:
        """Whether there is no answer."""
        return is_error(self.error)


class PlainWithFeatures(PlainPrediction, gc=False):
    """One whose features are looked at."""

    features: dict[str, float | bool | str | None] | None = None


class PlainLabel(msgspec.Struct, gc=False):
    """A label, likewise."""

    prediction_id: str
    timestamp_ms: int
    label: str | int | float | bool | None = None
    model: str = ""
    retract: bool = False
    prediction: str | int | float | bool | None = None


class NotPlainError(Exception):
    """The batch must be looked at record by record."""


_NOTHING = {b"null": None, b"": None}


class Nested:
    """Decode scores and segments of plain predictions; most of them are the same few."""

    def __init__(self, limits: RecordLimits) -> None:
        self._limits = limits
        text = Annotated[str, Meta(max_length=limits.name_bytes)]  # in characters, to begin with
        name = Annotated[str, Meta(min_length=1, max_length=limits.name_bytes)]
        scores = Annotated[dict[text, Number], Meta(max_length=limits.scores)]
        segments = Annotated[dict[name, text], Meta(max_length=limits.segments)]
        self._scores = msgspec.json.Decoder(scores).decode
        self._segments = msgspec.json.Decoder(segments).decode

    def scores(self, texts: Iterable[bytes]) -> list[Any] | None:
        """Decode scores by class; `None` if there are none."""
        return self._all(texts, self._scores)

    def segments(self, texts: Iterable[bytes]) -> list[Any] | None:
        """Decode segments; `None` if there are none."""
        return self._all(texts, self._segments)

    def _all(self, texts: Iterable[bytes], decode: Callable[[bytes], Any]) -> list[Any] | None:
        known: dict[bytes, Any] = dict(_NOTHING)
        found = []
        for text in texts:
            if text not in known:
                known[text] = decode(text)
            found.append(known[text])
        if len(known) == len(_NOTHING):
            return None
        whole = b"".join(known)
        if not whole.isascii() or b"\\" in whole:  # a character may be several bytes
            for members in filter(None, known.values()):
                self._check(members)
        return found

    def _check(self, members: Mapping[str, Any]) -> None:
        allow = self._limits.allow
        for name, value in members.items():
            require(allow(name) and (not isinstance(value, str) or allow(value)))


def require(fine: object) -> None:
    """Leave the batch to the other way of decoding unless something holds."""
    if not fine:
        raise NotPlainError


def plain_values(batch: Batch, limits: RecordLimits) -> Sequence[bytes]:
    """Return the values of a batch: all are there, none is too large, and all are UTF-8."""
    values = batch.values
    require(values and None not in values)
    require(max(map(len, values)) <= limits.record_bytes)  # type: ignore[arg-type]
    text = b"\n".join(values)  # type: ignore[arg-type]
    if not text.isascii():
        text.decode()  # msgspec does not look at what it skips
    return values  # type: ignore[return-value]


def plain_ids(texts: list[str], keys: Sequence[bytes | None], limits: RecordLimits) -> list[bytes]:
    """Return prediction ids, which are the keys."""
    ids = list(map(str.encode, texts))
    require(ids == keys if isinstance(keys, list) else ids == list(keys))
    require(all(ids) and max(map(len, ids)) <= limits.name_bytes)
    return ids


def times_of(events: Sequence[Any], batch: Batch) -> list[int]:
    """Return the times of events: their own, or that of the record."""
    times_ms = [event.timestamp_ms for event in events]
    return filled(times_ms, batch, missing=None)


def filled(times_ms: list[Any], batch: Batch, *, missing: int | None) -> list[int]:
    """Give events that say no time that of their record."""
    if missing not in times_ms:
        return times_ms
    return [batch.times_ms[i] if t == missing else t for i, t in enumerate(times_ms)]


def plain_times(times_ms: list[int], now_ms: int, limits: RecordLimits) -> NDArray[np.int64]:
    """Return times, all of which are plausible."""
    found = np.array(times_ms, np.int64)
    require(found.min() >= limits.earliest_ms and found.max() <= latest_ms(now_ms))
    return found


def check_scalars(found: Scalars) -> None:
    """Require that no number is so large that it is kept as text, too."""
    if found.texts:
        require(np.isnan(found.number[found.code >= 0]).all())  # no number so large as to have one


def check_block(block: Block, limits: RecordLimits) -> None:
    """Require that features are few, with short names and numbers that are exact."""
    require(len(block.names) <= limits.features and all(map(limits.allow, block.names)))
    largest = np.abs(block.values, where=np.isfinite(block.values), out=np.zeros_like(block.values))
    # What is larger may be too large, or rounded otherwise.
    require(largest.max() < 2.0**63)


def short_classes(found: Scalars, limits: RecordLimits) -> Scalars:
    """Name the classes whose text is too long for a name."""
    if all(map(limits.allow, found.texts)):
        return found
    return found._replace(texts=list(map(limits.class_of, found.texts)))
