"""End a worker that stalls or outgrows its memory, from a thread beside the event loop.

What counts as a stall says `progress`, what as too much memory says `memory`; here are the clock,
the thread, the question to the broker, and the end. A supervisor starts the worker again.

A question that cannot be put, for want of descriptors or threads, is one without an answer: what
has run out may come back, and who watches must not be the first to go.

It cannot see what stops the whole process: a call that never releases the interpreter's lock, or
a stopped machine. That is for a probe of ``/livez`` from outside, which then gets no answer.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from typing import Any

import psutil
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from agents import clients
from agents.ends import ask_offsets
from agents.exits import describe, end_process, say
from agents.health import Health
from agents.idleness import Input
from agents.memory import Budget, detect_budget
from agents.progress import LOOK_S, Watch
from agents.settings import Settings


class Watchdog:
    """Watch one worker; the methods may be called on any thread.

    Parameters
    ----------
    resident_bytes
        Reads the memory that the process uses; None asks the system.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        health: Health,
        resident_bytes: Callable[[], int] | None = None,
    ) -> None:
        stall_s = settings.stall_ms / 1_000
        budget_bytes = settings.memory_budget_bytes
        if budget_bytes is None:
            budget_bytes = detect_budget(host_bytes=psutil.virtual_memory().total)
        process = psutil.Process()
        self._settings = settings
        self._health = health
        self._watch = Watch(stall_s, now_s=time.monotonic())
        self._budget = Budget(budget_bytes)
        self._read_resident_bytes = resident_bytes or (lambda: process.memory_info().rss)
        self._last_resident_bytes = 0
        self._look_s = min(LOOK_S, stall_s / 20)
        self._ask_s = stall_s / 6
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._inputs: Callable[[], list[Input]] = list
        self._admin: AdminClient | None = None
        self._question: Mapping[Input, Future[Any]] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pinged = False

    def start(self, loop: asyncio.AbstractEventLoop, *, inputs: Callable[[], list[Input]]) -> None:
        """Begin to watch.

        Parameters
        ----------
        inputs
            Gives those that the worker owns: about them the broker is asked.
        """
        self._loop = loop
        self._inputs = inputs
        self._watch.looked(time.monotonic())
        threading.Thread(target=self._run, name="driftline-watchdog", daemon=True).start()

    def stop(self) -> None:
        """Watch no more: the worker is ending as it should."""
        self._stopped.set()

    def complaint(self) -> str | None:
        """Say what is wrong, or None."""
        used_up = self._budget.verdict(
            self._resident_bytes(), pending=self._health.pending_predictions
        )
        if used_up is not None or self._stopped.is_set():
            return used_up
        with self._lock:
            return self._watch.verdict(time.monotonic())

    # --- signs of life

    @contextmanager
    def busy(self, what: str) -> Iterator[None]:
        """Note that work goes on which must end or progress, until the block ends."""
        with self._lock:
            self._watch.began(what, time.monotonic())
        try:
            yield
        finally:
            with self._lock:
                self._watch.ended(what, time.monotonic())

    def progressed(self, what: str) -> None:
        """Note progress of such work."""
        with self._lock:
            self._watch.progressed(what, time.monotonic())

    def committed(self) -> None:
        """Note that records were processed for good."""
        with self._lock:
            self._watch.committed(time.monotonic())

    def lag_seen(self, lags: Mapping[Input, int]) -> None:
        """Note how far the inputs that are being read are behind."""
        with self._lock:
            self._watch.lag_seen(lags, time.monotonic())

    # --- the thread

    def _run(self) -> None:
        try:
            while not self._stopped.wait(self._look_s):
                self._look(time.monotonic())
        except BaseException as error:  # noqa: BLE001 - nobody would watch any more
            end_process(f"watchdog: {describe(error)}")

    def _look(self, now_s: float) -> None:
        with self._lock:
            self._watch.looked(now_s)
        self._ping()
        self._ask(now_s)
        self._look_at_memory(now_s)
        if (wrong := self.complaint()) is not None and not self._stopped.is_set():
            end_process(wrong)

    def _resident_bytes(self) -> int:
        """Return the memory in use; what was read last, if the system does not let it be read."""
        with suppress(OSError, psutil.Error):
            self._last_resident_bytes = self._read_resident_bytes()
        return self._last_resident_bytes

    def _ping(self) -> None:
        assert self._loop is not None
        if not self._pinged:
            self._pinged = True
            with suppress(RuntimeError):  # closed: the worker is ending
                self._loop.call_soon_threadsafe(self._pong)

    def _pong(self) -> None:
        """Run on the event loop, which is the proof that it runs."""
        with self._lock:
            self._watch.loop_answered(time.monotonic())
        self._pinged = False

    def _ask(self, now_s: float) -> None:
        """Ask the broker where the inputs end, without waiting: all that counts is an answer."""
        if self._question is not None:
            if all(answer.done() for answer in self._question.values()):
                answered = not any(answer.exception() for answer in self._question.values())
                self._question = None
                with self._lock:
                    self._watch.broker_answered(answered, now_s)
            return
        with self._lock:
            must_ask = self._watch.must_ask(now_s)
        if must_ask and (wanted := self._inputs()):
            self._question = self._put_question(wanted)
            if self._question is None:
                with self._lock:
                    self._watch.broker_answered(False, now_s)

    def _put_question(self, wanted: list[Input]) -> Mapping[Input, Future[Any]] | None:
        try:
            self._admin = self._admin or AdminClient(clients.admin(self._settings))
            return ask_offsets(self._admin, wanted, latest=True, timeout_s=self._ask_s)
        except (KafkaException, OSError):
            return None

    def _look_at_memory(self, now_s: float) -> None:
        resident_bytes, pending = self._resident_bytes(), self._health.pending_predictions
        near = self._budget.near(resident_bytes)
        self._health.memory(budget_bytes=self._budget.budget_bytes, pressure=near)
        if line := self._budget.warning(resident_bytes, pending=pending, now_s=now_s):
            say(line)
