"""Dead letters as Kafka records: what came, byte for byte, and why it could not be used.

The headers are those that Kafka Connect writes, so that its tools understand them, and
``driftline.reason``, a slug that is also a metric label. A producer's own headers of these names
are kept under ``original.<name>``: whoever reads dead letters may trust the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

from streams.errors import RecordError
from streams.steps import DeadLetter, Stage
from streams.topics import Topics

Headers: TypeAlias = list[tuple[str, bytes | None]]

KEPT_VALUE_BYTES = 512 << 10
KEPT_KEY_BYTES = 64 << 10
_OVERHEAD_BYTES = 4_096
_DETAIL_CHARS = 1_000
_OURS = ("driftline.", "__connect.errors.")
_ORIGINAL = "original."


class Origin(NamedTuple):
    """Where a dead letter arose."""

    stage: Stage
    partition: int
    worker_id: str


class DeadRecord(NamedTuple):
    """A dead letter, ready to be produced."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers


def dead_record(letter: DeadLetter, origin: Origin, *, limit_bytes: int) -> DeadRecord:
    """Address a dead letter.

    Parameters
    ----------
    limit_bytes
        Largest record that the dead-letter topic takes. A letter that is larger is cut, and says
        so in the header ``driftline.truncated``: with the reason and the offset it is still better
        than nothing, and than a worker that cannot go on.
    """
    kept: Headers = [(_renamed(name), text) for name, text in letter.headers or ()]
    added = _headers(letter, origin)
    key, value = letter.key, letter.value
    if _size_bytes(key, value, kept) + _size_bytes(None, None, added) > limit_bytes:
        added.append(("driftline.truncated", b"true"))
        value = None if value is None else value[:KEPT_VALUE_BYTES]
        key = None if key is None else key[:KEPT_KEY_BYTES]
        kept = kept if _size_bytes(None, None, kept) <= KEPT_KEY_BYTES else []
    return DeadRecord(Topics().dead_letters(letter.topic), key, value, kept + added)


def _renamed(name: str) -> str:
    # Whatever the case: some tools do not tell them apart.
    return _ORIGINAL + name if name.lower().startswith(_OURS) else name


def _headers(letter: DeadLetter, origin: Origin) -> Headers:
    stage = type(origin.stage)
    error = RecordError
    texts = {
        "__connect.errors.topic": letter.topic,
        "__connect.errors.partition": str(origin.partition),
        "__connect.errors.offset": str(letter.offset),
        "__connect.errors.connector.name": "driftline",
        "__connect.errors.task.id": origin.worker_id,
        "__connect.errors.stage": origin.stage.name,
        "__connect.errors.class.name": f"{stage.__module__}.{stage.__qualname__}",
        "__connect.errors.exception.class.name": f"{error.__module__}.{error.__qualname__}",
        "__connect.errors.exception.message": letter.detail[:_DETAIL_CHARS],
        "driftline.reason": letter.reason,
    }
    return [(name, text.encode(errors="replace")) for name, text in texts.items()]


def _size_bytes(
    key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes | None]]
) -> int:
    return (
        len(key or b"")
        + len(value or b"")
        + sum(len(name) + len(text or b"") + 10 for name, text in headers)
        + (_OVERHEAD_BYTES if value is not None or key is not None else 0)
    )
