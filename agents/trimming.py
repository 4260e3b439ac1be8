"""Keep state logs short: delete what the marks in them have made superfluous.

Deleting is not part of a transaction and needs none. It happens after the marks were committed,
and what was superfluous once stays so: a request that comes late, even from a worker that has
lost the partition, deletes nothing that anybody needs. One that fails is made again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from agents import clients
from agents.exits import say
from agents.idleness import Input
from agents.passing import passes
from agents.settings import Settings

_REQUEST_S = 30.0
_PAUSE_S = 2.0
_COMPLAINT_S = 600.0
_PATIENCE_S = 60.0  # what passes by itself has passed by then


class Trimmer:
    """Delete the beginnings of state logs, in the background.

    Parameters
    ----------
    clock
        Seconds, monotonic.
    """

    def __init__(self, settings: Settings, *, clock: Callable[[], float] = time.monotonic) -> None:
        # The embedded broker cannot delete records, and keeps few.
        self._admin = None if settings.embedded else AdminClient(clients.admin(settings))
        self._clock = clock
        self._wanted: dict[Input, int] = {}
        self._asked: dict[Input, int] = {}
        self._answers: dict[Input, Future[Any]] = {}
        self._due_s = self._complaint_due_s = 0.0
        self._failing_since_s: dict[Input, float] = {}

    def want(self, log: Input, *, before: int) -> None:
        """Note that records of a log before an offset may be deleted."""
        self._wanted[log] = before

    def advance(self) -> None:
        """Look at the answers that have come, and ask for what is due; does not wait."""
        if self._admin is None or self._clock() < self._due_s:
            return
        if not all(answer.done() for answer in self._answers.values()):
            return
        for log, answer in self._answers.items():
            self._take(log, answer)
        todo = {log: end for log, end in self._wanted.items() if self._asked.get(log) != end}
        self._asked |= todo
        self._answers = {}
        if todo:
            places = [TopicPartition(*log, end) for log, end in todo.items()]
            answers = self._admin.delete_records(places, request_timeout=_REQUEST_S)
            self._answers = {(tp.topic, tp.partition): future for tp, future in answers.items()}
        self._due_s = self._clock() + _PAUSE_S

    def _take(self, log: Input, answer: Future[Any]) -> None:
        error = answer.exception()
        if error is None:
            self._failing_since_s.pop(log, None)
            return
        self._asked.pop(log, None)
        since_s = self._failing_since_s.setdefault(log, self._clock())
        if passes(error) and self._clock() < since_s + _PATIENCE_S:
            return  # it is asked for again, and nobody can do anything about it
        cause, hint = str(error), ""
        if isinstance(error, KafkaException):
            cause = error.args[0].str()
            if error.args[0].code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
                hint = f"; the worker needs the right to Delete on topic {log[0]}"
        if self._clock() >= self._complaint_due_s:
            self._complaint_due_s = self._clock() + _COMPLAINT_S
            say(f"the state log {log[0]}/{log[1]} cannot be shortened and grows: {cause}{hint}")
