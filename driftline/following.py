"""Read what comes on a topic, one record at a time, as an iterator.

Rules of this file:

* Only what was committed is seen (`isolation.level=read_committed`), so a record comes once however
  often a worker crashed.
* Delivery to the caller is at least once with a consumer group: a record counts as handled when the
  caller asks for the next one.
* A record that is not what belongs on the topic is skipped and counted, never raised.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Generic, Literal, TypeVar

import msgspec

from driftline.action import Action
from driftline.alert import Alert
from driftline.closing import Closing
from driftline.reader import Entry, Reader

_POLL_S = 0.5

Record = TypeVar("Record", Alert, Action)


class Following(Closing, Generic[Record]):
    """Iterate over records of a topic as workers publish them; see `Alerts` and `Actions`."""

    def __init__(
        self,
        bootstrap_servers: str,
        topic: str,
        kind: type[Record],
        *,
        model: str | None,
        group_id: str | None,
        start: Literal["latest", "earliest"],
        kafka: Mapping[str, object] | None,
        client_id: str,
    ) -> None:
        self.invalid = 0
        self._model = model
        self._decode: Callable[[bytes], Record] = msgspec.json.Decoder(kind).decode
        self._closed = False
        self._reader = Reader(
            bootstrap_servers,
            [topic],
            group_id=group_id,
            start=start,
            kafka=kafka,
            client_id=client_id,
        )

    def poll(self, timeout_s: float = 1.0) -> Record | None:
        """Return the next record, or None if none came within `timeout_s` seconds.

        The record that the call before returned counts as handled from here on.
        """
        deadline_s = time.monotonic() + timeout_s
        while not self._closed:
            self._reader.commit(wait=False)
            # One at a time: what was read and not returned would count as handled.
            for entry in self._reader.read(max(0.0, deadline_s - time.monotonic()), most=1):
                found = self._read(entry)
                if found is not None:
                    return found
            if time.monotonic() >= deadline_s:
                return None
        return None

    def close(self) -> None:
        """Leave the group and end iteration; what was handled stays remembered."""
        self._closed = True
        self._reader.close()

    def __iter__(self) -> Iterator[Record]:
        return self

    def __next__(self) -> Record:
        while not self._closed:
            found = self.poll(_POLL_S)
            if found is not None:
                return found
        raise StopIteration

    def _read(self, entry: Entry) -> Record | None:
        if entry.value is None:  # a tombstone: compaction's way to forget a record
            return None
        try:
            found = self._decode(entry.value)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self.invalid += 1
            return None
        return found if self._model in (None, found.model) else None
