"""Measure how long a label takes to become a metric that a read_committed consumer sees.

Probes are predictions of a model of their own, each with its label. The n-th probe of a window is
visible once the metric `labels` of that window says n.
"""

import json
import threading
import time
from collections import Counter

import numpy as np
from confluent_kafka import Consumer, Producer, TopicPartition

_MODEL = "probe"
_EVERY_S = 0.5


class Probes:
    """Send probes and look for them.

    Attributes
    ----------
    delays_s
        When each was sent, on the monotonic clock, and how long it took.
    """

    def __init__(self, servers: str, prefix: str, *, partitions: int, window_ms: int) -> None:
        self.delays_s: list[tuple[float, float]] = []
        self._prefix, self._window_ms = prefix, window_ms
        self._sent_s: dict[tuple[int, int], float] = {}
        self._counts: Counter[int] = Counter()
        self._seen: Counter[int] = Counter()
        common = {"bootstrap.servers": servers}
        self._producer = Producer({**common, "partitioner": "murmur2_random", "linger.ms": 0})
        self._consumer = Consumer(
            {
                **common,
                "group.id": "probes",
                "isolation.level": "read_committed",
                "fetch.wait.max.ms": 10,
            }
        )
        topic = f"{prefix}.metrics"
        self._consumer.assign([TopicPartition(topic, number, 0) for number in range(partitions)])
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=work, daemon=True) for work in (self._send, self._look)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()
        self._consumer.close()

    def quantiles_ms(self, percents: tuple[float, ...], *, since_s: float = 0.0) -> list[float]:
        """Return quantiles of the delays of probes that were sent since then."""
        delays = [delay for sent, delay in self.delays_s if sent >= since_s]
        return [1_000 * float(np.percentile(delays, p)) if delays else 0.0 for p in percents]

    def _send(self) -> None:
        number = 0
        while not self._stopping.wait(_EVERY_S):
            number += 1
            time_ms = time.time_ns() // 1_000_000
            window = time_ms // self._window_ms * self._window_ms
            event = {"prediction_id": f"probe-{number}", "timestamp_ms": time_ms}
            self._counts[window] += 1
            self._sent_s[window, self._counts[window]] = time.monotonic()
            said = {"model": _MODEL, "version": "1", "prediction": 1}
            self._produce("predictions", event | said)
            self._produce("labels", event | {"label": 1})

    def _produce(self, topic: str, event: dict[str, object]) -> None:
        key, value = str(event["prediction_id"]), json.dumps(event)
        self._producer.produce(f"{self._prefix}.{topic}", key=key, value=value)
        self._producer.poll(0)

    def _look(self) -> None:
        start = f'["{_MODEL}",'.encode()
        while not self._stopping.is_set():
            for message in self._consumer.consume(1_000, 0.02):
                key, value = message.key(), message.value()
                if message.error() is None and key and value and key.startswith(start):
                    self._see(json.loads(value))

    def _see(self, metric: dict[str, float]) -> None:
        if metric["metric"] != "labels":
            return
        window, now_s = int(metric["window_start_ms"]), time.monotonic()
        for number in range(self._seen[window] + 1, int(metric["value"]) + 1):
            sent_s = self._sent_s.pop((window, number))
            self.delays_s.append((sent_s, now_s - sent_s))
        self._seen[window] = max(self._seen[window], int(metric["value"]))
