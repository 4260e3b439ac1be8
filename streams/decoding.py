"""Decode a batch of records at once: what is plain by columns, the rest record by record.

Nearly all batches hold nothing but good records, and three ways lead through them, each for what
the one before it does not take:

* the compiled part (`streams.native`), where it is there, takes what is plainest;
* types that check little, and then checks by column, take whatever is plain;
* `streams.events` checks each record by itself and says what is wrong with it.

A batch is plain only if every record would pass there: the result is the same.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_64_digest

from streams import native
from streams.decoded import Labels, Predictions
from streams.errors import RecordError
from streams.events import Label, Prediction, decode_label, decode_prediction
from streams.failures import have_failed
from streams.features import Block, blocks_of
from streams.hash_index import odd_of
from streams.held import Hashes, hash_ids
from streams.limits import LIMITS, RecordLimits
from streams.plain_records import (
    Nested,
    NotPlainError,
    PlainLabel,
    PlainPrediction,
    PlainWithFeatures,
    check_block,
    check_scalars,
    filled,
    plain_ids,
    plain_times,
    plain_values,
    require,
    short_classes,
    times_of,
)
from streams.plausible_times import check_time, latest_ms
from streams.scalars import answers, scalars
from streams.steps import Batch
from streams.texts import Texts
from streams.values import LARGEST_NUMBER, Dropped

_NO_FEATURES: list[Block] = []

Refuse = Callable[[int, RecordError], None]
"""Called with the index of a record that cannot be used, and why."""

Drop = Callable[[Sequence[Dropped]], None]
"""Called with values that were left out of good predictions."""


class Decoder:
    """Decode batches of predictions and labels.

    Parameters
    ----------
    features
        Whether features are looked at; if not, they are not even checked.
    limits
        What a record may hold.
    seed
        See `hash_index.HashIndex`.
    """

    def __init__(
        self, *, features: bool = True, limits: RecordLimits = LIMITS, seed: bytes | None = None
    ) -> None:
        self.features = features
        self.limits = limits
        self._factor = odd_of(seed)
        kind = PlainWithFeatures if features else PlainPrediction
        self._plain_prediction = msgspec.json.Decoder(kind).decode
        self._nested = Nested(limits)

    def predictions(
        self, batch: Batch, *, now_ms: int, refuse: Refuse, drop: Drop
    ) -> Predictions | None:
        """Decode predictions; `None` if none of them is good."""
        try:
            found = self._compiled_predictions(batch, now_ms)
            return _bare(found or self._plain_predictions(batch, now_ms))
        except (NotPlainError, msgspec.DecodeError, RecursionError, OverflowError, UnicodeError):
            return self._each_prediction(batch, now_ms=now_ms, refuse=refuse, drop=drop)

    def prediction(self, value: bytes | None, *, drop: Drop) -> Prediction:
        """Decode one prediction."""
        dropped: list[Dropped] = []
        found = decode_prediction(
            value, features=self.features, limits=self.limits, dropped=dropped
        )
        if dropped:
            drop(dropped)
        return found

    def _plain_predictions(self, batch: Batch, now_ms: int) -> Predictions:
        limits = self.limits
        values = plain_values(batch, limits)
        events = list(map(self._plain_prediction, values))
        require(all(one.failed for one in events if one.prediction is None))
        ids = plain_ids([event.prediction_id for event in events], batch.keys, limits)
        times_ms = plain_times(times_of(events, batch), now_ms, limits)
        scores = self._nested.scores(bytes(event.scores) for event in events)
        segments = self._nested.segments(bytes(event.segments) for event in events)
        found = _prediction_columns(
            events, ids, times_ms, values, scores=scores, segments=segments, features=self.features
        )
        for model, version in found.names:
            require(model and limits.allow(model) and limits.allow(version))
        check_scalars(found.values)
        require(not (np.abs(found.score) > LARGEST_NUMBER).any())
        require(not ((found.latency_ms < 0) | (found.latency_ms > LARGEST_NUMBER)).any())
        for block in found.features:
            check_block(block, limits)
        return found._replace(values=short_classes(found.values, limits))

    def _compiled_predictions(self, batch: Batch, now_ms: int) -> Predictions | None:
        records = _texts(batch, self.limits)
        if records is None:
            return None
        values, keys = records
        found = native.predictions(
            *(values, keys),
            latest_ms=latest_ms(now_ms),
            limits=self.limits,
            features=self.features,
            factor=self._factor,
        )
        if found is None:
            return None
        times_ms = found.time_ms
        if not found.timed:
            times_ms = plain_times(
                filled(times_ms.tolist(), batch, missing=-1), now_ms, self.limits
            )
        segments = scores = None
        if found.segments is not None:
            segments = self._nested.segments(_pieces(values, found.segments))
        if found.scores is not None:
            scores = self._nested.scores(_pieces(values, found.scores))
        return Predictions(
            keys,
            Hashes(found.high, found.low),
            times_ms,
            found.checksum,
            found.names,
            found.name,
            segments,
            short_classes(found.value, self.limits),
            found.score,
            scores,
            found.latency_ms,
            found.features,
        )

    def _each_prediction(
        self, batch: Batch, *, now_ms: int, refuse: Refuse, drop: Drop
    ) -> Predictions | None:
        events, ids, times_ms, values = [], [], [], []
        for index, (key, value) in enumerate(zip(batch.keys, batch.values, strict=True)):
            dropped: list[Dropped] = []
            try:
                event = self.prediction(value, drop=dropped.extend)
                record_id = checked_key(key, event.prediction_id)
                given_ms = event.timestamp_ms
                time_ms = check_time(
                    batch.times_ms[index] if given_ms is None else given_ms,
                    now_ms=now_ms,
                    earliest_ms=self.limits.earliest_ms,
                )
            except RecordError as error:
                refuse(index, error)
                continue
            drop(dropped)
            events.append(event)
            ids.append(record_id)
            times_ms.append(time_ms)
            values.append(value)
        if not events:
            return None
        return _prediction_columns(
            *(events, ids, np.array(times_ms, np.int64), values),  # type: ignore[arg-type]
            scores=_any([event.scores for event in events]),
            segments=_any([event.segments for event in events]),
            features=self.features,
        )

    def labels(self, batch: Batch, *, now_ms: int, refuse: Refuse) -> Labels:
        """Decode labels and retractions."""
        try:
            found = self._compiled_labels(batch, now_ms)
            return found or self._plain_labels(batch, now_ms)
        except (NotPlainError, msgspec.DecodeError, RecursionError, OverflowError, UnicodeError):
            return self._each_label(batch, now_ms=now_ms, refuse=refuse)

    def label(self, value: bytes | None, *, key: bytes | None, time_ms: int) -> Label:
        """Decode one label; a record without a value retracts the label of its key."""
        if value is not None:
            return decode_label(value, limits=self.limits)
        if not key:
            why = "a record without a value needs the prediction id as key"
            raise RecordError("key_mismatch", why)
        if len(key) > self.limits.name_bytes:  # no prediction can have it, and the state would
            allowed = f"at most {self.limits.name_bytes} are allowed"
            raise RecordError("invalid_label", f"the key has {len(key)} bytes, {allowed}")
        try:
            return Label(prediction_id=key.decode(), timestamp_ms=time_ms, retract=True)
        except UnicodeDecodeError as error:
            raise RecordError("invalid_utf8", str(error)) from None

    def _plain_labels(self, batch: Batch, now_ms: int) -> Labels:
        limits = self.limits
        events = list(map(_decode_plain_label, plain_values(batch, limits)))
        ids = plain_ids([event.prediction_id for event in events], batch.keys, limits)
        times_ms = plain_times([event.timestamp_ms for event in events], now_ms, limits)
        require([event.prediction for event in events].count(None) == len(events))
        require(all(map(limits.allow, {event.model for event in events})))
        labels = [event.label for event in events]
        retract = np.array([event.retract for event in events], bool)
        if None in labels:
            require(all(event.retract for event in events if event.label is None))
        values = scalars(labels)
        check_scalars(values)
        values, every, keys = short_classes(values, limits), range(len(ids)), hash_ids(ids)
        return Labels(ids, keys, every, times_ms, values, retract, [], times_ms, keys.low)

    def _compiled_labels(self, batch: Batch, now_ms: int) -> Labels | None:
        records = _texts(batch, self.limits)
        if records is None:
            return None
        found = native.labels(
            *records, latest_ms=latest_ms(now_ms), limits=self.limits, factor=self._factor
        )
        if found is None:
            return None
        times_ms = found.time_ms
        return Labels(
            records[1],
            Hashes(found.high, found.low),
            range(len(times_ms)),
            times_ms,
            short_classes(found.value, self.limits),
            found.retract,
            [],
            times_ms,
            found.low,
        )

    def _each_label(self, batch: Batch, *, now_ms: int, refuse: Refuse) -> Labels:
        ids: list[bytes] = []
        events: list[Label] = []
        indexes: list[int] = []
        joined: list[tuple[int, Label]] = []
        # Whatever becomes of them: fates may depend on what was read first, time may not.
        every_ms: list[int] = []
        every_id: list[bytes] = []
        for index, (key, value) in enumerate(zip(batch.keys, batch.values, strict=True)):
            try:
                event = self.label(value, key=key, time_ms=batch.times_ms[index])
                record_id = checked_key(key, event.prediction_id)
                label_ms = check_time(
                    event.timestamp_ms, now_ms=now_ms, earliest_ms=self.limits.earliest_ms
                )
            except RecordError as error:
                refuse(index, error)
                continue
            every_ms.append(label_ms)
            every_id.append(record_id)
            if event.prediction is not None and event.label is not None and not event.retract:
                joined.append((index, event))
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


def _pieces(values: Texts, spans: NDArray[np.int64]) -> Iterator[bytes]:
    data = values.data.data
    return (bytes(data[at : at + size]) for at, size in spans.tolist())


def _texts(batch: Batch, limits: RecordLimits) -> tuple[Texts, Texts] | None:
    """Return values and keys as the compiled part wants them, `None` if it cannot be asked."""
    if not native.available or not batch.values:
        return None
    try:
        values, keys = Texts.of(batch.values), Texts.of(batch.keys)  # type: ignore[arg-type]
    except TypeError:  # a record without a value, or without a key
        return None
    fits = len(keys) == len(values) and np.diff(values.ends).max() <= limits.record_bytes
    return (values, keys) if fits else None


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
    scores: list[Any] | None,
    segments: list[Any] | None,
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
        segments,
        answers(events),
        np.array([event.score for event in events], np.float64),  # None becomes NaN
        scores,
        np.array([event.latency_ms for event in events], np.float64),
        blocks_of([event.features for event in events]) if features else _NO_FEATURES,
    )


def _bare(found: Predictions) -> Predictions:
    """Leave out what the predictions of requests that failed have beside their identity."""
    failed = have_failed(found.values.number)
    if not failed.any():
        return found
    nothing, scores, kept = np.where(failed, np.nan, 0.0), found.scores, ~failed
    if scores is not None:
        scores = _any([None if gone else one for gone, one in zip(failed, scores, strict=True)])
    blocks = [Block(b.names, b.rows[kept[b.rows]], b.values[kept[b.rows]]) for b in found.features]
    return found._replace(
        score=found.score + nothing,
        latency_ms=found.latency_ms + nothing,
        scores=scores,
        features=[block for block in blocks if len(block.rows)],
    )


def _any(column: list[Any]) -> list[Any] | None:
    return None if column.count(None) == len(column) else column


_decode_plain_label = msgspec.json.Decoder(PlainLabel).decode
