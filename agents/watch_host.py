"""`driftline watch-host`: publish what a machine, its GPUs and some processes are busy with.

Rules of this file:

* A sensor that fails, or vanishes, costs its own field and nothing else.
* The loop waits for no broker and no driver: readings are queued, and what cannot be delivered is
  counted and said.
"""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Sequence
from pathlib import Path
from threading import Event
from types import ModuleType
from typing import Any, NamedTuple

import psutil
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from agents import clients, topics_admin
from agents.exits import say
from agents.host import Host, Watched
from agents.host_gpus import READERS, GpuFields
from agents.resources import Gpus
from agents.settings import Settings
from streams.errors import ConfigError, NoAnswerError
from streams.readings import Reading, encode
from streams.topics import Topics

_FLUSH_S = 10.0
_DRIVER_S = 10.0
_ONCE_S = 1.0
_COMPLAINT_S = 60.0


class Wanted(NamedTuple):
    """What is watched.

    Attributes
    ----------
    models
        In whose windows readings count; empty for `host:<hostname>`.
    interval_s
        Between readings.
    once
        Whether one reading is all.
    """

    models: Sequence[str] = ()
    interval_s: float = 10.0
    pids: Sequence[int] = ()
    disk: Path = Path("/")
    once: bool = False


class Machine:
    """Reads everything that is wanted of this machine.

    Parameters
    ----------
    nvml
        See `agents.resources.Gpus`.

    Raises
    ------
    ConfigError
        If there is no process of a number.
    """

    def __init__(self, wanted: Wanted, *, nvml: ModuleType | None = None) -> None:
        self.name = socket.gethostname()
        self._host = Host(disk=wanted.disk)
        self._watched = [_watched(pid) for pid in wanted.pids]
        self._gpus = Gpus(interval_s=wanted.interval_s, nvml=nvml, readers=READERS)
        self._gpu_fields = GpuFields()
        self._gpus.tried.wait(_DRIVER_S)
        self.has_gpus = bool(self._gpus.latest)
        self._said_gone: set[int] = set()

    def read(self, *, now_s: float, now_ms: int) -> list[Reading]:
        """Return a reading of the machine, one of each GPU, and one of each process.

        They name no model yet.

        Parameters
        ----------
        now_s, now_ms
            The monotonic clock, and the time.
        """
        every: list[dict[str, Any]] = [self._host.read(at_s=now_s)]
        every += self._gpu_fields.of(self._gpus.latest)
        for one in self._watched:
            fields = one.read(at_s=now_s)
            if fields:
                every.append({"pid": one.pid, **fields})
            elif not one.is_there and one.pid not in self._said_gone:
                self._said_gone.add(one.pid)
                say(f"process {one.pid} is gone: nothing is read of it any more")
        return [
            Reading(model="", timestamp_ms=now_ms, host=self.name, **fields)
            for fields in every
            if fields
        ]

    def stop(self) -> None:
        """End the thread that reads the GPUs."""
        self._gpus.stop()


class Sending:
    """Queues readings for Kafka, and says what was not delivered.

    Attributes
    ----------
    lost
        How many were not delivered, or found no room in the queue.
    """

    def __init__(self, settings: Settings, models: Sequence[str]) -> None:
        self.lost = 0
        self._models = models
        self._topic = Topics(settings.prefix).resources
        self._complaint_due_s = 0.0
        self._producer = Producer(clients.host_producer(settings))

    def send(self, readings: Sequence[Reading]) -> None:
        """Queue readings for every model."""
        for model in self._models:
            for one in readings:
                self._send(model, _of_model(one, model))
        self.poll()

    def _send(self, model: str, reading: Reading) -> None:
        try:
            self._producer.produce(
                self._topic, encode(reading), model.encode(), on_delivery=self._delivered
            )
        except BufferError:
            self._lose("the queue is full: no broker has taken any for long")
        except KafkaException as error:
            self._lose(error.args[0].str())

    def poll(self) -> None:
        """Take note of what became of what was sent; does not wait."""
        try:
            self._producer.poll(0)
        except KafkaException as error:  # raised of what is fatal
            self._lose(error.args[0].str())

    def close(self) -> None:
        """Wait for what is queued to be delivered, for some seconds."""
        try:
            left = self._producer.flush(_FLUSH_S)
        except KafkaException as error:
            say(f"readings were not delivered: {error.args[0].str()}")
            left = len(self._producer)
        if left:
            self.lost += left
            say(f"{left} readings were not delivered before the end")

    def _delivered(self, error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            self._lose(error.str())

    def _lose(self, why: str) -> None:
        self.lost += 1
        now_s = time.monotonic()
        if now_s >= self._complaint_due_s:
            self._complaint_due_s = now_s + _COMPLAINT_S
            say(f"a reading was not delivered ({self.lost} so far): {why}")


def watch_host(settings: Settings, wanted: Wanted, *, nvml: ModuleType | None = None) -> None:
    """Publish readings until SIGTERM or Ctrl-C, or once.

    Raises
    ------
    ConfigError
        If the broker cannot be reached or has no such topic, or there is no process of a number;
        and of one reading that was not delivered.
    """
    _check_topic(settings)
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    machine = Machine(wanted, nvml=nvml)
    models = list(wanted.models) or [f"host:{machine.name}"]
    sending = Sending(settings, models)
    say(
        f"watching host {machine.name} for {', '.join(models)}, every {wanted.interval_s:g} s"
        + ("" if machine.has_gpus else "; there is no GPU that NVML can read")
    )
    try:
        _run(machine, sending, wanted, stop)
    finally:
        machine.stop()
        sending.close()
    if wanted.once and sending.lost:
        raise NoAnswerError(f"{sending.lost} readings were not delivered")
    say("stopped")


def _run(machine: Machine, sending: Sending, wanted: Wanted, stop: Event) -> None:
    # Counts that grow are divided by the time that has passed since the machine was first read.
    wait_s = min(wanted.interval_s, _ONCE_S) if wanted.once else wanted.interval_s
    due_s = time.monotonic() + wait_s
    while not stop.wait(max(0.0, due_s - time.monotonic())):
        now_s = time.monotonic()
        sending.send(machine.read(now_s=now_s, now_ms=time.time_ns() // 1_000_000))
        if wanted.once:
            return
        # A machine that slept does not catch up.
        due_s = max(due_s + wanted.interval_s, now_s)


def _check_topic(settings: Settings) -> None:
    clients.check(settings)
    topic = Topics(settings.prefix).resources
    if topic not in topics_admin.existing(settings):
        raise ConfigError(
            f"no topic {topic} at {settings.bootstrap_servers}, or none that this user may"
            " Describe; create it with: driftline topics create"
        )


def _of_model(reading: Reading, model: str) -> Reading:
    values = {name: getattr(reading, name) for name in reading.__struct_fields__}
    return Reading(**{**values, "model": model})


def _watched(pid: int) -> Watched:
    try:
        return Watched(pid)
    except psutil.Error as error:
        raise ConfigError(f"--pid: {pid} cannot be watched: {error}") from None
