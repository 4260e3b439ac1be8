"""Ask a broker where partitions end."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Future
from typing import Any

from confluent_kafka import IsolationLevel, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from agents.idleness import Input

_FRESH_S = 2.0


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
