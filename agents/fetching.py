"""Take records from librdkafka by columns, in C (`fetching.c`), where that was compiled.

confluent-kafka makes an object of every record, which costs more than all that is done with it
later. Here records are copied into columns instead. Everything else that a consumer does stays
confluent-kafka's: this only takes records from a queue to which open partitions are forwarded.
"""

from __future__ import annotations

import ctypes
import struct
from array import array
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from confluent_kafka import Consumer, KafkaException, cimpl

from streams import native
from streams.columns import kernels
from streams.steps import Batch
from streams.texts import Texts

LIBRARY = Path(__file__).with_name("_fetching.so")

_FUNCTIONS = (
    "conf_interceptor_add_on_new",
    "queue_new",
    "queue_destroy",
    "queue_get_partition",
    "queue_forward",
    "queue_poll",
    "event_type",
    "event_message_next",
    "event_error",
    "event_error_string",
    "event_error_is_fatal",
    "event_topic_partition",
    "event_destroy",
    "topic_partition_destroy",
    "message_timestamp",
    "message_headers",
    "header_get_all",
    "topic_name",
)


class _Group(ctypes.Structure):
    _fields_ = (
        ("topic", ctypes.c_char_p),
        *((name, ctypes.c_int64) for name in ("partition", "error", "fatal", "offset", "count")),
        *((name, ctypes.c_int64) for name in ("value_bytes", "key_bytes", "header_bytes", "nulls")),
        ("reason", ctypes.c_char_p),
        ("place", ctypes.c_void_p),
    )


class _Taken(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("events", "messages", "group_of")),
        ("groups", ctypes.POINTER(_Group)),
        ("topics", ctypes.c_void_p),
        *((name, ctypes.c_int64) for name in ("most", "count", "group_count")),
    )


class Failure(NamedTuple):
    """An error, or the end of a partition, which librdkafka tells in the same way."""

    topic: str
    partition: int
    offset: int
    code: int
    reason: str
    fatal: bool = False


class Found(NamedTuple):
    """Records of one partition."""

    batch: Batch
    partition: int


def _load() -> Any:
    """Return the compiled part, `None` if it is not there or does not fit to librdkafka."""
    try:
        library = ctypes.CDLL(str(LIBRARY))
        kafka = ctypes.CDLL(cimpl.__file__)  # with what it depends on
        functions = [getattr(kafka, f"rd_kafka_{name}") for name in _FUNCTIONS]
        use = library.driftline_use
    except (OSError, AttributeError):
        return None
    addresses = [ctypes.cast(function, ctypes.c_void_p).value for function in functions]
    sizes = (len(addresses), ctypes.sizeof(_Group), ctypes.sizeof(_Taken))
    if not use((ctypes.c_void_p * len(addresses))(*addresses), *map(ctypes.c_size_t, sizes)):
        return None  # it was compiled from sources with other layouts than these
    for name in ("newest", "queue"):
        getattr(library, f"driftline_{name}").restype = ctypes.c_void_p
    library.driftline_take.restype = ctypes.c_int64
    return library


_library: Any = _load()

available = _library is not None
"""Whether the compiled part is there."""


def describe() -> str:
    """Say whether the compiled parts are there."""
    if available and native.available and kernels.available:
        return "compiled parts: yes"
    return "compiled parts: no, an event costs two or three times as much"


def consumer_and_fetcher(
    config: Mapping[str, Any], *, most: int
) -> tuple[Consumer, Fetcher | None]:
    """Make a consumer, and a fetcher of what it reads, where that is possible.

    Parameters
    ----------
    most
        Records that are taken at once.
    """
    if available and native.available:
        plugins = filter(None, [config.get("plugin.library.paths"), str(LIBRARY)])
        try:
            consumer = Consumer({**config, "plugin.library.paths": ";".join(plugins)})
        except KafkaException:  # a librdkafka without plugins
            return Consumer(dict(config)), None
        client = _library.driftline_newest()
        return consumer, Fetcher(client, most=most) if client else None
    return Consumer(dict(config)), None


class Fetcher:
    """Take what a consumer has fetched of the partitions that are forwarded.

    Parameters
    ----------
    client
        Address of the consumer's client in librdkafka.
    """

    def __init__(self, client: int, *, most: int) -> None:
        self._client = ctypes.c_void_p(client)
        self._queue: ctypes.c_void_p | None = ctypes.c_void_p(
            _library.driftline_queue(self._client)
        )
        self._groups = (_Group * most)()
        self._room = [(ctypes.c_void_p * most)() for _ in range(3)]
        self._group_of = (ctypes.c_int32 * most)()
        events, messages, topics = map(ctypes.addressof, self._room)
        self._taken = _Taken(
            events, messages, ctypes.addressof(self._group_of), self._groups, topics, most
        )

    def forward(self, topic: str, partition: int) -> None:
        """Take records of a partition here; after each assignment, and before any is fetched."""
        if not _library.driftline_forward(
            self._client, topic.encode(), ctypes.c_int32(partition), self._queue
        ):
            raise RuntimeError(f"{topic}/{partition}: librdkafka has no such partition")

    def take(self, timeout_s: float) -> tuple[list[Failure], list[Found]]:
        """Take records; waits only as long as there are none."""
        assert self._queue
        groups = _library.driftline_take(
            self._queue, ctypes.c_int(int(1_000 * timeout_s)), ctypes.byref(self._taken)
        )
        try:
            if groups < 0:
                raise RuntimeError("librdkafka handed over a record that has an error")
            failures = [_failure(group) for group in self._groups[:groups] if group.error]
            found = [
                Found(self._batch(number), self._groups[number].partition)
                for number in range(groups)
                if not self._groups[number].error
            ]
        finally:
            _library.driftline_release(ctypes.byref(self._taken))
        return failures, found

    def close(self) -> None:
        """Give the queue back; before the consumer is closed, and nothing is taken afterwards."""
        assert self._queue
        _library.driftline_close(self._queue)
        self._queue = None

    def _batch(self, number: int) -> Batch:
        group = self._groups[number]
        count: int = group.count
        data = [np.empty(size, np.uint8) for size in (group.value_bytes, group.key_bytes)]
        ends = [np.empty(count + 1, np.int64) for _ in range(3)]
        # These are asked for single numbers, which must be Python's.
        offsets, times_ms = (array("q", bytes(8 * count)) for _ in range(2))
        nulls = np.empty(count, np.uint8) if group.nulls else None
        headers = np.empty(group.header_bytes, np.uint8) if group.header_bytes else None
        _library.driftline_copy(
            ctypes.byref(self._taken),
            ctypes.c_int64(number),
            *map(native.address_of, (data[0], ends[0], data[1], ends[1])),
            *(ctypes.c_void_p(column.buffer_info()[0]) for column in (offsets, times_ms)),
            *map(native.address_of, (nulls, headers, ends[2])),
        )
        values, keys = Texts(data[0], ends[0]), Texts(data[1], ends[1])
        return Batch(
            topic=group.topic.decode(),
            offsets=offsets,
            keys=keys if nulls is None else _with_nulls(keys, nulls & 2),
            values=values if nulls is None else _with_nulls(values, nulls & 1),
            times_ms=times_ms,
            next_offset=offsets[-1] + 1,
            headers=None if headers is None else Headers(Texts(headers, ends[2])),
        )


class Headers(Sequence[Any]):
    """Headers of records, unpacked when they are asked for."""

    def __init__(self, packed: Texts) -> None:
        self._packed = packed

    @property
    def size_bytes(self) -> int:
        """Bytes of all of them."""
        return self._packed.size_bytes

    def __len__(self) -> int:
        return len(self._packed)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return Headers(self._packed[index])
        return list(_unpacked(self._packed[index])) or None


def _unpacked(packed: bytes) -> Iterator[tuple[str, bytes | None]]:
    at = 4
    for _ in range(_number("<I", packed, 0) if packed else 0):
        size = _number("<I", packed, at)
        name = packed[at + 4 : at + 4 + size].decode(errors="replace")
        at += 4 + size
        size = _number("<i", packed, at)
        at += 4
        yield name, None if size < 0 else packed[at : at + size]
        at += max(size, 0)


def _number(kind: str, packed: bytes, at: int) -> int:
    found: int = struct.unpack_from(kind, packed, at)[0]
    return found


def _with_nulls(column: Texts, missing: Any) -> Sequence[bytes | None]:
    if missing.all():
        return [None] * len(column)
    if not missing.any():
        return column
    pairs = zip(column, missing.tolist(), strict=True)
    return [None if flag else text for text, flag in pairs]


def _failure(group: _Group) -> Failure:
    reason = (group.reason or b"").decode(errors="replace")
    place = group.topic.decode(), group.partition, group.offset
    return Failure(*place, group.error, reason, bool(group.fatal))
