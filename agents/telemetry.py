"""What a worker says about itself, for Prometheus.

Rules of this file:

* A metric that is not in the catalogue cannot be set, see `agents.telemetry_catalogue`.
* It knows nothing of Kafka or models; callers give the numbers.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any

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
from agents.telemetry_catalogue import FATES, WORKER, Entry
from streams.values import FIELDS

METRICS_PATH = "/metrics"
_OPENMETRICS = "application/openmetrics-text"

COMMIT_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


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
