"""A worker tells how it is: every ten seconds, on the topic ``<prefix>.workers``.

Rules of this file:

* Nothing that counts waits for it or fails by it: it has a client and a thread of its own, and what
  cannot be written is left out, and said once.
* A worker that stops cleanly takes back what it told. Of one that was killed, readers leave out
  what is old; see `agents.installation`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import msgspec
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from agents import clients
from agents.exits import say
from agents.settings import Settings
from agents.status import Status
from streams.topics import Topics

INTERVAL_S = 10.0
_FIRST_S = 1.0
_FAREWELL_S = 3.0


class Announcer:
    """Write a worker's status to the topic, from a thread of its own.

    Parameters
    ----------
    told
        Tells how the worker is, on any thread but the main loop's; it raises `RuntimeError` or
        `TimeoutError` if it cannot.
    """

    def __init__(self, settings: Settings, *, told: Callable[[], Status]) -> None:
        self._topic, self._key = Topics(settings.prefix).workers, settings.worker_id
        self._settings, self._told = settings, told
        self._ends = threading.Event()
        self._complained = False
        self._thread = threading.Thread(target=self._run, name="driftline-status", daemon=True)

    def start(self) -> None:
        """Begin to tell."""
        self._thread.start()

    def stop(self) -> None:
        """Take back what was told; waits for some seconds, and must not be called on the loop."""
        self._ends.set()
        if self._thread.is_alive():
            self._thread.join(INTERVAL_S + 2 * _FAREWELL_S)

    def _run(self) -> None:
        producer = Producer(clients.announcer(self._settings))
        pause_s = _FIRST_S
        while not self._ends.wait(pause_s):
            try:
                status = self._told()
            except (RuntimeError, TimeoutError):  # it has not started yet, or is busy
                continue
            self._write(producer, msgspec.json.encode(status))
            pause_s = INTERVAL_S
        if pause_s == INTERVAL_S:
            self._write(producer, None)
            producer.flush(_FAREWELL_S)

    def _write(self, producer: Producer, value: bytes | None) -> None:
        try:
            producer.produce(self._topic, value, self._key, on_delivery=self._on_delivery)
            producer.poll(0)
        except (BufferError, KafkaException) as error:
            self._complain(error)

    def _on_delivery(self, error: KafkaError | None, _message: Message) -> None:
        if error is None:
            self._complained = False
        else:
            self._complain(error)

    def _complain(self, error: object) -> None:
        if not self._complained:
            self._complained = True
            say(f"{self._topic}: what this worker tells of itself is not written: {error}")
