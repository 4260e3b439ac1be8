"""The job on Quix Streams: interval join, group by model, tumbling window."""

import logging

import peer
from quixstreams import Application
from quixstreams.dataframe import StreamingDataFrame

COMMIT_S = 5.0


def main() -> None:
    """Run until the harness ends the process."""
    logging.disable(logging.INFO)
    application = Application(
        broker_address=peer.SERVERS,
        consumer_group=peer.APPLICATION,
        auto_offset_reset="earliest",
        processing_guarantee="exactly-once" if peer.VARIANT == "eos" else "at-least-once",
        commit_interval=COMMIT_S,
        state_dir=f"{peer.FOLDER}/state",
    )
    output = application.topic(peer.OUTPUT, key_serializer="str", value_serializer="json")
    counts = (
        outcomes(application)
        .group_by(lambda outcome: outcome["model"], name="model")
        .tumbling_window(peer.WINDOW_MS, grace_ms=peer.HORIZON_MS)
        .reduce(count, first)
        .current()  # every outcome revises its window
    )
    counts.apply(published).to_topic(output)
    peer.report_progress()
    application.run()


def outcomes(application: Application) -> StreamingDataFrame:
    """Join predictions with labels; the time of an outcome is the prediction's."""
    predictions = source(application, peer.PREDICTIONS).apply(prediction)
    labels = source(application, peer.LABELS).apply(label)
    joined = predictions.join_interval(
        labels,
        how="inner",
        on_merge=lambda left, right: {**left, "label": right},
        grace_ms=peer.HORIZON_MS,
        backward_ms=0,
        forward_ms=peer.HORIZON_MS,
    )
    return joined.set_timestamp(lambda outcome, *_: outcome["time_ms"])


def source(application: Application, topic: str) -> StreamingDataFrame:
    """Read a topic by the event time in its values."""
    return application.dataframe(
        application.topic(
            topic,
            key_deserializer="str",
            value_deserializer="json",
            timestamp_extractor=lambda value, *_: value["timestamp_ms"],
        )
    )


def prediction(value: dict) -> dict:
    """Keep what the job needs, so that the state is small."""
    peer.Progress.consumed += 1
    return {
        "model": value["model"],
        "time_ms": value["timestamp_ms"],
        "prediction": value["prediction"],
        "score": value["score"],
    }


def label(value: dict) -> int:
    """Keep the label alone."""
    peer.Progress.consumed += 1
    return value["label"]


def first(outcome: dict) -> dict:
    """Begin a window."""
    return count({"model": outcome["model"], **peer.empty_tally()}, outcome)


def count(tally: dict, outcome: dict) -> dict:
    """Add an outcome to its window."""
    return peer.add(tally, outcome["prediction"], outcome["label"], outcome["score"])


def published(window: dict) -> dict:
    """Make the result record; the histogram stays in the state, since every outcome writes one."""
    tally = {name: value for name, value in window["value"].items() if name != "histogram"}
    return {"window_start_ms": window["start"], **tally}


if __name__ == "__main__":
    main()
