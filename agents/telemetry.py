"""What a worker says about itself, for Prometheus.

Rules of this file:

* `WORKER` and `RESOURCES` are the whole catalogue: a metric that is not in it cannot be set.
* No label has values that producers choose freely (no prediction ids, no features).
* It knows nothing of Kafka or models; callers give the numbers.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from agents.http_server import HttpServer, Page, Probe
from streams import matching
from streams.values import FIELDS

METRICS_PATH = "/metrics"
_OPENMETRICS = "application/openmetrics-text"

FATES = tuple(fate for fate in matching.FATES if fate != "pending")
"""The final fates; `pending` is a gauge."""

COMMIT_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Entry(NamedTuple):
    """One metric of the catalogue: its full name, type, label names and help text."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    help: str


WORKER = (
    Entry("driftline_records_total", "counter", ("fate",), "Records by the fate they ended in."),
    Entry(
        "driftline_pending_predictions",
        "gauge",
        ("partition",),
        "Predictions that wait for their label.",
    ),
    Entry(
        "driftline_early_labels",
        "gauge",
        ("partition",),
        "Labels that wait for their prediction.",
    ),
    Entry("driftline_input_records_total", "counter", ("topic",), "Records read."),
    Entry(
        "driftline_input_lag_records",
        "gauge",
        ("topic", "partition"),
        "Records between the worker's position and the end of the partition.",
    ),
    Entry(
        "driftline_mispartitioned_keys_total",
        "counter",
        ("topic",),
        "Keys of a sample that are not where `murmur2` puts them, while those of the other input "
        "are: labels meet their predictions by luck only.",
    ),
    Entry(
        "driftline_dead_letters_total",
        "counter",
        ("reason",),
        "Records sent to the dead-letter topics.",
    ),
    Entry(
        "driftline_values_dropped_total",
        "counter",
        ("field",),
        "Values that were left out of predictions, which count without them.",
    ),
    Entry(
        "driftline_late_rows_total",
        "counter",
        (),
        "Outcomes later than the allowed disorder: they revise their window, detectors skip them.",
    ),
    Entry(
        "driftline_commit_duration_seconds",
        "histogram",
        (),
        "Time of one transaction, from its beginning to its commit.",
    ),
    Entry("driftline_commits_total", "counter", (), "Transactions committed."),
    Entry(
        "driftline_state_entries",
        "gauge",
        ("stage",),
        "Entries of state that the worker holds: predictions and early labels (join), panes and "
        "waiting batches (monitor).",
    ),
    Entry(
        "driftline_state_bytes",
        "gauge",
        ("stage",),
        "Memory that the predictions held for the join take.",
    ),
    Entry("driftline_models", "gauge", (), "Models that the worker evaluates."),
    Entry(
        "driftline_quarantined_models",
        "gauge",
        (),
        "Models that are set aside, since their state does not fit into a record: their state is "
        "deleted, what comes of that version is left out; the log and `driftline status` name "
        "them.",
    ),
    Entry(
        "driftline_quarantined_rows_total",
        "counter",
        (),
        "Predictions and outcomes of models that are set aside, which are left out.",
    ),
    Entry(
        "driftline_improper_scores_total",
        "counter",
        (),
        "Outcomes with a score that is no probability, which log_loss and brier leave out.",
    ),
    Entry(
        "driftline_state_restarts_total",
        "counter",
        ("part",),
        "Parts of the state (families, detectors, rules) of another version, which began anew.",
    ),
    Entry("driftline_metric_records_total", "counter", (), "Metric records written."),
    Entry("driftline_alert_records_total", "counter", (), "Alert records written."),
    Entry(
        "driftline_assigned_partitions",
        "gauge",
        ("stage",),
        "Partitions assigned to the worker.",
    ),
    Entry(
        "driftline_clock_timestamp_seconds",
        "gauge",
        ("stage", "partition"),
        "Event-time clock of the partition, seconds since the epoch, UTC.",
    ),
    Entry(
        "driftline_clock_ahead_records",
        "gauge",
        ("topic", "partition"),
        "Of the last 5,120 records of an input, those of different ids that are ahead of it.",
    ),
    Entry(
        "driftline_clock_ahead_seconds",
        "gauge",
        ("topic", "partition"),
        "How far the furthest of them is ahead: they are joined, and do not move the clock.",
    ),
    Entry(
        "driftline_ready",
        "gauge",
        (),
        "1 once the group has assigned partitions and all of them are open, else 0; see /readyz.",
    ),
    Entry(
        "driftline_memory_budget_bytes",
        "gauge",
        (),
        "Resident memory at which the worker ends itself; 0 if it has no budget.",
    ),
    Entry("driftline_memory_pressure", "gauge", (), "1 from 80 % of the memory budget on, else 0."),
    Entry(
        "driftline_build_info",
        "gauge",
        ("version", "python"),
        "Always 1; the labels say what runs.",
    ),
)
"""What the worker itself counts and sets, through `Telemetry`."""

_GPU = ("gpu", "name")
RESOURCES = (
    Entry(
        "driftline_process_cpu_seconds_total",
        "counter",
        (),
        "User and system CPU time of the worker process.",
    ),
    Entry(
        "driftline_process_resident_memory_bytes",
        "gauge",
        (),
        "Resident memory of the worker process.",
    ),
    Entry("driftline_process_open_fds", "gauge", (), "Open file descriptors of the process."),
    Entry("driftline_process_threads", "gauge", (), "Threads of the worker process."),
    Entry("driftline_host_cpu_ratio", "gauge", (), "Busy share of all the host's CPUs, 0 to 1."),
    Entry("driftline_host_memory_used_bytes", "gauge", (), "Memory of the host in use."),
    Entry("driftline_host_memory_size_bytes", "gauge", (), "Memory of the host."),
    Entry(
        "driftline_gpu_available",
        "gauge",
        (),
        "1 if the NVIDIA driver answers, else 0, and then there are no GPU series.",
    ),
    Entry("driftline_gpu_utilization_ratio", "gauge", _GPU, "Busy share of the GPU, 0 to 1."),
    Entry(
        "driftline_gpu_memory_used_bytes",
        "gauge",
        _GPU,
        "GPU memory in use, without what the driver keeps.",
    ),
    Entry("driftline_gpu_memory_size_bytes", "gauge", _GPU, "GPU memory."),
    Entry("driftline_gpu_temperature_celsius", "gauge", _GPU, "Temperature of the GPU."),
    Entry("driftline_gpu_power_watts", "gauge", _GPU, "Power that the GPU draws."),
    Entry(
        "driftline_gpu_read_failures_total",
        "counter",
        (),
        "Readings of a GPU that the driver failed.",
    ),
)
"""What `agents.resources` reads when Prometheus asks."""

CATALOGUE = WORKER + RESOURCES


class Telemetry:
    """Hold the metrics of a catalogue in a registry of their own.

    Counters without labels, and fates, begin at 0, so that `rate` sees the first event.
    A counter is only ever counted up, a gauge set, a histogram observed: anything else, an unknown
    name and a wrong label raise `KeyError` or `ValueError`, being mistakes of ours.

    Parameters
    ----------
    version
        Version of driftline, for ``driftline_build_info``.
    entries
        The catalogue.

    Attributes
    ----------
    registry : prometheus_client.CollectorRegistry
        For collectors of other modules and for tests.

    Examples
    --------
    >>> telemetry = Telemetry(version="1.0")
    >>> telemetry.count("driftline_records_total", 3, fate="joined")
    >>> telemetry.set("driftline_input_lag_records", 7, topic="labels", partition=0)
    >>> telemetry.registry.get_sample_value("driftline_records_total", {"fate": "joined"})
    3.0
    """

    def __init__(self, *, version: str, entries: Sequence[Entry] = WORKER) -> None:
        # The client's extra `_created` series double the number of counters and nothing reads them.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the client forgot the types
        self.registry = CollectorRegistry(auto_describe=True)
        self._counters: dict[str, Counter] = {}
        self._gauges: dict[str, Gauge] = {}
        self._histograms: dict[str, Histogram] = {}
        self._entries = entries
        for entry in entries:
            self._add(entry)
        if entries is WORKER:
            self._begin_at_zero()
        self.set("driftline_build_info", 1, version=version, python=platform.python_version())

    def _begin_at_zero(self) -> None:
        for fate in FATES:
            self.count("driftline_records_total", 0, fate=fate)
        for field in FIELDS:
            self.count("driftline_values_dropped_total", 0, field=field)

    def _add(self, entry: Entry) -> None:
        name, kind, labels, help_text = entry
        if kind == "counter":
            self._counters[name] = Counter(name, help_text, labels, registry=self.registry)
        elif kind == "gauge":
            self._gauges[name] = Gauge(name, help_text, labels, registry=self.registry)
        else:
            self._histograms[name] = Histogram(
                name, help_text, labels, registry=self.registry, buckets=COMMIT_BUCKETS_S
            )

    def count(self, name: str, amount: float = 1, **labels: object) -> None:
        """Add `amount`, 0 or more, to a counter."""
        _child(self._counters[name], labels).inc(amount)

    def set(self, name: str, value: float, **labels: object) -> None:
        """Set a gauge."""
        _child(self._gauges[name], labels).set(value)

    def observe(self, name: str, value: float, **labels: object) -> None:
        """Add one observation to a histogram."""
        _child(self._histograms[name], labels).observe(value)

    def value(self, name: str, **labels: str) -> float:
        """Return what a counter or gauge says now; 0 if it has said nothing."""
        return self.registry.get_sample_value(name, labels) or 0.0

    def forget(self, **labels: object) -> None:
        """Remove every gauge series that carries all of `labels`.

        For partitions that were taken away: a gauge that nobody sets any more would go on telling
        its last value, beside that of the partition's new worker. No labels remove nothing.

        Examples
        --------
        >>> telemetry = Telemetry(version="1.0")
        >>> telemetry.set("driftline_clock_timestamp_seconds", 5, stage="join", partition=0)
        >>> telemetry.set("driftline_clock_timestamp_seconds", 6, stage="monitor", partition=0)
        >>> telemetry.forget(stage="join", partition=0)
        >>> [
        ...     s.labels["stage"]
        ...     for m in telemetry.registry.collect()
        ...     for s in m.samples
        ...     if s.name == "driftline_clock_timestamp_seconds"
        ... ]
        ['monitor']
        """
        wanted = {name: str(value) for name, value in labels.items()}
        if not wanted:
            return
        for entry in self._entries:
            if entry.kind == "gauge" and wanted.keys() <= set(entry.labels):
                _remove(self._gauges[entry.name], entry.labels, wanted)

    def add(self, collector: Collector) -> None:
        """Also export what `collector` reads, such as `agents.resources.Resources`."""
        self.registry.register(collector)

    def serve(
        self,
        *,
        port: int,
        host: str = "127.0.0.1",
        probes: Mapping[str, Probe] = MappingProxyType({}),
        pages: Mapping[str, Page] = MappingProxyType({}),
    ) -> tuple[int, Callable[[], None]]:
        """Answer Prometheus over HTTP, on a thread of its own; see `agents.http_server`.

        Parameters
        ----------
        port
            Port to listen on; 0 lets the system choose.
        host
            Address to listen on. The default is reachable from this machine only.
        probes
            More to answer, by path: 200 if nothing is wrong, else 503 and what it is.
        pages
            JSON to answer, by path. To both, more may be added later.

        Returns
        -------
        int
            The port.
        Callable
            Stops the server and frees the port; calling it again does nothing.

        Raises
        ------
        OSError
            If the address cannot be used, such as a port that is taken.
        """
        server = HttpServer(host=host, port=port, probes=probes, pages=partial(self._page, pages))
        return server.port, server.stop

    def _page(self, pages: Mapping[str, Page], path: str, accepted: str) -> tuple[str, Page] | None:
        if path == METRICS_PATH:
            # Not what the client says of versions: each would be a page of its own to keep.
            kind = f"{_OPENMETRICS}; version=1.0.0" if _OPENMETRICS in accepted else ""
            encode, content_type = choose_encoder(kind)
            return content_type, partial(encode, self.registry)
        return ("application/json", pages[path]) if path in pages else None


def _remove(gauge: Gauge, names: tuple[str, ...], wanted: dict[str, str]) -> None:
    for sample in [sample for family in gauge.collect() for sample in family.samples]:
        if wanted.items() <= sample.labels.items():
            gauge.remove(*(sample.labels[name] for name in names))


def _child(metric: Any, labels: dict[str, object]) -> Any:
    return metric.labels(**labels) if labels else metric
