"""What a sink says about itself, for Prometheus and for probes."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Mapping

from prometheus_client.registry import Collector

from agents.sinks.contract import Kind
from agents.telemetry import Telemetry
from agents.telemetry_catalogue import Entry

FIRST_PORT, PORTS = 9565, 100
"""Where a sink answers that was not told where: the first of these that is free."""

SINK = (
    Entry(
        "driftline_sink_lag_records",
        "gauge",
        ("sink",),
        "Records of the topics that are not read yet.",
    ),
    Entry(
        "driftline_sink_written_records_total",
        "counter",
        ("sink", "kind"),
        "Records that are safe at the target.",
    ),
    Entry(
        "driftline_sink_errors_total",
        "counter",
        ("sink",),
        "Attempts that failed since the target was away; they are repeated.",
    ),
    Entry(
        "driftline_sink_dead_letters_total",
        "counter",
        ("sink", "reason"),
        "Records that cannot be used or that the target refuses: they are in the file of dead "
        "letters.",
    ),
    Entry(
        "driftline_sink_missing_records_total",
        "counter",
        ("sink", "topic"),
        "Offsets that were gone from the topic before the sink had read them.",
    ),
    Entry(
        "driftline_sink_ready",
        "gauge",
        ("sink",),
        "1 if the target takes records and the topics were read to their end once, else 0.",
    ),
    Entry(
        "driftline_build_info",
        "gauge",
        ("version", "python"),
        "Always 1; the labels say what runs.",
    ),
)

_STALLED_S = 300.0


class SinkHealth:
    """Keep a sink's own metrics, and answer probes."""

    def __init__(self, name: str, *, version: str) -> None:
        self._name = name
        self._telemetry = Telemetry(version=version, entries=SINK)
        self._away: str | None = None
        self._caught_up = False
        self._stirred_s = time.monotonic()
        self._stop: Callable[[], None] = lambda: None
        self.port = 0
        self._count("driftline_sink_errors_total", 0)
        self._show()

    @property
    def telemetry(self) -> Telemetry:
        """Where the metrics are kept."""
        return self._telemetry

    def listen(self, *, host: str, port: int | None) -> None:
        """Answer on a port; None takes the first that is free, 0 none.

        Raises
        ------
        OSError
            If the address cannot be used.
        """
        if port == 0:
            return
        ports = [port] if port is not None else list(range(FIRST_PORT, FIRST_PORT + PORTS))
        probes = {"/livez": self.stalled, "/readyz": self.unready}
        for one in ports:
            try:
                self.port, self._stop = self._telemetry.serve(port=one, host=host, probes=probes)
            except OSError as error:
                if error.errno != errno.EADDRINUSE or one == ports[-1]:
                    raise
            else:
                return

    def export(self, collector: Collector) -> None:
        """Also answer what a sink collects itself."""
        self._telemetry.add(collector)

    def stop(self) -> None:
        """Stop listening."""
        self._stop()

    def stalled(self) -> str | None:
        """Say that the loop does not turn."""
        silent_s = time.monotonic() - self._stirred_s
        return f"no progress for {silent_s:.0f} s" if silent_s > _STALLED_S else None

    def unready(self) -> str | None:
        """Say what is missing."""
        if self._away is not None:
            return f"the target is away: {self._away}"
        return None if self._caught_up else "reading what was there before"

    def stirred(self) -> None:
        """Take note that the loop turns."""
        self._stirred_s = time.monotonic()

    def away(self, why: str) -> None:
        """Take note that the target does not answer."""
        self._away = why
        self._count("driftline_sink_errors_total")
        self._show()

    def written(self, counts: Mapping[Kind, int]) -> None:
        """Count what is safe; the target has answered."""
        for kind, count in counts.items():
            self._count("driftline_sink_written_records_total", count, kind=kind)
        if self._away is not None:
            self._away = None
            self._show()

    def caught_up(self) -> None:
        """Take note that the topics were read to their end."""
        self._caught_up = True
        self._show()

    def dead_letter(self, reason: str) -> None:
        """Count a record that is set aside."""
        self._count("driftline_sink_dead_letters_total", reason=reason)

    def missing(self, topic: str, count: int) -> None:
        """Count offsets that are gone."""
        self._count("driftline_sink_missing_records_total", count, topic=topic)

    def lag(self, records: int) -> None:
        """Show how far behind the topics the target is."""
        self._telemetry.set("driftline_sink_lag_records", records, sink=self._name)

    def _count(self, metric: str, amount: int = 1, **labels: str) -> None:
        self._telemetry.count(metric, amount, sink=self._name, **labels)

    def _show(self) -> None:
        ready = self.unready() is None
        self._telemetry.set("driftline_sink_ready", ready, sink=self._name)
