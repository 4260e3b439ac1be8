"""A cheap producer: predictions at a steady rate, and each one's label a while later.

Run as a program, in a process of its own: ``python -m tests.faults.steady_producer --help``.
What is different from record to record is put into a template; the rest is made beforehand.
"""

import argparse
import random
import time

from confluent_kafka import Producer

_SLICE_S = 0.02
_MODELS = 10
_VARIANTS = 997

_PREDICTION = (
    b'{"prediction_id":"%(id)b","model":"m%(model)d","version":"1","timestamp_ms":%(time)d,'
    b'"prediction":%(guess)d,"score":%(score).4f,"latency_ms":%(latency).2f,'
    b'"features":{"a":%(a).3f,"b":%(b).3f,"c":"x"},"segments":{"region":"eu"}}'
)
_LABEL = b'{"prediction_id":"%(id)b","timestamp_ms":%(time)d,"label":%(label)d}'


class Steady:
    """Write predictions and labels, in equal numbers."""

    def __init__(self, servers: str, prefix: str, *, rate: float, delay_s: float) -> None:
        self._rate, self._delay_s = rate, delay_s
        self._topics = f"{prefix}.predictions", f"{prefix}.labels"
        self._start_ms = time.time_ns() // 1_000_000
        rng = random.Random(1)
        self._variants = [_variant(rng) for _ in range(_VARIANTS)]
        self._producer = Producer(
            {
                "bootstrap.servers": servers,
                "partitioner": "murmur2_random",
                "compression.type": "lz4",
                "linger.ms": 10,
                "queue.buffering.max.messages": 1_000_000,
            }
        )

    def run(self, seconds: float) -> None:
        """Write at the pace of the wall clock."""
        started_s = time.monotonic()
        predicted = labelled = 0
        while (elapsed_s := time.monotonic() - started_s) < seconds:
            target = int(elapsed_s * self._rate)
            for number in range(predicted, target):
                self._predict(number)
            late = max(0, int((elapsed_s - self._delay_s) * self._rate))
            for number in range(labelled, late):
                self._label(number)
            predicted, labelled = target, late
            self._producer.poll(0)
            time.sleep(_SLICE_S)
        self._producer.flush(60)

    def _predict(self, number: int) -> None:
        name = b"p%d" % number
        fields = self._variants[number % _VARIANTS] | {
            b"id": name,
            b"model": number % _MODELS,
            b"time": self._start_ms + int(number * 1_000 / self._rate),
        }
        self._send(self._topics[0], name, _PREDICTION % fields)

    def _label(self, number: int) -> None:
        name = b"p%d" % number
        time_ms = self._start_ms + int(number * 1_000 / self._rate + self._delay_s * 1_000)
        label = self._variants[number % _VARIANTS][b"label"]
        self._send(self._topics[1], name, _LABEL % {b"id": name, b"time": time_ms, b"label": label})

    def _send(self, topic: str, key: bytes, value: bytes) -> None:
        while True:
            try:
                self._producer.produce(topic, key=key, value=value)
            except BufferError:
                self._producer.poll(0.1)
            else:
                return


def _variant(rng: random.Random) -> dict[bytes, object]:
    score = rng.random()
    return {
        b"score": score,
        b"guess": int(score > 0.5),
        b"label": int(rng.random() < score),
        b"latency": rng.lognormvariate(3.0, 0.5),
        b"a": rng.gauss(0, 1),
        b"b": rng.gauss(10, 2),
    }


def main() -> None:
    """Read the command line and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("servers")
    parser.add_argument("prefix")
    parser.add_argument("--events", type=float, default=20_000, help="a second, both together")
    parser.add_argument(
        "--delay", type=float, default=60.0, help="seconds from prediction to label"
    )
    parser.add_argument("--seconds", type=float, default=1_200.0)
    options = parser.parse_args()
    steady = Steady(options.servers, options.prefix, rate=options.events / 2, delay_s=options.delay)
    steady.run(options.seconds)


if __name__ == "__main__":
    main()
