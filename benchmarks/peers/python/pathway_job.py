"""The job on Pathway: two inputs, a join, a grouped reduction.

Pathway revises results as a stream of changes: a record with `diff` -1 takes the old state back.
"""

import pathway as pw
import peer

COMMIT_MS = 1_000
SNAPSHOT_MS = 5_000
READER = {
    "bootstrap.servers": peer.SERVERS,
    "group.id": peer.APPLICATION,
    "auto.offset.reset": "earliest",
    "session.timeout.ms": "6000",
    "fetch.queue.backoff.ms": "5",
}


class Prediction(pw.Schema):
    """What a model said."""

    prediction_id: str
    timestamp_ms: int
    model: str
    prediction: int
    score: float


class Label(pw.Schema):
    """What was true."""

    prediction_id: str
    timestamp_ms: int
    label: int


def read(topic: str, schema: type[pw.Schema], name: str) -> pw.Table:
    """Read a topic."""
    return pw.io.kafka.read(
        READER,
        topic=topic,
        format="json",
        schema=schema,
        autocommit_duration_ms=COMMIT_MS,
        name=name,
    )


def outcomes() -> pw.Table:
    """Join, and keep what came within the horizon."""
    predictions = read(peer.PREDICTIONS, Prediction, "predictions")
    labels = read(peer.LABELS, Label, "labels")
    joined = predictions.join(labels, predictions.prediction_id == labels.prediction_id).select(
        predictions.model,
        predictions.timestamp_ms,
        predictions.prediction,
        predictions.score,
        labels.label,
        delay_ms=labels.timestamp_ms - predictions.timestamp_ms,
    )
    return joined.filter((joined.delay_ms >= 0) & (joined.delay_ms <= peer.HORIZON_MS))


def cell(outcomes: pw.Table, prediction: int, label: int) -> pw.ColumnExpression:
    """Return 1 for the outcomes of one cell of the confusion matrix."""
    inside = (outcomes.prediction == prediction) & (outcomes.label == label)
    return pw.if_else(inside, 1, 0)


def tallies(outcomes: pw.Table) -> pw.Table:
    """Count per model and minute."""
    rows = outcomes.select(
        outcomes.model,
        window_start_ms=outcomes.timestamp_ms // peer.WINDOW_MS * peer.WINDOW_MS,
        tp=cell(outcomes, 1, 1),
        fp=cell(outcomes, 1, 0),
        tn=cell(outcomes, 0, 0),
        fn=cell(outcomes, 0, 1),
        error=(outcomes.score - outcomes.label) * (outcomes.score - outcomes.label),
    )
    total = pw.reducers.sum
    return rows.groupby(rows.model, rows.window_start_ms).reduce(
        rows.model,
        rows.window_start_ms,
        count=pw.reducers.count(),
        tp=total(rows.tp),
        fp=total(rows.fp),
        tn=total(rows.tn),
        fn=total(rows.fn),
        brier_sum=total(rows.error),
    )


class Follower:
    """Counts progress from the changes of the result: what is consumed cannot be seen."""

    def __init__(self) -> None:
        self._counts: dict[pw.Pointer, int] = {}

    def __call__(self, key: pw.Pointer, row: dict, time: int, is_addition: bool) -> None:
        """Take one change."""
        del time
        if not is_addition:
            return
        peer.Progress.aggregated += row["count"] - self._counts.get(key, 0)
        self._counts[key] = row["count"]
        share = peer.Progress.aggregated / peer.LABELLED
        peer.Progress.consumed = int(share * peer.EVENTS)


def main() -> None:
    """Run until the harness ends the process."""
    result = tallies(outcomes())
    pw.io.kafka.write(
        result, {"bootstrap.servers": peer.SERVERS}, topic_name=peer.OUTPUT, format="json"
    )
    pw.io.subscribe(result, on_change=Follower())
    peer.report_progress()
    persistence = None
    if peer.VARIANT == "persistence":
        persistence = pw.persistence.Config(
            pw.persistence.Backend.filesystem(f"{peer.FOLDER}/persistence"),
            snapshot_interval_ms=SNAPSHOT_MS,
        )
    pw.run(monitoring_level=pw.MonitoringLevel.NONE, persistence_config=persistence)


if __name__ == "__main__":
    main()
