"""The job on Faust as it ships: one agent over both topics, tables with changelogs.

A prediction waits in a table under its id, and so does a label that comes first. Faust's windowed
tables expire by the clock on the wall; a plain table with the minute in its key does not. There is
no histogram: each write of a table sends the whole value to the changelog as JSON.
"""

import sys

import faust
import peer

COMMIT_S = 5.0
PARTITIONS = 4

app = faust.App(
    peer.APPLICATION,
    broker=f"kafka://{peer.SERVERS}",
    store="memory://",
    datadir=f"{peer.FOLDER}/data",
    topic_partitions=PARTITIONS,
    topic_replication_factor=1,
    topic_allow_declare=True,
    topic_disable_leader=True,
    consumer_auto_offset_reset="earliest",
    processing_guarantee="exactly_once" if peer.VARIANT == "eos" else "at_least_once",
    broker_commit_interval=COMMIT_S,
    broker_max_poll_records=1_000,
    stream_wait_empty=False,
    web_enabled=False,
)
events = app.topic(peer.PREDICTIONS, peer.LABELS, key_type=bytes, value_serializer="json")
output = app.topic(peer.OUTPUT, key_serializer="raw", value_serializer="json")
pending = app.Table("pending", key_type=str, partitions=PARTITIONS)
tallies = app.Table("tallies", key_type=str, partitions=PARTITIONS)
changed: set[str] = set()


@app.agent(events)
async def work(stream: faust.StreamT) -> None:
    """Join and count."""
    async for event in stream.events():
        peer.Progress.consumed += 1
        said = event.value
        waiting = pending.get(said["prediction_id"])
        prediction, label = (said, waiting) if "model" in said else (waiting, said)
        if waiting is None:
            pending[said["prediction_id"]] = slim(said)
        else:
            pending.pop(said["prediction_id"])
            count(prediction, label, event.message.partition)


def slim(said: dict) -> dict:
    """Leave the features out."""
    return {name: value for name, value in said.items() if name != "features"}


def count(prediction: dict, label: dict, partition: int) -> None:
    """Add an outcome to its window."""
    time_ms = prediction["timestamp_ms"]
    if not 0 <= label["timestamp_ms"] - time_ms <= peer.HORIZON_MS:
        return
    key = f"{prediction['model']}|{time_ms - time_ms % peer.WINDOW_MS}|{partition}"
    tally = tallies.get(key) or peer.empty_counts()
    tallies[key] = peer.add(tally, prediction["prediction"], label["label"], prediction["score"])
    changed.add(key)


@app.timer(1.0)
async def publish() -> None:
    """Write the windows that have changed."""
    while changed:
        key = changed.pop()
        model, start_ms, partition = key.split("|")
        where = {"model": model, "window_start_ms": int(start_ms), "partition": int(partition)}
        await output.send(key=key.encode(), value={**where, **tallies[key]})


if __name__ == "__main__":
    peer.report_progress()
    sys.argv = ["peers", "worker", "--loglevel", "warn"]
    app.main()
