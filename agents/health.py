"""Turn what the worker does into the metrics of the catalogue in `telemetry`."""

from __future__ import annotations

import errno
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from agents.exits import say
from agents.http_server import Page, Probe
from agents.idleness import Input
from agents.partitions import Partition
from agents.resources import Resources
from agents.settings import FIRST_PORT, PORTS
from agents.telemetry import Telemetry
from agents.telemetry_catalogue import FATES
from streams.steps import Effects
from streams.topics import Topics
from streams.values import Dropped

_PARTITION_GAUGES = ("pending_predictions", "early_labels")


_COUNTED = {
    "set_aside_rows": "driftline_quarantined_rows_total",
    "improper_scores": "driftline_improper_scores_total",
    "late_rows": "driftline_late_rows_total",
    "left_out_features": "driftline_features_left_out_total",
    "left_out_segments": "driftline_segments_left_out_total",
    "other_rows": "driftline_other_rows_total",
    "forgotten": "driftline_forgotten_models_total",
    "forgotten_rows": "driftline_forgotten_rows_total",
    "adopted": "driftline_adoptions_total",
    "adoptions_left": "driftline_adoptions_without_alert_total",
}
"""By the field of the effects."""


class Health:
    """Keep the worker's own metrics.

    Parameters
    ----------
    port
        Where Prometheus asks; None takes a free one, 0 means nowhere, and then nothing but
        counters is kept.

    Attributes
    ----------
    port : int
        Where it listens, once it was started; 0 means nowhere.
    probes : dict
        By path, what is answered there.
    pages : dict
        By path, JSON that is answered there.
    pending_predictions : int
        Of all partitions, at the last sample.
    """

    def __init__(
        self, telemetry: Telemetry, *, topics: Topics, host: str, port: int | None
    ) -> None:
        self._telemetry = telemetry
        self._counted = {
            topics.metrics: "driftline_metric_records_total",
            topics.alerts: "driftline_alert_records_total",
            topics.actions: "driftline_action_records_total",
        }
        self._host, self._wanted_port = host, port
        self.port = 0
        self._debts: Counter[str] = Counter()
        self._named: set[str] = set()
        self._resources: Resources | None = None
        self._stop: Callable[[], None] = lambda: None
        self.probes: dict[str, Probe] = {"/livez": lambda: None, "/readyz": lambda: "starting"}
        self.pages: dict[str, Page] = {}
        self.pending_predictions = 0
        self.lags: dict[Input, int] = {}

    def start(self) -> None:
        """Listen, and begin to watch the host.

        Raises
        ------
        OSError
            If the address cannot be used.
        """
        if self._wanted_port == 0:
            return
        self._listen()
        self._resources = Resources()
        self._telemetry.add(self._resources)

    def _listen(self) -> None:
        chosen = self._wanted_port
        ports = [chosen] if chosen is not None else range(FIRST_PORT, FIRST_PORT + PORTS)
        for port in ports:
            try:
                self.port, self._stop = self._telemetry.serve(
                    port=port, host=self._host, probes=self.probes, pages=self.pages
                )
            except OSError as error:
                # Another worker of this host, mostly; one that was told its port must not move.
                if error.errno != errno.EADDRINUSE or port == ports[-1]:
                    raise
            else:
                return

    def answer(self, *, live: Probe, ready: Probe) -> None:
        """Let ``/livez`` and ``/readyz`` say what is wrong, from now on."""
        self.probes |= {"/livez": live, "/readyz": ready}

    def stop(self) -> None:
        """Stop listening."""
        self._stop()
        if self._resources is not None:
            self._resources.stop()

    def read(self, topic: str, count: int) -> None:
        """Count records that were read."""
        self._telemetry.count("driftline_input_records_total", count, topic=topic)

    def mispartitioned(self, topic: str, count: int) -> None:
        """Count keys that are not where those of the other topic are."""
        self._telemetry.count("driftline_mispartitioned_keys_total", count, topic=topic)

    def committed(self, effects: Iterable[Effects], *, seconds: float) -> None:
        """Count what a transaction wrote, once it is committed."""
        self._telemetry.observe("driftline_commit_duration_seconds", seconds)
        self._telemetry.count("driftline_commits_total")
        for effect in effects:
            self._count_effects(effect)

    def _count_effects(self, effects: Effects) -> None:
        for fate, change in effects.fates.items():
            self._count_fate(fate, change)
        for reason, count in Counter(one.reason for one in effects.dead_letters).items():
            self._telemetry.count("driftline_dead_letters_total", count, reason=reason)
        for topic, count in Counter(record.topic for record in effects.records).items():
            if name := self._counted.get(topic):
                self._telemetry.count(name, count)
        for field, name in _COUNTED.items():
            if amount := getattr(effects, field):
                self._telemetry.count(name, amount)
        for part in effects.restarted:
            self._telemetry.count("driftline_state_restarts_total", part=part)
        for one in effects.dropped:
            self._count_dropped(one)

    def _count_dropped(self, one: Dropped) -> None:
        self._telemetry.count("driftline_values_dropped_total", one.count, field=one.field)
        if one.field not in self._named:
            self._named.add(one.field)
            say(f"left out: {one}; more of {one.field} are only counted")

    def _count_fate(self, fate: str, change: int) -> None:
        # A retraction takes a `joined` back, but a counter must never fall: Prometheus would read
        # that as a restart. What is taken back is held until later records make up for it.
        balance = change - self._debts.pop(fate, 0)
        if balance < 0:
            self._debts[fate] = -balance
        else:
            self._telemetry.count("driftline_records_total", balance, fate=fate)

    def lag(self, lags: Mapping[Input, int]) -> None:
        """Show how far inputs are behind."""
        self.lags = self.lags | dict(lags)  # read on another thread
        for (topic, partition), lag in lags.items():
            self._telemetry.set(
                "driftline_input_lag_records", lag, topic=topic, partition=partition
            )

    def known(self) -> dict[str, Any]:
        """Return what `agents.status.Status` says of it: lag by topic, and records by fate."""
        lag: Counter[str] = Counter()
        for (topic, _), behind in self.lags.items():
            lag[topic] += behind
        fates = {
            fate: self._telemetry.value("driftline_records_total", fate=fate) for fate in FATES
        }
        return {"lag": dict(lag), "fates": {fate: int(count) for fate, count in fates.items()}}

    def memory(self, *, budget_bytes: int, pressure: bool) -> None:
        """Show the memory budget, and whether it is nearly used up."""
        self._telemetry.set("driftline_memory_budget_bytes", budget_bytes)
        self._telemetry.set("driftline_memory_pressure", pressure)

    def sample(self, partitions: Iterable[Partition], *, stages: Iterable[str]) -> None:
        """Show the state that the worker holds now."""
        owned: Counter[str] = Counter(dict.fromkeys(stages, 0))
        entries: dict[str, float] = dict.fromkeys(stages, 0.0)
        sizes_bytes = entries.copy()
        totals: dict[str, float] = defaultdict(float)
        for partition in partitions:
            name, number = partition.stage.name, partition.number
            owned[name] += 1
            gauges = partition.stage.gauges(partition.state) if partition.running else {}
            for gauge in _PARTITION_GAUGES:
                if gauge in gauges:
                    self._telemetry.set(f"driftline_{gauge}", gauges[gauge], partition=number)
            if "clock_ms" in gauges:
                self._telemetry.set(
                    "driftline_clock_timestamp_seconds",
                    gauges["clock_ms"] / 1_000,
                    stage=name,
                    partition=number,
                )
            if partition.running:
                for ahead in partition.stage.ahead(partition.state):
                    where = {"topic": ahead.topic, "partition": number}
                    self._telemetry.set("driftline_clock_ahead_records", ahead.records, **where)
                    ahead_s = ahead.ahead_ms / 1_000
                    self._telemetry.set("driftline_clock_ahead_seconds", ahead_s, **where)
            entries[name] += gauges.get("state_entries", 0)
            sizes_bytes[name] += gauges.get("state_bytes", 0)
            totals["models"] += gauges.get("models", 0)
            totals["quarantined"] += gauges.get("quarantined_models", 0)
            totals["text"] += gauges.get("text_models", 0)
            totals["pending"] += gauges.get("pending_predictions", 0)
        self.pending_predictions = int(totals["pending"])
        self._telemetry.set("driftline_ready", self.probes["/readyz"]() is None)
        self._telemetry.set("driftline_models", totals["models"])
        self._telemetry.set("driftline_quarantined_models", totals["quarantined"])
        self._telemetry.set("driftline_text_models", totals["text"])
        for stage, count in owned.items():
            self._telemetry.set("driftline_assigned_partitions", count, stage=stage)
            self._telemetry.set("driftline_state_entries", entries[stage], stage=stage)
            self._telemetry.set("driftline_state_bytes", sizes_bytes[stage], stage=stage)

    def forget(self, partition: Partition) -> None:
        """Stop showing a partition that was taken away."""
        number = partition.number
        self._telemetry.forget(stage=partition.stage.name, partition=number)
        for topic in partition.stage.inputs:
            self._telemetry.forget(topic=topic, partition=number)
            self.lags = {at: lag for at, lag in self.lags.items() if at != (topic, number)}
        if partition.stage.name == "join":
            for gauge in _PARTITION_GAUGES:
                self._telemetry.set(f"driftline_{gauge}", 0, partition=number)
