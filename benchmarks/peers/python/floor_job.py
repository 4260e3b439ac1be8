"""The floor: read and decode every record with the fastest common clients, and do nothing."""

import orjson
import peer
from confluent_kafka import Consumer

BATCH = 10_000


def main() -> None:
    """Consume until the harness ends the process."""
    consumer = Consumer(
        {
            "bootstrap.servers": peer.SERVERS,
            "group.id": peer.APPLICATION,
            "auto.offset.reset": "earliest",
            "fetch.queue.backoff.ms": 5,
            "queued.min.messages": 200_000,
        }
    )
    consumer.subscribe([peer.PREDICTIONS, peer.LABELS])
    peer.report_progress()
    while True:
        messages = consumer.consume(BATCH, 0.2)
        for message in messages:
            orjson.loads(message.value())
        peer.Progress.consumed += len(messages)
        if peer.Progress.consumed >= peer.EVENTS:
            peer.Progress.aggregated = peer.LABELLED


if __name__ == "__main__":
    main()
