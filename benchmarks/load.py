"""The events of a benchmark, and putting them on the topics.

A load is a value: from it come both the events, always the same ones, and (in `exact`) what a
worker must make of them. Events are made in chunks, as columns, and written as hand-made JSON,
so that a million of them take seconds.
"""

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from confluent_kafka import KafkaError, Message, Producer
from numpy.typing import NDArray

START_MS = 1_750_000_000_000
SCORE_UNITS = 10_000
FEATURE_UNITS = 1_000
_CHUNK = 20_000
_IN_FLIGHT = 200_000
_PATIENCE_S = 120.0

Ints = NDArray[np.int64]
PARTS = ("predictions", "labels")
ORDERS = ("arrival", "labels-first", "predictions-first")


@dataclass(frozen=True)
class Load:
    """Predictions and their labels, evenly spread over event time.

    Attributes
    ----------
    events
        Predictions and labels together, those of `pending` aside.
    features
        Numbers in every prediction.
    delay_ms
        From a prediction to its label.
    spacing_ms
        From predictions to the next ones.
    at_once
        So many predictions have the same time.
    unlabelled
        Share of the predictions whose label never comes.
    pending
        So many more predictions before the first event, 1 ms apart, without labels.
    """

    events: int = 1_000_000
    models: int = 10
    features: int = 8
    delay_ms: int = 30_000
    spacing_ms: int = 10
    at_once: int = 1
    unlabelled: float = 0.01
    pending: int = 0
    seed: int = 1

    @property
    def predictions(self) -> int:
        """Predictions, those of `pending` included."""
        return self.pending + self._paired

    @property
    def span_ms(self) -> int:
        """Event time from the first prediction to the last."""
        return int(self._offset_ms(self.predictions))

    @property
    def _paired(self) -> int:
        return round(self.events / (2 - self.unlabelled))

    def _offset_ms(self, numbers: Any) -> Any:
        late = np.maximum(numbers - self.pending, 0)
        return np.minimum(numbers, self.pending) + late // self.at_once * self.spacing_ms

    def chunks(self) -> Iterator["Chunk"]:
        """Yield all predictions in order, with what becomes of them."""
        for number, first in enumerate(range(0, self.predictions, _CHUNK)):
            yield self._chunk(number, first, min(_CHUNK, self.predictions - first))

    def _chunk(self, number: int, first: int, size: int) -> "Chunk":
        random = np.random.default_rng([self.seed, number])
        numbers = np.arange(first, first + size)
        score = random.integers(0, SCORE_UNITS + 1, size)
        scale = FEATURE_UNITS * (1 + np.arange(self.features) % 4)
        return Chunk(
            number=numbers,
            time_ms=START_MS + self._offset_ms(numbers),
            model=random.integers(0, self.models, size),
            score=score,
            label=(random.integers(0, SCORE_UNITS, size) < score).astype(np.int64),
            labelled=(random.random(size) >= self.unlabelled) & (numbers >= self.pending),
            features=np.rint(random.standard_normal((size, self.features)) * scale).astype(int),
        )


class Chunk(NamedTuple):
    """Predictions as columns; scores and features in units of 1 / SCORE_UNITS, FEATURE_UNITS."""

    number: Ints
    time_ms: Ints
    model: Ints
    score: Ints
    label: Ints
    labelled: NDArray[np.bool_]
    features: Ints


def prediction_records(chunk: Chunk) -> list[dict[str, Any]]:
    """Return the predictions of a chunk, as `produce_batch` takes them."""
    names = "".join(f',"f{number}":%.3f' for number in range(chunk.features.shape[1]))
    features = f',"features":{{{names[1:]}}}' if names else ""
    text = (
        '{"prediction_id":"p-%010d","model":"m%d","timestamp_ms":%d,"prediction":%d,"score":%.4f'
        f"{features}}}"
    )
    columns: list[list[Any]] = [
        chunk.number.tolist(),
        chunk.model.tolist(),
        chunk.time_ms.tolist(),
        (chunk.score * 2 >= SCORE_UNITS).astype(int).tolist(),
        (chunk.score / SCORE_UNITS).tolist(),
        *(chunk.features / FEATURE_UNITS).T.tolist(),
    ]
    rows = zip(*columns, strict=True)
    return [{"key": f"p-{row[0]:010}", "value": text % row} for row in rows]


def label_records(chunk: Chunk, *, delay_ms: int) -> list[dict[str, Any]]:
    """Return the labels of a chunk's predictions, as `produce_batch` takes them."""
    columns: list[Ints] = [chunk.number, chunk.time_ms + delay_ms, chunk.label]
    rows = zip(*(column[chunk.labelled].tolist() for column in columns), strict=True)
    text = '{"prediction_id":"p-%010d","timestamp_ms":%d,"label":%d}'
    return [{"key": f"p-{row[0]:010}", "value": text % row} for row in rows]


def fill(servers: str, prefix: str, load: Load, *, order: str = "arrival") -> int:
    """Write a load to the topics of an installation; return how many records it has."""
    producer = _Producer(servers)
    by_order: dict[str, list[tuple[str, ...]]] = {
        "arrival": [PARTS],
        "labels-first": [("labels",), ("predictions",)],
        "predictions-first": [("predictions",), ("labels",)],
    }
    with Progress(f"filling {prefix}", load.predictions * 2) as progress:
        for parts in by_order[order]:
            for chunk in load.chunks():
                if "predictions" in parts:
                    producer.write(f"{prefix}.predictions", prediction_records(chunk))
                if "labels" in parts:
                    records = label_records(chunk, delay_ms=load.delay_ms)
                    producer.write(f"{prefix}.labels", records)
                progress.advance(len(chunk.number) * len(parts))
        producer.finish()
    return producer.written


class _Producer:
    def __init__(self, servers: str) -> None:
        self.written = 0
        self._errors: list[str] = []
        self._producer = Producer(
            {
                "bootstrap.servers": servers,
                "partitioner": "murmur2_random",
                "enable.idempotence": True,
                "compression.type": "lz4",
                "linger.ms": 20,
                "batch.size": 256 << 10,
                "queue.buffering.max.messages": 2 * _IN_FLIGHT,
                "queue.buffering.max.kbytes": 1 << 20,
                "log_level": 2,
                "error_cb": self._failed,
                "on_delivery": self._failed,
                "delivery.report.only.error": True,
            }
        )

    def write(self, topic: str, records: list[dict[str, Any]]) -> None:
        if not records:
            return
        while len(self._producer) > _IN_FLIGHT:
            self._producer.poll(0.01)
        self._producer.produce_batch(topic, records)
        self._producer.poll(0)
        refused = [record for record in records if "_error" in record]
        if refused:
            raise RuntimeError(f"{topic}: {len(refused)} records refused: {refused[0]['_error']}")
        self.written += len(records)

    def finish(self) -> None:
        left = self._producer.flush(_PATIENCE_S)
        if left or self._errors:
            raise RuntimeError(f"{left} records were not written: {self._errors[:3]}")

    def _failed(self, error: KafkaError | None, _message: Message | None = None) -> None:
        if error is not None:
            self._errors.append(error.str())


class Progress:
    """Say on a terminal how far something has come; elsewhere say nothing."""

    def __init__(self, what: str, total: int) -> None:
        self._what, self._total, self._done = what, max(total, 1), 0
        self._started_s = time.monotonic()
        self._write: Callable[[str], object] = (
            sys.stderr.write if sys.stderr.isatty() else lambda _: None
        )

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_error: object) -> None:
        self._write("\r\033[K")
        sys.stderr.flush()

    def advance(self, count: int) -> None:
        """Count so many more as done."""
        self.reach(self._done + count)

    def reach(self, count: int) -> None:
        """Say that so many are done, in all."""
        self._done = count
        seconds = time.monotonic() - self._started_s
        share = 100 * self._done / self._total
        self._write(f"\r\033[K{self._what}: {share:3.0f} % of {self._total:,}, {seconds:.0f} s")
        sys.stderr.flush()
