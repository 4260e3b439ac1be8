"""The way of a publisher's records to Kafka: a bounded queue, a client, and a thread that polls it.

Nothing here blocks a caller or raises into it, once it is made; what is lost is counted and logged.
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
from types import MappingProxyType

from confluent_kafka import KafkaError, KafkaException, Message, Producer

logger = logging.getLogger("driftline.publisher")

_LOG_INTERVAL_S = 10.0
_POLL_S = 0.1
_REPLACE_PAUSE_S = 1.0


class Delivery:
    """Queue records, and count what became of them.

    Parameters
    ----------
    settings
        Of librdkafka.
    flush_timeout_s
        How long `close` waits for delivery, in seconds.
    record_bytes
        Larger records are dropped.

    Raises
    ------
    confluent_kafka.KafkaException
        On a setting that does not exist or does not parse; from the constructor only.
    """

    _producer: Producer | None
    _stop: threading.Event
    _pump: threading.Thread

    def __init__(
        self, settings: Mapping[str, object], *, flush_timeout_s: float, record_bytes: int
    ) -> None:
        self._settings = settings
        self._flush_timeout_s = flush_timeout_s
        self._record_bytes = record_bytes
        self._closed = False
        self._reset()
        self._check_settings()
        _live.add(self)

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

    def send(self, topic: str, key: str, value: bytes) -> bool:
        """Queue a record; return whether it was queued."""
        if len(value) > self._record_bytes:
            allowed = self._record_bytes
            return self.drop("too_large", f"{len(value)} bytes, at most {allowed} are allowed")
        try:
            producer = self._producer or self._open()
            if producer is None:
                return self.drop("closed")
            producer.produce(topic, value, key)
        except BufferError:
            return self.drop("queue_full")
        except KafkaException as error:
            cause = error.args[0]
            too_large = cause.code() == KafkaError.MSG_SIZE_TOO_LARGE
            return self.drop("too_large" if too_large else "unavailable", error)
        except Exception as error:  # noqa: BLE001 - no thread or memory left to start the client with
            return self.drop("unavailable", error)
        with self._lock:
            self._sent += 1
        return True

    def drop(self, reason: str, detail: object = None) -> bool:
        """Count a record that is lost, and say so now and then; return False."""
        now_s = time.monotonic()
        with self._lock:
            self._dropped[reason] += 1
            if now_s - self._logged_s < _LOG_INTERVAL_S:
                return False
            self._logged_s = now_s
            counts = dict(self._dropped)
        logger.warning("record dropped: %s (%s); dropped so far: %s", reason, detail, counts)
        return False

    def count_values(self, model: str, dropped: list[tuple[str, str, int]]) -> None:
        """Count values that were left out: field, why, and how many."""
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
            self.drop("delivery_failed", error)

    def forget_parent(self) -> None:
        """Begin anew in a process that was forked."""
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


_live: set[Delivery] = set()


def _close_all() -> None:
    for delivery in tuple(_live):
        delivery.close()


def _after_fork() -> None:
    for delivery in _live:
        delivery.forget_parent()


atexit.register(_close_all)
if hasattr(os, "register_at_fork"):  # absent on Windows
    os.register_at_fork(after_in_child=_after_fork)
