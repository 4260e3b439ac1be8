"""Publish predictions and labels from a model server.

Rules of this file:

* Nothing here blocks a caller or raises into it, once the publisher is made. What cannot be sent is
  dropped and counted with a reason.
* A record is serialised during the call, so that the caller may reuse its dictionaries afterwards.
* It does not know what becomes of the records: no metric, no join.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import SupportsFloat, SupportsInt

from driftline import values
from driftline.closing import Closing
from driftline.delivery import Delivery
from driftline.records import LabelRecord, PredictionRecord, encode, encoded
from driftline.servers import parse_servers
from driftline.values import Limits

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

_LIMITS = Limits()
_ERROR_CHARS = 200


class Publisher(Closing):
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
        self._limits = limits
        settings = {
            **_DEFAULTS,
            "queue.buffering.max.messages": queue_size,
            **(kafka or {}),
            "bootstrap.servers": parse_servers(bootstrap_servers, setting="bootstrap_servers"),
        }
        self._delivery = Delivery(
            settings, flush_timeout_s=flush_timeout_s, record_bytes=limits.record_bytes
        )

    def prediction(
        self,
        *,
        prediction_id: str,
        model: str,
        prediction: object = None,
        version: str = "",
        timestamp_ms: SupportsInt | None = None,
        score: SupportsFloat | None = None,
        scores: Mapping[str, SupportsFloat] | None = None,
        features: Mapping[str, object] | None = None,
        segments: Mapping[str, str] | None = None,
        latency_ms: SupportsFloat | None = None,
        error: object = None,
    ) -> bool:
        """Queue one prediction; the Kafka key is the prediction id.

        Parameters
        ----------
        prediction_id
            Identity of the prediction, by which its label finds it. Not empty.
        model, version
            Which model answered. The model's name is not empty.
        prediction
            The answer: a string, number or boolean; not NaN or infinite, and None only beside
            `error`. A string of over 256 bytes counts under its hash.
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
        error
            Why the request failed, such as an exception; the first 200 characters of its text are
            sent. The prediction counts as one that failed, and in nothing else; its text goes no
            further than the topic of predictions.

        Returns
        -------
        bool
            True if queued, False if dropped. Never raises.
        """
        dropped: list[tuple[str, str, int]] = []
        limits, drop = self._limits, lambda *one: dropped.append(one)
        try:
            failed = None if error is None else (str(error) or type(error).__name__)[:_ERROR_CHARS]
            record = PredictionRecord(
                values.name(prediction_id, "prediction_id", limits),
                values.name(model, "model", limits),
                _now_ms() if timestamp_ms is None else values.time_ms(timestamp_ms),
                _answer(prediction, failed),
                values.text(version, "version", limits),
                None if score is None else values.number(score, "score", drop),
                None if scores is None else values.scores(scores, drop, limits),
                None if features is None else values.features(features, drop, limits),
                None if segments is None else values.segments(segments, drop, limits),
                None
                if latency_ms is None
                else values.number(latency_ms, "latency_ms", drop, smallest=0.0),
                failed,
            )
            value = encoded(record, drop, limits)
        except Exception as why:  # noqa: BLE001 - a value's own code may raise anything; the server must live
            return self._delivery.drop("invalid", why)
        sent = self._delivery.send(self._predictions_topic, record.prediction_id, value)
        if dropped and sent:
            self._delivery.count_values(record.model, dropped)
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
            record = LabelRecord(
                values.name(prediction_id, "prediction_id", self._limits),
                _now_ms() if timestamp_ms is None else values.time_ms(timestamp_ms),
                values.answer(label, "label"),
                None if model is None else values.name(model, "model", self._limits),
            )
            value = encode(record)
        except Exception as error:  # noqa: BLE001 - as in prediction()
            return self._delivery.drop("invalid", error)
        return self._delivery.send(self._labels_topic, record.prediction_id, value)

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
            record = LabelRecord(
                values.name(prediction_id, "prediction_id", self._limits),
                _now_ms() if timestamp_ms is None else values.time_ms(timestamp_ms),
                retract=True,
            )
            value = encode(record)
        except Exception as error:  # noqa: BLE001 - as in prediction()
            return self._delivery.drop("invalid", error)
        return self._delivery.send(self._labels_topic, record.prediction_id, value)

    @property
    def sent(self) -> int:
        """Count the records that were queued, whatever became of them."""
        return self._delivery.sent

    @property
    def delivered(self) -> int:
        """Count the records that the brokers acknowledged."""
        return self._delivery.delivered

    @property
    def dropped(self) -> Mapping[str, int]:
        """Count the records that were lost, by reason; a copy.

        ``delivery_failed`` records were queued before, so they are part of `sent` too.
        """
        return self._delivery.dropped

    @property
    def values_dropped(self) -> Mapping[str, int]:
        """Count the values that were left out of predictions that were queued, by field; a copy."""
        return self._delivery.values_dropped

    def close(self, timeout_s: float | None = None) -> None:
        """Send what is queued, then stop; later calls drop with reason ``closed``.

        Parameters
        ----------
        timeout_s
            How long to wait for delivery. None means `flush_timeout_s`.
        """
        self._delivery.close(timeout_s)


def _answer(prediction: object, failed: str | None) -> values.Scalar | None:
    if prediction is None and failed is not None:
        return None
    return prediction if type(prediction) is str else values.answer(prediction, "prediction")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
