"""What it costs to read the records and do nothing with them: a process of its own, to be pinned.

    python -m benchmarks.reading --what decode --servers HOST:PORT --prefix P --records N

`consume` takes the records, `decode` also decodes the fields that the join needs, `decode-all`
features as well; `transport` is a worker's own reader, which hands over batches. Its last
line is JSON: CPU microseconds per record between 20 % and the end.
"""

import argparse
import json
import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, TopicPartition

from agents import clients
from agents.deliveries import Backlog, Delivery, size_bytes
from agents.idleness import Input
from agents.reader import Reader
from agents.settings import Settings
from benchmarks.load import PARTS

_AT_ONCE = 10_000
_PATIENCE_S = 60.0
_LOOK_S = 0.02
MODES = ("consume", "decode", "decode-all", "transport")


class Prediction(msgspec.Struct):
    """What the join and the quality of a binary model need of a prediction."""

    prediction_id: str
    model: str
    timestamp_ms: int
    prediction: int
    score: float


class Whole(Prediction):
    """The same, with the features."""

    features: dict[str, float] = {}


class Label(msgspec.Struct):
    """A label."""

    prediction_id: str
    timestamp_ms: int
    label: int


Use = Callable[[list[Message]], Any]


def decoding(prediction: type[msgspec.Struct], *, labels_topic: str) -> Use:
    """Return a function that decodes every record of a list, typed."""
    as_prediction: Callable[[bytes], Any] = msgspec.json.Decoder(prediction).decode
    as_label = msgspec.json.Decoder(Label).decode

    def use(messages: list[Message]) -> None:
        for message in messages:
            value: Any = message.value()
            if message.topic() == labels_topic:
                as_label(value)
            else:
                as_prediction(value)

    return use


def read(servers: str, prefix: str, *, records: int, use: Use) -> dict[str, float]:
    """Read so many records from the beginning; return the figures."""
    consumer = Consumer(
        {
            "bootstrap.servers": servers,
            "group.id": f"{prefix}-reading",
            "log_level": 2,
            "enable.auto.commit": False,
            "queued.min.messages": 200_000,
            "fetch.queue.backoff.ms": 5,
            "fetch.message.max.bytes": 4 << 20,
        }
    )
    topics = [f"{prefix}.{part}" for part in PARTS]
    known = consumer.list_topics(timeout=10).topics
    consumer.assign(
        [TopicPartition(t, p, OFFSET_BEGINNING) for t in topics for p in known[t].partitions]
    )
    done, begin = 0, None
    while done < records:
        messages = consumer.consume(_AT_ONCE, 1.0)
        use(messages)
        done += len(messages)
        if begin is None and done >= records // 5:
            begin = (done, time.process_time(), time.monotonic())
        if time.process_time() > _PATIENCE_S:
            raise RuntimeError(f"only {done} of {records} records came")
    assert begin is not None
    read_since = done - begin[0]
    figures = {
        "cpu_us": 1e6 * (time.process_time() - begin[1]) / read_since,
        "events_per_s": read_since / (time.monotonic() - begin[2]),
    }
    consumer.close()
    return figures


class _Counting:
    """Take what a worker's reader delivers, and count it."""

    def __init__(self, backlog: Backlog) -> None:
        self.reader: Reader | None = None
        self.done = 0
        self._backlog = backlog

    def delivered(self, delivery: Delivery) -> None:
        for batch in delivery.batches.values():
            self.done += len(batch.offsets)
            self._backlog.change(records=-len(batch.offsets), size_bytes=-size_bytes(batch))

    def assigned(self, inputs: set[Input], _metadata: Any) -> None:
        assert self.reader is not None
        self.reader.open(dict.fromkeys(inputs, 0), wanted=lambda: True)

    def revoked(self, inputs: set[Input]) -> None:
        """Keep nothing."""

    def lag_seen(self, lags: Mapping[Input, int]) -> None:
        """Tell nobody."""


def transport(servers: str, prefix: str, *, records: int) -> dict[str, float]:
    """Read so many records with the reader of a worker; return the figures."""
    settings = Settings(bootstrap_servers=servers, prefix=f"{prefix}-transport")
    backlog = Backlog()
    listener = _Counting(backlog)
    topics = [f"{prefix}.{part}" for part in PARTS]
    reader = listener.reader = Reader(
        clients.consumer(settings),
        topics=topics,
        watched=topics,
        idle_s=5.0,
        ask_ends=lambda _: {},
        backlog=backlog,
        listener=listener,
    )
    reader.start()
    begin = None
    while listener.done < records:
        time.sleep(_LOOK_S)
        if begin is None and listener.done >= records // 5:
            begin = (listener.done, time.process_time(), time.monotonic())
        if time.process_time() > _PATIENCE_S:
            raise RuntimeError(f"only {listener.done} of {records} records came")
    assert begin is not None
    read_since = listener.done - begin[0]
    figures = {
        "cpu_us": 1e6 * (time.process_time() - begin[1]) / read_since,
        "events_per_s": read_since / (time.monotonic() - begin[2]),
    }
    reader.stop(5.0)
    return figures


def main() -> None:
    """Parse the command line, read, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--what", choices=MODES, required=True)
    parser.add_argument("--servers", required=True)
    parser.add_argument("--prefix", required=True)
    parser.add_argument("--records", type=int, required=True)
    options = parser.parse_args()
    labels = f"{options.prefix}.labels"
    uses: dict[str, Use] = {
        "consume": len,
        "decode": decoding(Prediction, labels_topic=labels),
        "decode-all": decoding(Whole, labels_topic=labels),
    }
    place = (options.servers, options.prefix)
    if options.what == "transport":
        figures = transport(*place, records=options.records)
    else:
        figures = read(*place, records=options.records, use=uses[options.what])
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
