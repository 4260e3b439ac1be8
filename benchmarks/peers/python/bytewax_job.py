"""The job on Bytewax: join, then a fold over event-time windows."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import bytewax.operators as op
import orjson
import peer
from bytewax.connectors.kafka import KafkaSink, KafkaSinkMessage, KafkaSource, KafkaSourceMessage
from bytewax.dataflow import Dataflow
from bytewax.operators import KeyedStream, windowing
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.run import cli_main

EPOCH = timedelta(seconds=5)
BATCH = 1_000


def prediction(message: KafkaSourceMessage) -> tuple:
    """Decode a prediction, under its id."""
    peer.Progress.consumed += 1
    said = orjson.loads(message.value)
    values = (said["model"], said["timestamp_ms"], said["prediction"], said["score"])
    return said["prediction_id"], values


def label(message: KafkaSourceMessage) -> tuple:
    """Decode a label, under its prediction's id."""
    peer.Progress.consumed += 1
    said = orjson.loads(message.value)
    return said["prediction_id"], (said["label"], said["timestamp_ms"])


def outcome(joined: tuple) -> tuple | None:
    """Put an outcome under its model, unless the label came too late."""
    (model, time_ms, said, score), (label, label_ms) = joined[1]
    in_time = 0 <= label_ms - time_ms <= peer.HORIZON_MS
    return (model, (time_ms, said, label, score)) if in_time else None


def event_time(outcome: tuple) -> datetime:
    """Return the time of the prediction."""
    return datetime.fromtimestamp(outcome[0] / 1000, UTC)


def count(tally: dict, outcome: tuple) -> dict:
    """Add an outcome to its window."""
    _, said, label, score = outcome
    return peer.add(tally, said, label, score)


def never(left: dict, right: dict) -> dict:
    """Tumbling windows never merge."""
    raise NotImplementedError


def record(closed: tuple) -> KafkaSinkMessage:
    """Make the result record of a window."""
    model, (window, tally) = closed
    start_ms = window * peer.WINDOW_MS
    value = orjson.dumps({"model": model, "window_start_ms": start_ms, **tally})
    return KafkaSinkMessage(key=f"{model}|{start_ms}".encode(), value=value)


def source(flow: Dataflow, name: str, topic: str) -> KeyedStream:
    """Read a topic to its present end."""
    return op.input(name, flow, KafkaSource([peer.SERVERS], [topic], tail=False, batch_size=BATCH))


def dataflow() -> Dataflow:
    """Return the whole job."""
    flow = Dataflow("peers")
    predictions = op.map("prediction", source(flow, "predictions", peer.PREDICTIONS), prediction)
    labels = op.map("label", source(flow, "labels", peer.LABELS), label)
    outcomes = op.filter_map("outcome", op.join("join", predictions, labels), outcome)
    clock = windowing.EventClock(
        event_time, wait_for_system_duration=timedelta(milliseconds=peer.HORIZON_MS)
    )
    minutes = windowing.TumblingWindower(
        length=timedelta(milliseconds=peer.WINDOW_MS), align_to=datetime(1970, 1, 1, tzinfo=UTC)
    )
    windows = windowing.fold_window(
        "window", outcomes, clock, minutes, peer.empty_tally, count, never, ordered=False
    )
    records = op.map("record", windows.down, record)
    op.output("output", records, KafkaSink([peer.SERVERS], peer.OUTPUT))
    return flow


def main() -> None:
    """Run to the end of the input, then wait for the harness to end the process."""
    peer.report_progress()
    recovery = None
    if peer.VARIANT == "recovery":
        folder = Path(peer.FOLDER, "recovery")
        folder.mkdir()
        init_db_dir(folder, 1)
        recovery = RecoveryConfig(str(folder))
    cli_main(dataflow(), epoch_interval=EPOCH, recovery_config=recovery)
    peer.wait()


if __name__ == "__main__":
    main()
