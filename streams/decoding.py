"""Decode a batch of records at once: what is plain by columns, the rest record by record.

Nearly all batches hold nothing but good records, and three ways lead through them, each for what
the one before it does not take:

* the compiled part (`streams.native`), where it is there, takes what is plainest;
* types that check little, and then checks by column, take whatever is plain;
* `streams.events` checks each record by itself and says what is wrong with it.

A batch is plain only if every record would pass there: the result is the same.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_64_digest

from streams import native
from streams.errors import RecordError
from streams.events import (
    EARLIEST_MS,
    LARGEST_NUMBER,
    LONGEST_TEXT,
    MAX_FEATURES,
    MAX_SEGMENTS,
    MAX_VALUE_BYTES,
    Label,
    Number,
    Segments,
    Text,
    check_time,
    decode_label,
    decode_prediction,
    latest_ms,
)
from streams.features import Block, blocks_of
from streams.hash_index import odd_of
from streams.held import Hashes, hash_ids
from streams.scalars import Scalars, scalars
from streams.steps import Batch
from streams.texts import Texts

_NO_FEATURES: list[Block] = []

Refuse = Callable[[int, RecordError], None]
"""Called with the index of a record that cannot be used, and why."""


class _Prediction(msgspec.Struct, gc=False):
    """A prediction that is checked little; `scores` and `segments` cost only where they are."""

    prediction_id: str
    model: str
    prediction: str | int | float | bool
    version: str = ""
    timestamp_ms: int | None = None
    score: float | None = None
    scores: dict[Text, Number] | None = None
    segments: Segments | None = None
    latency_ms: float | None = None


class _WithFeatures(_Prediction, gc=False):
    features: dict[str, float | bool | str | None] | None = None


class _Label(msgspec.Struct, gc=False):
    prediction_id: str
    timestamp_ms: int
    label: str | int | float | bool | None = None
    model: str = ""
    retract: bool = False
    prediction: str | int | float | bool | None = None


class Predictions(NamedTuple):
    """Good predictions of a batch, as columns.

    Attributes
    ----------
    keys
        Hashes of the ids.
    checksum
        Tells a repeated record from a conflicting one.
    names, name
        Models and versions, and which of them each prediction has.
    score, latency_ms
        NaN where not given.
    scores, segments
        `None` if no record has any.
    """

    ids: Sequence[bytes]
    keys: Hashes
    times_ms: NDArray[np.int64]
    checksum: NDArray[np.uint32]
    names: Sequence[tuple[str, str]]
    name: NDArray[np.int32]
    segments: Sequence[dict[str, str] | None] | None
    values: Scalars
    score: NDArray[np.float64]
    scores: Sequence[dict[str, float] | None] | None
    latency_ms: NDArray[np.float64]
    features: list[Block]


class Labels(NamedTuple):
    """Good labels and retractions of a batch.

    Attributes
    ----------
    keys
        Hashes of the ids.
    indexes
        Of the records in their batch.
    joined
        Indexes of labels that carry their own prediction; these are in no other column.
    every_ms, every_key
        Times and half of the hashes of all good records in their order, the joined among them.
    """

    ids: Sequence[bytes]
    keys: Hashes
    indexes: Sequence[int]
    times_ms: NDArray[np.int64]
    values: Scalars
    retract: NDArray[np.bool_]
    joined: list[int]
    every_ms: NDArray[np.int64]
    every_key: NDArray[np.uint64]


class _NotPlainError(Exception):
    """The batch must be looked at record by record."""


class Decoder:
    """Decode batches of predictions and labels.

    Parameters
    ----------
    features
        Whether features are looked at; if not, they are not even checked.
    seed
        See `hash_index.HashIndex`.
    """

    def __init__(self, *, features: bool = True, seed: bytes | None = None) -> None:
        self.features = features
        self._factor = odd_of(seed)
        kind = _WithFeatures if features else _Prediction
        self._plain_prediction = msgspec.json.Decoder(kind).decode
        self._strict = partial(decode_prediction, features=features)

    def predictions(self, batch: Batch, *, now_ms: int, refuse: Refuse) -> Predictions | None:
        """Decode predictions; `None` if none of them is good."""
        try:
            found = _compiled_predictions(
                batch, now_ms, features=self.features, factor=self._factor
            )
            return found or self._plain_predictions(batch, now_ms)
        except (_NotPlainError, msgspec.DecodeError, RecursionError, OverflowError, UnicodeError):
            return self._each_prediction(batch, now_ms, refuse)

    def _plain_predictions(self, batch: Batch, now_ms: int) -> Predictions:
        values = _plain_values(batch)
        events = list(map(self._plain_prediction, values))
        ids = _plain_ids([event.prediction_id for event in events], batch.keys)
        times_ms = _plain_times(_times(events, batch), now_ms)
        found = _prediction_columns(events, ids, times_ms, values, features=self.features)
        for model, version in found.names:
            _require(0 < len(model) <= LONGEST_TEXT and len(version) <= LONGEST_TEXT)
        _require(not found.segments or _most(found.segments) <= MAX_SEGMENTS)
        _check_scalars(found.values)
        _require(not (np.abs(found.score) > LARGEST_NUMBER).any())
        _require(not ((found.latency_ms < 0) | (found.latency_ms > LARGEST_NUMBER)).any())
        for block in found.features:
            _check_block(block)
        return found

    def _each_prediction(self, batch: Batch, now_ms: int, refuse: Refuse) -> Predictions | None:
        events, ids, times_ms, values = [], [], [], []
        for index, (key, value) in enumerate(zip(batch.keys, batch.values, strict=True)):
            try:
                event = self._strict(value)
                record_id = checked_key(key, event.prediction_id)
                given_ms = event.timestamp_ms
                time_ms = check_time(
                    batch.times_ms[index] if given_ms is None else given_ms, now_ms=now_ms
                )
            except RecordError as error:
                refuse(index, error)
                continue
            events.append(event)
            ids.append(record_id)
            times_ms.append(time_ms)
            values.append(value)
        if not events:
            return None
        times = np.array(times_ms, np.int64)
        return _prediction_columns(events, ids, times, values, features=self.features)  # type: ignore[arg-type]

    def labels(self, batch: Batch, *, now_ms: int, refuse: Refuse) -> Labels:
        """Decode labels and retractions."""
        try:
            return _compiled_labels(batch, now_ms, self._factor) or self._plain_labels(
                batch, now_ms
            )
        except (_NotPlainError, msgspec.DecodeError, RecursionError, OverflowError, UnicodeError):
            return _each_label(batch, now_ms, refuse)

    def _plain_labels(self, batch: Batch, now_ms: int) -> Labels:
        events = list(map(_decode_plain_label, _plain_values(batch)))
        ids = _plain_ids([event.prediction_id for event in events], batch.keys)
        times_ms = _plain_times([event.timestamp_ms for event in events], now_ms)
        _require([event.prediction for event in events].count(None) == len(events))
        _require(max(map(len, {event.model for event in events})) <= LONGEST_TEXT)
        labels = [event.label for event in events]
        retract = np.array([event.retract for event in events], bool)
        if None in labels:
            _require(all(event.retract for event in events if event.label is None))
        values = scalars(labels)
        _check_scalars(values)
        every, keys = range(len(ids)), hash_ids(ids)
        return Labels(ids, keys, every, times_ms, values, retract, [], times_ms, keys.low)


# --- what the compiled part takes


def _compiled_predictions(
    batch: Batch, now_ms: int, *, features: bool, factor: int
) -> Predictions | None:
    records = _texts(batch)
    if records is None:
        return None
    values, keys = records
    found = native.predictions(
        values, keys, latest_ms=latest_ms(now_ms), features=features, factor=factor
    )
    if found is None:
        return None
    times_ms = found.time_ms
    if not found.timed:
        times_ms = _plain_times(_filled(times_ms.tolist(), batch, missing=-1), now_ms)
    segments = scores = None
    if found.segments is not None:
        segments = _decoded(values, found.segments, _decode_segments)
        _require(_most(segments) <= MAX_SEGMENTS)
    if found.scores is not None:
        scores = _decoded(values, found.scores, _decode_scores)
    return Predictions(
        keys,
        Hashes(found.high, found.low),
        times_ms,
        found.checksum,
        found.names,
        found.name,
        segments,
        found.value,
        found.score,
        scores,
        found.latency_ms,
        found.features,
    )


def _compiled_labels(batch: Batch, now_ms: int, factor: int) -> Labels | None:
    records = _texts(batch)
    if records is None:
        return None
    found = native.labels(*records, latest_ms=latest_ms(now_ms), factor=factor)
    if found is None:
        return None
    times_ms = found.time_ms
    return Labels(
        records[1],
        Hashes(found.high, found.low),
        range(len(times_ms)),
        times_ms,
        found.value,
        found.retract,
        [],
        times_ms,
        found.low,
    )


def _texts(batch: Batch) -> tuple[Texts, Texts] | None:
    """Return values and keys as the compiled part wants them, `None` if it cannot be asked."""
    if not native.available or not batch.values:
        return None
    try:
        values, keys = Texts.of(batch.values), Texts.of(batch.keys)  # type: ignore[arg-type]
    except TypeError:  # a record without a value, or without a key
        return None
    fits = len(keys) == len(values) and np.diff(values.ends).max() <= MAX_VALUE_BYTES
    return (values, keys) if fits else None


def _decoded(values: Texts, spans: NDArray[np.int64], decode: Callable[[bytes], Any]) -> list[Any]:
    """Decode a part of every record; most of them are the same few."""
    data = values.data.data
    known: dict[bytes, Any] = {b"": None}
    found = []
    for at, size in spans.tolist():
        text = bytes(data[at : at + size])
        if text not in known:
            known[text] = decode(text)
        found.append(known[text])
    return found


def _each_label(batch: Batch, now_ms: int, refuse: Refuse) -> Labels:
    ids: list[bytes] = []
    events: list[Label] = []
    indexes: list[int] = []
    joined: list[int] = []
    # Whatever becomes of them: fates may depend on what was read first, time may not.
    every_ms: list[int] = []
    every_id: list[bytes] = []
    for index, (key, value) in enumerate(zip(batch.keys, batch.values, strict=True)):
        try:
            event = label_or_tombstone(value, key, batch.times_ms[index])
            record_id = checked_key(key, event.prediction_id)
            label_ms = check_time(event.timestamp_ms, now_ms=now_ms)
        except RecordError as error:
            refuse(index, error)
            continue
        every_ms.append(label_ms)
        every_id.append(record_id)
        if event.prediction is not None and event.label is not None and not event.retract:
            joined.append(index)
            continue
        ids.append(record_id)
        events.append(event)
        indexes.append(index)
    return Labels(
        ids,
        hash_ids(ids),
        indexes,
        np.array([event.timestamp_ms for event in events], np.int64),
        scalars([event.label for event in events]),
        np.array([event.retract for event in events], bool),
        joined,
        np.array(every_ms, np.int64),
        hash_ids(every_id).low,
    )


def label_or_tombstone(value: bytes | None, key: bytes | None, time_ms: int) -> Label:
    """Decode a label; a record without a value retracts the label of its key."""
    if value is not None:
        return decode_label(value)
    if not key:
        raise RecordError("key_mismatch", "a record without a value needs the prediction id as key")
    try:
        return Label(prediction_id=key.decode(), timestamp_ms=time_ms, retract=True)
    except UnicodeDecodeError as error:
        raise RecordError("invalid_utf8", str(error)) from None


def checked_key(key: bytes | None, prediction_id: str) -> bytes:
    """Return the key of a record, which must be the prediction id."""
    if key != prediction_id.encode():
        raise RecordError("key_mismatch", "the record's key must be its prediction_id")
    return key


def _prediction_columns(
    events: Sequence[Any],
    ids: list[bytes],
    times_ms: NDArray[np.int64],
    values: Sequence[bytes],
    *,
    features: bool,
) -> Predictions:
    names: dict[tuple[str, str], int] = {}
    name = [names.setdefault((event.model, event.version), len(names)) for event in events]
    return Predictions(
        ids,
        hash_ids(ids),
        times_ms,
        np.frombuffer(b"".join(map(xxh3_64_digest, values)), ">u8").astype("<u4"),
        list(names),
        np.array(name, np.int32),
        _any([event.segments for event in events]),
        scalars([event.prediction for event in events]),
        np.array([event.score for event in events], np.float64),  # None becomes NaN
        _any([event.scores for event in events]),
        np.array([event.latency_ms for event in events], np.float64),
        blocks_of([event.features for event in events]) if features else _NO_FEATURES,
    )


def _any(column: list[Any]) -> list[Any] | None:
    return None if column.count(None) == len(column) else column


def _most(rows: Sequence[Any]) -> int:
    return max(len(row) for row in rows if row is not None)


# --- checks by column


def _require(fine: object) -> None:
    if not fine:
        raise _NotPlainError


def _plain_values(batch: Batch) -> Sequence[bytes]:
    values = batch.values
    _require(values and None not in values)
    _require(max(map(len, values)) <= MAX_VALUE_BYTES)  # type: ignore[arg-type]
    text = b"\n".join(values)  # type: ignore[arg-type]
    if not text.isascii():
        text.decode()  # msgspec does not look at what it skips
    return values  # type: ignore[return-value]


def _plain_ids(texts: list[str], keys: Sequence[bytes | None]) -> list[bytes]:
    ids = list(map(str.encode, texts))
    _require(ids == keys if isinstance(keys, list) else ids == list(keys))
    _require(all(ids) and max(map(len, ids)) <= LONGEST_TEXT)
    return ids


def _times(events: Sequence[Any], batch: Batch) -> list[int]:
    times_ms = [event.timestamp_ms for event in events]
    return _filled(times_ms, batch, missing=None)


def _filled(times_ms: list[Any], batch: Batch, *, missing: int | None) -> list[int]:
    """Give events that say no time that of their record."""
    if missing not in times_ms:
        return times_ms
    return [batch.times_ms[i] if t == missing else t for i, t in enumerate(times_ms)]


def _plain_times(times_ms: list[int], now_ms: int) -> NDArray[np.int64]:
    found = np.array(times_ms, np.int64)
    _require(found.min() >= EARLIEST_MS and found.max() <= latest_ms(now_ms))
    return found


def _check_scalars(found: Scalars) -> None:
    if found.texts:
        _require(max(map(len, found.texts)) <= LONGEST_TEXT)
        _require(np.isnan(found.number[found.code >= 0]).all())  # no number so large as to have one


def _check_block(block: Block) -> None:
    _require(len(block.names) <= MAX_FEATURES and max(map(len, block.names)) <= LONGEST_TEXT)
    largest = np.abs(block.values, where=np.isfinite(block.values), out=np.zeros_like(block.values))
    # Above that a whole number is refused if it stands beside text, and not if it does not.
    _require(largest.max() < 2.0**63)


_decode_plain_label = msgspec.json.Decoder(_Label).decode
_decode_segments = msgspec.json.Decoder(Segments).decode
_decode_scores = msgspec.json.Decoder(dict[Text, Number]).decode
