"""What a worker says about itself: names, labels and help of all of its metrics.

`WORKER` and `RESOURCES` are the whole catalogue. No label has values that producers choose freely
(no prediction ids, no features).
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from streams import matching

FATES = tuple(fate for fate in matching.FATES if fate != "pending")
"""The final fates; `pending` is a gauge."""


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
        "driftline_text_models",
        "gauge",
        (),
        "Models that are taken for text, so that they have no metrics of classes.",
    ),
    Entry(
        "driftline_other_rows_total",
        "counter",
        (),
        "Outcomes with a class beyond the first of their model, which count as one, `other`.",
    ),
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
        "driftline_features_left_out_total",
        "counter",
        (),
        "Values of features that are left out, since their model has sent too many others before.",
    ),
    Entry(
        "driftline_segments_left_out_total",
        "counter",
        (),
        "Segments of predictions that are left out, since their model has sent too many others "
        "before.",
    ),
    Entry(
        "driftline_forgotten_models_total",
        "counter",
        (),
        "Models that were forgotten, since they were silent for long or somebody said so.",
    ),
    Entry(
        "driftline_forgotten_rows_total",
        "counter",
        (),
        "Predictions and outcomes that are left out, since their model was forgotten after the "
        "prediction.",
    ),
    Entry(
        "driftline_adoptions_total",
        "counter",
        (),
        "Orders to adopt the level that an alert is about that took effect.",
    ),
    Entry(
        "driftline_adoptions_without_alert_total",
        "counter",
        (),
        "Orders to adopt a level without effect: no such alert fired, or it is one of a rule.",
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
    Entry("driftline_action_records_total", "counter", (), "Actions written that alerts ask for."),
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
