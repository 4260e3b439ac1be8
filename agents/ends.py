"""Ask brokers where partitions begin and end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

from confluent_kafka import IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from agents.exits import say
from agents.idleness import Input
from agents.passing import passes

_FRESH_S = 2.0
_REQUEST_S = 5.0
_PAUSE_S = 0.2
_COMPLAINT_S = 5.0


def ask_offsets(
    admin: AdminClient,
    sources: Iterable[Input],
    *,
    latest: bool,
    stable: bool = False,
    timeout_s: float = _FRESH_S,
) -> dict[Input, Future[Any]]:
    """Ask, without waiting, where partitions end or begin; the answers have an `offset`.

    Not a matter for the worker's consumer: its requests queue behind its own fetches.

    Parameters
    ----------
    latest
        Whether the end is asked for, or the first offset that is still there.
    stable
        Whether the end is the last stable offset, before any transaction that is open, or the end
        of all that was written.
    """
    spec = OffsetSpec.latest() if latest else OffsetSpec.earliest()  # type: ignore[no-untyped-call]
    level = IsolationLevel.READ_COMMITTED if stable else IsolationLevel.READ_UNCOMMITTED
    wanted = {TopicPartition(*source): spec for source in sources}
    if not wanted:
        return {}
    answers = admin.list_offsets(wanted, isolation_level=level, request_timeout=timeout_s)
    return {(key.topic, key.partition): answer for key, answer in answers.items()}


def offsets_since(
    admin: AdminClient, sources: Sequence[Input], at_ms: int, *, timeout_s: float = 15.0
) -> dict[Input, int]:
    """Find the first record of each partition that was written then or later, or else its end.

    Raises
    ------
    KafkaException, TimeoutError
        If brokers refuse, or do not answer.
    """
    spec = OffsetSpec.for_timestamp(at_ms)
    answers = admin.list_offsets({TopicPartition(*source): spec for source in sources})
    first = {(at.topic, at.partition): one.result(timeout_s).offset for at, one in answers.items()}
    until_s = time.monotonic() + timeout_s
    ends = find_offsets(admin, sources, latest=True, wanted=lambda: time.monotonic() < until_s)
    return {at: offset if offset >= 0 else ends[at] for at, offset in first.items()}


def find_offsets(
    admin: AdminClient, sources: Iterable[Input], *, latest: bool, wanted: Callable[[], bool]
) -> dict[Input, int]:
    """Return where partitions end (of all that was written) or begin; waits for brokers.

    What passes is waited for: a leader that has gone is replaced after some seconds. To wait longer
    than that is the caller's decision.

    Parameters
    ----------
    wanted
        Whether somebody still wants to know.

    Raises
    ------
    KafkaException, TimeoutError
        Whatever does not pass, or is not wanted any more.
    """
    found: dict[Input, int] = {}
    left = set(sources)
    complaint_due_s = time.monotonic() + _COMPLAINT_S
    while left:
        answers = ask_offsets(admin, left, latest=latest, timeout_s=_REQUEST_S)
        for (topic, number), answer in answers.items():
            try:
                found[topic, number] = answer.result(_REQUEST_S + 1).offset
            except (KafkaException, TimeoutError) as error:
                if not passes(error) or not wanted():
                    raise
                if time.monotonic() >= complaint_due_s:
                    complaint_due_s = time.monotonic() + _COMPLAINT_S
                    say(f"waiting for {topic}/{number}: {error}")
        left -= found.keys()
        if left:
            time.sleep(_PAUSE_S)
            _find_leaders(admin)
    return found


def _find_leaders(admin: AdminClient) -> None:
    """Let an admin client look for the leaders anew: an error alone does not make it do so."""
    with suppress(KafkaException):
        admin.list_topics(timeout=_FRESH_S)
