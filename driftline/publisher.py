"""Publish predictions and labels from a model server.

Rules of this file:

* Nothing here blocks a caller or raises into it, once the publisher is made. What cannot be sent is
  dropped and counted with a reason.
* A record is serialised during the call, so that the caller may reuse its dictionaries afterwards.
* It does not know what becomes of the records: no metric, no join.
"""

from __future__ import annotations

import atexit
import ctypes
import logging
import math
import os
import threading
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from types import MappingProxyType, TracebackType
from typing import Self, SupportsFloat, SupportsInt

import msgspec
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from driftline import values
from driftline.values import Limits, Scalar
from streams.servers import parse_servers

logger = logging.getLogger("driftline.publisher")

_LOG_INTERVAL_S = 10.0
_POLL_S = 0.1
_REPLACE_PAUSE_S = 1.0

# What a user may override through `kafka=`. Equal keys must meet in equal partitions whoever wrote
# them, hence the Java client's partitioner: librdkafka's own default (crc32) would break the join.
_DEFAULTS: Mapping[str, object] = MappingProxyType(
    {
        "client.id": "driftline-publisher",
        "partitioner": "murmur2_random",
        "compression.type": "lz4",
        "linger.ms": 10,
        "enable.idempotence": True,
        "acks": "all",
        "queue.buffering.max.kbytes": 131_072,
    }
)


class _Prediction(msgspec.Struct, omit_defaults=True, gc=False):
    prediction_id: str
    model: str
    timestamp_ms: int
    prediction: Scalar
    version: str = ""
    score: float | None = None
    scores: dict[str, float] | None = None
    features: dict[str, Scalar | None] | None = None
    segments: dict[str, str] | None = None
    latency_ms: float | None = None


class _Label(msgspec.Struct, omit_defaults=True, gc=False):
    prediction_id: str
    timestamp_ms: int
    label: Scalar | None = None
    model: str | None = None
    retract: bool = False


_encode = msgspec.json.Encoder().encode
_LIMITS = Limits()


class Publisher:
    """Send predictions and labels to Kafka without ever slowing the model server down.

    Records go to a bounded queue in memory; a background thread of the Kafka client, which starts
    with the first record, sends them.
    `prediction`, `label` and `retract` return at once: True if the record was queued, False if it
    was dropped. A drop is counted by reason in `dropped` and logged as a warning, at most once in
    ten seconds.

    The queue is flushed by `close`, on leaving a ``with`` block and at interpreter exit (not when
    the process is killed by a signal that Python does not handle, nor in children that end by
    `os._exit`, as those of `multiprocessing` do before Python 3.13: call `close` there). A process
    forked from one that holds a publisher (gunicorn's ``--preload``) gets its own connection and
    counters on its first call; what the parent queued stays with the parent. Fork before the parent
    publishes, or once its records are delivered: in a child forked at the very moment at which the
    parent's client looks a name up, the C library never finishes another look-up, and what that
    child publishes is lost as ``delivery_failed``.

    Parameters
    ----------
    bootstrap_servers
        Kafka brokers, ``host:port[,host:port]``. They need not be up.
    prefix
        Topics are ``<prefix>.predictions`` and ``<prefix>.labels``.
    queue_size
        Most records that wait for delivery, at least 1. Beyond that, calls drop with reason
        ``queue_full``.
    flush_timeout_s
        How long `close` and interpreter exit wait for delivery, in seconds; what is left then is
        dropped with reason ``delivery_failed``.
    limits
        What one record may hold; those of the workers, if they have others than by default.
    kafka
        More librdkafka settings, such as TLS or SASL; they override the defaults of this class.

    Raises
    ------
    ValueError
        On a setting out of range, or a list of brokers that is malformed.
    confluent_kafka.KafkaException
        On a Kafka setting that does not exist or does not parse. Both come from the constructor
        only.

    Notes
    -----
    Reasons of `dropped`: ``invalid`` (the values break the record's contract), ``too_large``,
    ``queue_full``, ``delivery_failed`` (queued, but not delivered in time or refused by the
    broker), ``unavailable`` (the Kafka client could not start or is being replaced), ``closed``.

    Scalars of numpy, pandas, torch and the like are converted (anything with ``ndim == 0`` and
    ``item()``), as are `decimal.Decimal` and `enum.Enum` values.

    A bad value costs the value, not the prediction: a negative latency, a score that is NaN or
    text, a list, a date or pandas' ``NA`` and ``NaT`` among the features, too many of them. It is
    left out, counted by field in `values_dropped`, and the first of each field is logged. What
    identifies a record, its time, a prediction and a label must be right.

    Examples
    --------
    >>> publisher = Publisher("localhost:9092", flush_timeout_s=0)
    >>> publisher.prediction(
    ...     prediction_id="r-17",
    ...     model="fraud",
    ...     version="3",
    ...     prediction=True,
    ...     score=0.93,
    ...     features={"amount": 120.0, "country": "FR"},
    ...     segments={"channel": "web"},
    ...     latency_ms=4.2,
    ... )
    True
    >>> publisher.label(prediction_id="r-17", label=False)
    True
    >>> publisher.prediction(prediction_id="", model="fraud", prediction=True)
    False
    >>> dict(publisher.dropped)
    {'invalid': 1}
    >>> publisher.close()
    """

    _producer: Producer | None
    _stop: threading.Event
    _pump: threading.Thread

    def __init__(
        self,
        bootstrap_servers: str = "localhost:9092",
        *,
        prefix: str = "driftline",
        queue_size: int = 100_000,
        flush_timeout_s: float = 5.0,
        limits: Limits = _LIMITS,
        kafka: Mapping[str, object] | None = None,
    ) -> None:
        if queue_size < 1:
            raise ValueError(f"queue_size must be at least 1, got {queue_size}")
        if not 0 <= flush_timeout_s < math.inf:
            raise ValueError(f"flush_timeout_s must be 0 or more, got {flush_timeout_s}")
        self._predictions_topic = f"{prefix}.predictions"
        self._labels_topic = f"{prefix}.labels"
        self._flush_timeout_s = flush_timeout_s
        self._limits = limits
        self._settings = {
            **_DEFAULTS,
            "queue.buffering.max.messages": queue_size,
            **(kafka or {}),
            "bootstrap.servers": parse_servers(bootstrap_servers, setting="bootstrap_servers"),
        }
        self._closed = False
        self._reset()
        self._check_settings()
        _live.add(self)

    def prediction(
        self,
        *,
        prediction_id: str,
        model: str,
        prediction: object,
        version: str = "",
        timestamp_ms: SupportsInt | None = None,
        score: SupportsFloat | None = None,
        scores: Mapping[str, SupportsFloat] | None = None,
        features: Mapping[str, object] | None = None,
        segments: Mapping[str, str] | None = None,
        latency_ms: SupportsFloat | None = None,
    ) -> bool:
        """Queue one prediction; the Kafka key is the prediction id.

        Parameters
        ----------
        prediction_id
            Identity of the prediction, by which its label finds it. Not empty.
        model, version
            Which model answered. The model's name is not empty.
        prediction
            The answer: a string, number or boolean; not None, NaN or infinite. A string of over 256
            bytes counts under its hash.
        timestamp_ms
            Time of the prediction, milliseconds UTC. None means now. Seconds, as ``time.time()``
            gives them, are ``invalid``, as are microseconds and nanoseconds.
        score
            Score or probability of the positive class, a finite number.
        scores
            Score per class, under the same rule. Class names that are not strings become strings
            as JSON writes them (1 is ``"1"``), True and False ``"1"`` and ``"0"``.
        features
            Strings, numbers, booleans or None by name. **NaN and infinite values are sent as null,
            which means missing.** Anything else is left out.
        segments
            Names of the groups that this prediction is also counted in, strings by string.
        latency_ms
            How long the model took, not negative.

        Returns
        -------
        bool
            True if queued, False if dropped. Never raises.
        """
        dropped: list[tuple[str, str, int]] = []
        limits, drop = self._limits, lambda *one: dropped.append(one)
        try:
            record = _Prediction(
                values.name(prediction_id, "prediction_id", limits),
                values.name(model, "model", limits),
                _now_ms() if timestamp_ms is None else values.time_ms(timestamp_ms),
                prediction if type(prediction) is str else values.answer(prediction, "prediction"),
                values.text(version, "version", limits),
                None if score is None else values.number(score, "score", drop),
                None if scores is None else values.scores(scores, drop, limits),
                None if features is None else values.features(features, drop, limits),
                None if segments is None else values.segments(segments, drop, limits),
                None
                if latency_ms is None
                else values.number(latency_ms, "latency_ms", drop, smallest=0.0),
            )
            value = _encoded(record, drop, limits)
        except Exception as error:  # noqa: BLE001 - a value's own code may raise anything; the server must live
            return self._drop("invalid", error)
        sent = self._send(self._predictions_topic, record.prediction_id, value)
        if dropped and sent:
            self._count_values(record.model, dropped)
        return sent

    def label(
        self,
        *,
        prediction_id: str,
        label: object,
        timestamp_ms: SupportsInt | None = None,
        model: str | None = None,
    ) -> bool:
        """Queue the ground truth of one prediction.

        A second label for the same id corrects the first: the newer `timestamp_ms` wins.

        Parameters
        ----------
        prediction_id
            Identity of the prediction. Not empty.
        label
            A string, number or boolean; not None, NaN or infinite. See `retract`.
        timestamp_ms
            When the label became known, milliseconds UTC, as for a prediction. None means now.
        model
            Optional, for people who read the topic.

        Returns
        -------
        bool
            True if queued, False if dropped. Never raises.
        """
        try:
            record = _Label(
                values.name(prediction_id, "prediction_id", self._limits),
                _now_ms() if timestamp_ms is None else values.time_ms(timestamp_ms),
                values.answer(label, "label"),
                None if model is None else values.name(model, "model", self._limits),
            )
            value = _encode(record)
        except Exception as error:  # noqa: BLE001 - as in prediction()
            return self._drop("invalid", error)
        return self._send(self._labels_topic, record.prediction_id, value)

    def retract(self, prediction_id: str, *, timestamp_ms: SupportsInt | None = None) -> bool:
        """Queue the withdrawal of a label: the prediction counts as unlabelled again.

        Parameters
        ----------
        prediction_id
            Identity of the prediction. Not empty.
        timestamp_ms
            When the label was withdrawn, milliseconds UTC, as for a prediction. None means now.

        Returns
        -------
        bool
            True if queued, False if dropped. Never raises.
        """
        try:
            record = _Label(
                values.name(prediction_id, "prediction_id", self._limits),
                _now_ms() if timestamp_ms is None else values.time_ms(timestamp_ms),
                retract=True,
            )
            value = _encode(record)
        except Exception as error:  # noqa: BLE001 - as in prediction()
            return self._drop("invalid", error)
        return self._send(self._labels_topic, record.prediction_id, value)

    @property
    def sent(self) -> int:
        """Count the records that were queued, whatever became of them."""
        return self._sent

    @property
    def delivered(self) -> int:
        """Count the records that the brokers acknowledged."""
        return self._delivered

    @property
    def dropped(self) -> Mapping[str, int]:
        """Count the records that were lost, by reason; a copy.

        ``delivery_failed`` records were queued before, so they are part of `sent` too.
        """
        with self._lock:
            return MappingProxyType(dict(self._dropped))

    @property
    def values_dropped(self) -> Mapping[str, int]:
        """Count the values that were left out of predictions that were queued, by field; a copy."""
        with self._lock:
            return MappingProxyType(dict(self._values_dropped))

    def close(self, timeout_s: float | None = None) -> None:
        """Send what is queued, then stop; later calls drop with reason ``closed``.

        Parameters
        ----------
        timeout_s
            How long to wait for delivery. None means `flush_timeout_s`.
        """
        with self._lock:
            producer, self._producer, self._closed = self._producer, None, True
        _live.discard(self)
        if producer is None:
            return
        _drain(producer, self._flush_timeout_s if timeout_s is None else timeout_s)
        # The client's destructor waits for its threads, however long a name look-up keeps them:
        # the last reference is left to the background thread, which nobody waits for without limit.
        del producer
        self._stop.set()
        if self._pump is not threading.current_thread():
            self._pump.join(timeout=10 * _POLL_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _reset(self) -> None:
        # An RLock: a signal handler or finaliser that publishes may interrupt the holder.
        self._lock = threading.RLock()
        self._producer = None
        self._sent = 0
        self._delivered = 0
        self._dropped: Counter[str] = Counter()
        self._values_dropped: Counter[str] = Counter()
        self._logged_s = -math.inf

    def _check_settings(self) -> None:
        # A client without brokers looks no name up and connects to nothing: a process may be forked
        # beside it. Those who preload an application fork right after making the publisher.
        Producer(
            {key: value for key, value in self._settings.items() if key != "bootstrap.servers"}
            | {"log_level": 0},
            logger=logger,
        )

    def _open(self) -> Producer | None:
        with self._lock:
            if self._producer is None and not self._closed:
                producer = self._connect()
                stop = threading.Event()
                pump = threading.Thread(
                    target=self._run, args=(producer, stop), name="driftline-publisher", daemon=True
                )
                pump.start()
                self._producer, self._stop, self._pump = producer, stop, pump
            return self._producer

    def _connect(self) -> Producer:
        return Producer({**self._settings, "on_delivery": self._on_delivery}, logger=logger)

    def _run(self, producer: Producer, stop: threading.Event) -> None:
        while not stop.is_set():
            try:
                producer.poll(_POLL_S)
            except KafkaException as error:  # only a fatal error is raised here
                logger.warning("Kafka client broke, making a new one: %s", error)
                if not stop.wait(_REPLACE_PAUSE_S):
                    producer = self._replace(producer)

    def _replace(self, broken: Producer) -> Producer:
        # After a fatal error of the idempotent producer every produce() fails for good; without a
        # new one the server would go on unwatched until somebody restarts it.
        with self._lock:
            if self._closed:
                return broken
            fresh = self._connect()
            self._producer = fresh
        _drain(broken, 0)
        return fresh

    def _send(self, topic: str, key: str, value: bytes) -> bool:
        if len(value) > self._limits.record_bytes:
            allowed = self._limits.record_bytes
            return self._drop("too_large", f"{len(value)} bytes, at most {allowed} are allowed")
        try:
            producer = self._producer or self._open()
            if producer is None:
                return self._drop("closed")
            producer.produce(topic, value, key)
        except BufferError:
            return self._drop("queue_full")
        except KafkaException as error:
            cause = error.args[0]
            too_large = cause.code() == KafkaError.MSG_SIZE_TOO_LARGE
            return self._drop("too_large" if too_large else "unavailable", error)
        except Exception as error:  # noqa: BLE001 - no thread or memory left to start the client with
            return self._drop("unavailable", error)
        with self._lock:
            self._sent += 1
        return True

    def _drop(self, reason: str, detail: object = None) -> bool:
        now_s = time.monotonic()
        with self._lock:
            self._dropped[reason] += 1
            if now_s - self._logged_s < _LOG_INTERVAL_S:
                return False
            self._logged_s = now_s
            counts = dict(self._dropped)
        logger.warning("record dropped: %s (%s); dropped so far: %s", reason, detail, counts)
        return False

    def _count_values(self, model: str, dropped: list[tuple[str, str, int]]) -> None:
        for field, why, count in dropped:
            with self._lock:
                first = field not in self._values_dropped
                self._values_dropped[field] += count
            if first:
                text = "left out: %s of model %.80r: %s; more of %s are only counted"
                logger.warning(text, field, model, why, field)

    def _on_delivery(self, error: KafkaError | None, _message: Message) -> None:
        if error is None:
            with self._lock:  # close() runs callbacks beside the background thread
                self._delivered += 1
        else:
            self._drop("delivery_failed", error)

    def _forget_parent(self) -> None:
        if self._producer is not None:
            # The client's threads do not exist in this process, so its destructor would wait for
            # them for ever: keep it alive until the process is gone.
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._producer))
        self._reset()


def _drain(producer: Producer, timeout_s: float) -> None:
    # A client that broke for good says so by raising; it has no more to deliver, only to report.
    remaining = 1
    with suppress(KafkaException):
        remaining = producer.flush(timeout_s)
    if remaining:
        with suppress(KafkaException):
            producer.purge()
        with suppress(KafkaException):
            producer.flush(1.0)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _encoded(record: _Prediction, drop: values.Drop, limits: Limits) -> bytes:
    try:
        return _encode(record)
    except Exception:  # noqa: BLE001 - a number of too many digits, half of a character
        if record.features is not None:
            record.features = values.features(record.features, drop, limits, careful=True)
        if record.segments is not None:
            record.segments = values.segments(record.segments, drop, limits, careful=True)
        return _encode(record)


_live: set[Publisher] = set()


def _close_all() -> None:
    for publisher in tuple(_live):
        publisher.close()


def _after_fork() -> None:
    for publisher in _live:
        publisher._forget_parent()


atexit.register(_close_all)
if hasattr(os, "register_at_fork"):  # absent on Windows
    os.register_at_fork(after_in_child=_after_fork)
