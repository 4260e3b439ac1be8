"""What the demo's numbers must be, worked out a second time.

The oracle looks at what was published and counts with dictionaries, window by window, after the
fact. It shares no code with the engine that it checks, neither tallies nor join nor windows: two
programs that agree on every number are unlikely to be wrong in the same way.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from agents.demo_model import (
    MODEL,
    PREFIX,
    SILENT,
    VERSION,
    Sent,
    SentGarbage,
    SentLabel,
    SentPrediction,
    SentReading,
)

TEMPERATURE = "gpu_temperature_celsius"
METRICS = (
    *("predictions", "labels", "coverage", "accuracy", "precision", "recall", "f1"),
    f"missing_rate:{SILENT}",
    TEMPERATURE,
)
WINDOW_MS = 60_000
TOLERANCE = 1e-9

Cell = tuple[int, str]  # start of the window in ms, metric


class MetricRecord(msgspec.Struct, frozen=True):
    """The fields of a record on the metrics topic that the demo reads."""

    model: str
    version: str
    segment: str
    window_start_ms: int
    window_end_ms: int
    metric: str
    value: float | None


class AlertRecord(msgspec.Struct, frozen=True):
    """The fields of a record on the alerts topic that the demo reads."""

    alert_id: str
    state: str
    kind: str
    severity: str
    at_ms: int
    direction: str | None = None
    detector: str | None = None
    message: str = ""
    evidence: dict[str, object] = msgspec.field(default_factory=dict)


_decode_metric = msgspec.json.Decoder(MetricRecord).decode
_decode_alert = msgspec.json.Decoder(AlertRecord).decode


class Difference(msgspec.Struct, frozen=True):
    """A number that is not as it must be; None stands for a number that is not there."""

    window_start_ms: int
    metric: str
    expected: float | None
    published: float | None


class Comparison(msgspec.Struct, frozen=True):
    """How many numbers were compared, and which of them differ."""

    compared: int
    differing: tuple[Difference, ...]

    @property
    def equal(self) -> int:
        """Count the numbers that agree."""
        return self.compared - len(self.differing)


class Verdict(msgspec.Struct, frozen=True):
    """The alerts that say that the loss got worse: those before the change are false."""

    true_alarms: tuple[AlertRecord, ...]
    false_alarms: tuple[AlertRecord, ...]


def expect(events: Iterable[Sent], *, window_ms: int) -> dict[Cell, float]:
    """Work out every metric of every window from what was published, in order of arrival.

    The first record of a prediction counts, the label with the newest timestamp counts, and a
    prediction belongs to the window ``[start, start + window_ms)`` of its own timestamp. A ratio
    with nothing to divide by is left out.

    Examples
    --------
    >>> events = [SentPrediction(5, "a", 5, True, 0.9, {}, 1.0), SentLabel(9, "a", 9, True)]
    >>> expect(events, window_ms=10)[0, "accuracy"]
    1.0
    """
    answers: dict[str, SentPrediction] = {}
    read: dict[int, list[float]] = {}
    labels: dict[str, SentLabel] = {}
    for event in events:
        if isinstance(event, SentPrediction):
            answers.setdefault(event.prediction_id, event)
        elif isinstance(event, SentLabel):
            known = labels.get(event.prediction_id)
            if known is None or event.timestamp_ms > known.timestamp_ms:
                labels[event.prediction_id] = event
        elif isinstance(event, SentReading):
            start_ms = event.arrival_ms // window_ms * window_ms
            read.setdefault(start_ms, []).append(event.gpu_temperature_celsius)
    counts: dict[int, Counter[str]] = {}
    for answer in answers.values():
        window = counts.setdefault(answer.timestamp_ms // window_ms * window_ms, Counter())
        label = labels.get(answer.prediction_id)
        window[_case(answer.prediction, label.label if label else None)] += 1
        window["named"] += SILENT in answer.features
        window["silent"] += answer.features.get(SILENT) is None
    found = {
        (start_ms, metric): value
        for start_ms, window in counts.items()
        for metric, value in _metrics(window).items()
    }
    return found | {(ms, TEMPERATURE): math.fsum(own) / len(own) for ms, own in read.items()}


def _case(predicted: bool, truth: bool | None) -> str:
    if truth is None:
        return "unlabelled"
    return ("t" if predicted == truth else "f") + ("p" if predicted else "n")


def _metrics(window: Counter[str]) -> dict[str, float]:
    tp, fp, fn, tn = (window[case] for case in ("tp", "fp", "fn", "tn"))
    labels = tp + fp + fn + tn
    predictions = labels + window["unlabelled"]
    ratios = {
        "coverage": (labels, predictions),
        "accuracy": (tp + tn, labels),
        "precision": (tp, tp + fp),
        "recall": (tp, tp + fn),
        "f1": (2 * tp, 2 * tp + fp + fn),
    }
    if window["named"]:
        ratios[f"missing_rate:{SILENT}"] = window["silent"], predictions
    defined = {name: above / below for name, (above, below) in ratios.items() if below}
    return {"predictions": float(predictions), "labels": float(labels), **defined}


def expect_dead_letters(events: Iterable[Sent]) -> int:
    """Count the records that must end among the dead letters of the predictions topic."""
    return sum(isinstance(event, SentGarbage) for event in events)


def published_cells(records: Iterable[MetricRecord], *, window_ms: int) -> dict[Cell, float | None]:
    """Pick what the oracle knows about: the whole model, windows of that length, `METRICS`."""
    return {
        (record.window_start_ms, record.metric): record.value
        for record in records
        if _is_mine(record)
        and record.window_end_ms - record.window_start_ms == window_ms
        and record.metric in METRICS
    }


def _is_mine(record: MetricRecord) -> bool:
    """Tell whether it is of the whole model: its version's, or its host's, which knows of none."""
    version = "" if record.metric == TEMPERATURE else VERSION
    return (record.model, record.version, record.segment) == (MODEL, version, "")


def compare(expected: Mapping[Cell, float], published: Mapping[Cell, float | None]) -> Comparison:
    """Compare number by number; one that must not exist differs, too.

    Examples
    --------
    >>> compare({(0, "labels"): 2.0}, {(0, "labels"): 2.0, (60, "labels"): 1.0}).equal
    1
    """
    cells = sorted(expected.keys() | published.keys())
    differing = tuple(
        Difference(*cell, expected.get(cell), published.get(cell))
        for cell in cells
        if not _same(expected.get(cell), published.get(cell))
    )
    return Comparison(compared=len(cells), differing=differing)


def _same(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return False
    return math.isclose(one, other, rel_tol=TOLERANCE, abs_tol=TOLERANCE)


def judge(alerts: Iterable[AlertRecord], *, change_ms: int) -> Verdict:
    """Divide the alerts on a worse loss into true and false ones; other alerts are not judged."""
    worse = sorted(
        (
            alert
            for alert in alerts
            if alert.kind == "drift"
            and alert.direction == "worse"
            and alert.evidence.get("input") == "loss"
        ),
        key=lambda alert: alert.at_ms,
    )
    return Verdict(
        true_alarms=tuple(alert for alert in worse if alert.at_ms >= change_ms),
        false_alarms=tuple(alert for alert in worse if alert.at_ms < change_ms),
    )


class Board:
    """What the worker has published so far: the last record of every key, as after compaction."""

    def __init__(self) -> None:
        self.metrics: dict[bytes, MetricRecord] = {}
        self.alerts: dict[str, AlertRecord] = {}
        self.news: list[AlertRecord] = []
        self.dead_letters = 0
        self._folds: dict[str, Callable[[bytes, bytes | None], None]] = {
            f"{PREFIX}.metrics": self._fold_metric,
            f"{PREFIX}.alerts": self._fold_alert,
            f"{PREFIX}.predictions.dlq": self._fold_dead_letter,
        }

    @property
    def topics(self) -> tuple[str, ...]:
        """Name the topics that `fold` understands."""
        return tuple(self._folds)

    def fold(self, topic: str, *, key: bytes, value: bytes | None) -> None:
        """Take in one record; a value of None deletes what the key stands for."""
        self._folds[topic](key, value)

    def _fold_metric(self, key: bytes, value: bytes | None) -> None:
        if value is None:
            self.metrics.pop(key, None)
        else:
            self.metrics[key] = _decode_metric(value)

    def _fold_alert(self, _key: bytes, value: bytes | None) -> None:
        if value is None:
            return
        alert = _decode_alert(value)
        self.news.append(alert)
        if alert.state == "firing":
            self.alerts[alert.alert_id] = alert
        elif alert.state == "retracted":
            self.alerts.pop(alert.alert_id, None)
        else:  # a resolved alert did fire; keep the moment when it did
            self.alerts.setdefault(alert.alert_id, alert)

    def _fold_dead_letter(self, _key: bytes, _value: bytes | None) -> None:
        self.dead_letters += 1

    def windows(self) -> dict[int, dict[str, float | None]]:
        """Arrange the windows of the demo's model by their start, in order."""
        rows: dict[int, dict[str, float | None]] = {}
        for record in sorted(self.metrics.values(), key=lambda record: record.window_start_ms):
            if _is_mine(record) and record.window_end_ms - record.window_start_ms == WINDOW_MS:
                rows.setdefault(record.window_start_ms, {})[record.metric] = record.value
        return rows

    def compare(self, events: Sequence[Sent]) -> Comparison:
        """Compare with the oracle: every metric of every window, and the number of dead letters."""
        metrics = compare(
            expect(events, window_ms=WINDOW_MS),
            published_cells(self.metrics.values(), window_ms=WINDOW_MS),
        )
        expected = expect_dead_letters(events)
        lost = Difference(0, "dead letters", float(expected), float(self.dead_letters))
        return Comparison(
            compared=metrics.compared + 1,
            differing=metrics.differing + (() if expected == self.dead_letters else (lost,)),
        )
