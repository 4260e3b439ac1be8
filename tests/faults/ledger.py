"""The outside ledger: a producer that writes at a pace and remembers what was acknowledged."""

import threading
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from confluent_kafka import KafkaError, Message, Producer

from tests.faults.truth import as_json, is_label

_SLICE_S = 0.05
_FLUSH_S = 300.0
_TRICKLE = 2


class Entry(NamedTuple):
    """One record to write."""

    topic: str
    key: bytes
    value: bytes


def entries(prefix: str, lines: Sequence[bytes]) -> list[Entry]:
    """Give every line its topic and its key."""
    result = []
    for line in lines:
        event = as_json(line)
        topic = f"{prefix}.labels" if is_label(event) else f"{prefix}.predictions"
        result.append(Entry(topic, event["prediction_id"].encode(), line))
    return result


class Ledger:
    """Write records in the background.

    Attributes
    ----------
    acknowledged
        How often the broker acknowledged each record.
    failed
        Why records were given up; such a run proves nothing.
    """

    def __init__(self, servers: str) -> None:
        self.acknowledged: Counter[Entry] = Counter()
        self.failed: list[str] = []
        self._producer = Producer(
            {
                "bootstrap.servers": servers,
                "partitioner": "murmur2_random",
                "enable.idempotence": True,
                "linger.ms": 5,
                "message.timeout.ms": int(_FLUSH_S * 1_000),
                "reconnect.backoff.max.ms": 500,
                "log_level": 2,
            }
        )
        self._stopping = threading.Event()
        self._fast = threading.Event()
        self._fast.set()
        self._threads: list[threading.Thread] = []

    @property
    def writing(self) -> bool:
        """Whether records are still to be written or acknowledged."""
        return any(thread.is_alive() for thread in self._threads)

    def write(self, records: Sequence[Entry], *, seconds: float, trickle: bool = False) -> None:
        """Begin to write, evenly over so many seconds.

        Parameters
        ----------
        trickle
            Until `speed_up` is called, write just enough for no partition to become idle.
        """
        if trickle:
            self._fast.clear()
        thread = threading.Thread(target=self._write, args=(records, seconds), daemon=True)
        thread.start()
        self._threads.append(thread)

    def speed_up(self) -> None:
        """End the trickle."""
        self._fast.set()

    def finish(self) -> None:
        """Wait until all is acknowledged."""
        for thread in self._threads:
            thread.join()

    def stop(self) -> None:
        """Give up what is not written yet."""
        self._stopping.set()
        self.finish()

    def _write(self, records: Sequence[Entry], seconds: float) -> None:
        size = max(1, round(len(records) / seconds * _SLICE_S))
        position = 0
        due_s = time.monotonic()
        while position < len(records):
            end = position + (size if self._fast.is_set() else _TRICKLE)
            for entry in records[position:end]:
                self._produce(entry)
            position = end
            self._producer.poll(0)
            due_s += _SLICE_S
            if self._stopping.wait(max(0.0, due_s - time.monotonic())):
                self._producer.purge()
                break
        if self._producer.flush(_FLUSH_S):
            self.failed.append(f"{len(self._producer)} records were never acknowledged")

    def _produce(self, entry: Entry) -> None:
        def delivered(error: KafkaError | None, _message: Message) -> None:
            if error is None:
                self.acknowledged[entry] += 1
            else:
                self.failed.append(error.str())

        record: dict[str, Any] = {"key": entry.key, "value": entry.value}
        while True:
            try:
                self._producer.produce(entry.topic, **record, on_delivery=delivered)
            except BufferError:
                self._producer.poll(0.1)
            else:
                return
