"""Let Prometheus scrape the last final values, and which alerts fire.

A scrape has no past: values that are still revised do not fit it, so only those of windows that are
final are shown, with the time at which their window ended.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from threading import Lock
from typing import Annotated, Literal, TypeAlias

import msgspec
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from agents.sinks.contract import Clock, Sink, Upsert, option
from agents.telemetry_catalogue import Entry
from streams.alerts import Alert
from streams.durations import parse_duration_ms
from streams.errors import ConfigError
from streams.metrics import Metric

RESULTS = (
    Entry(
        "driftline_metric_value",
        "gauge",
        ("model", "version", "segment", "metric"),
        "Value of the last window that is final.",
    ),
    Entry(
        "driftline_metric_window_end_timestamp_seconds",
        "gauge",
        ("model", "version", "segment", "metric"),
        "When that window ended, seconds since the epoch.",
    ),
    Entry(
        "driftline_metric_coverage_ratio",
        "gauge",
        ("model", "version", "segment", "metric"),
        "Labels divided by predictions of that window.",
    ),
    Entry(
        "driftline_alerts_firing",
        "gauge",
        ("model", "version", "segment", "monitor", "severity"),
        "Alerts of a monitor that fire.",
    ),
    Entry(
        "driftline_results_left_out_total",
        "counter",
        ("kind",),
        "Values and alerts that are not shown, since there are as many series as --max-series.",
    ),
)
_VALUE, _ENDED, _COVERAGE, _FIRING, _LEFT_OUT = RESULTS

PORT = 9564
"""Where Prometheus finds it, unless it is told otherwise."""

Labels: TypeAlias = tuple[str, ...]


class PrometheusOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How many series there may be, and how long they stay."""

    max_series: Annotated[
        str, option("Most series of values, and most of alerts; more are left out, counted.", "N")
    ] = "10000"
    forget: Annotated[
        str, option("Values of windows that ended longer ago are not shown.", "DURATION")
    ] = "7d"


class Prometheus(Sink, Collector):
    """Let Prometheus scrape the last final value of every metric, and which alerts fire.

    One for the whole installation, at http://127.0.0.1:9564/metrics. Everything is read again at
    every start, and shown once that is done.
    """

    name = "prometheus"
    port = PORT
    options = PrometheusOptions
    examples = (
        "driftline sink prometheus",
        "driftline sink prometheus --metrics-host 0.0.0.0 --metrics-port 9564 --max-series 50000",
    )

    def __init__(self, options: PrometheusOptions, *, clock: Clock | None = None) -> None:
        self._now_ms = clock or (lambda: time.time_ns() // 1_000_000)
        if not options.max_series.isdecimal() or not int(options.max_series):
            raise ConfigError(f"--max-series: {options.max_series!r} is no number from 1 on")
        self._most = int(options.max_series)
        self._forget_ms = parse_duration_ms(options.forget, setting="--forget")
        self._lock = Lock()
        self._ready = False
        self._values: dict[Labels, Metric] = {}
        self._alerts: dict[str, Labels] = {}
        self._firing: Counter[Labels] = Counter()
        self._left_out: Counter[str] = Counter({"metrics": 0, "alerts": 0})

    def start(self) -> Literal["beginning"]:
        """Read everything, at every start."""
        return "beginning"

    def collectors(self) -> Sequence[Collector]:
        """Return itself."""
        return [self]

    def caught_up(self) -> None:
        """Show it."""
        self._ready = True

    def write(self, upserts: Sequence[Upsert]) -> None:
        """Take what is final, and what fires."""
        old_ms = self._now_ms() - self._forget_ms
        with self._lock:
            for upsert in upserts:
                record = upsert.record
                if isinstance(record, Metric):
                    self._value(record, old_ms)
                elif isinstance(record, Alert):
                    self._alert(record)
                else:
                    self._gone(upsert)

    def flush(self) -> None:
        """Forget what is old."""
        old_ms = self._now_ms() - self._forget_ms
        with self._lock:
            gone = [name for name, one in self._values.items() if one.window_end_ms < old_ms]
            for name in gone:
                del self._values[name]

    def _value(self, record: Metric, old_ms: int) -> None:
        name = (record.model, record.version, record.segment, record.metric)
        shown = self._values.get(name)
        if not record.final or record.window_end_ms < old_ms:
            return
        if shown is None and len(self._values) >= self._most:
            self._left_out["metrics"] += 1
        elif shown is None or shown.window_end_ms <= record.window_end_ms:
            self._values[name] = record

    def _alert(self, alert: Alert) -> None:
        self._end(alert.alert_id)
        if alert.state != "firing":
            return
        name = (alert.model, alert.version, alert.segment, alert.monitor, alert.severity)
        if len(self._firing) >= self._most:
            self._firing = +self._firing  # those at 0 give way
        if name not in self._firing and len(self._firing) >= self._most:
            self._left_out["alerts"] += 1
            return
        self._alerts[alert.alert_id] = name
        self._firing[name] += 1

    def _end(self, alert_id: str) -> None:
        if (name := self._alerts.pop(alert_id, None)) is not None:
            self._firing[name] -= 1  # and stays at 0: that it is over can be seen

    def _gone(self, upsert: Upsert) -> None:
        if upsert.kind == "alerts":
            self._end(upsert.key.decode(errors="replace"))
            return
        try:
            model, version, segment, start_ms, _, metric = _decode_key(upsert.key)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return
        name = (model, version, segment, metric)
        if name in self._values and self._values[name].window_start_ms == start_ms:
            del self._values[name]

    def collect(self) -> Iterator[Family]:
        """Yield what Prometheus is told."""
        with self._lock:
            values = list(self._values.items()) if self._ready else []
            firing = list(self._firing.items()) if self._ready else []
            left_out = list(self._left_out.items())
        value, ended, coverage, alerts = map(_gauge, (_VALUE, _ENDED, _COVERAGE, _FIRING))
        for labels, record in values:
            value.add_metric(labels, record.value)
            ended.add_metric(labels, record.window_end_ms / 1_000)
            if record.coverage is not None:
                coverage.add_metric(labels, record.coverage)
        for labels, count in firing:
            alerts.add_metric(labels, count)
        over = CounterMetricFamily(_LEFT_OUT.name, _LEFT_OUT.help, labels=_LEFT_OUT.labels)
        for kind, count in left_out:
            over.add_metric([kind], count)
        yield from (value, ended, coverage, alerts, over)


_decode_key = msgspec.json.Decoder(tuple[str, str, str, int, int, str]).decode


def _gauge(entry: Entry) -> GaugeMetricFamily:
    return GaugeMetricFamily(entry.name, entry.help, labels=entry.labels)
