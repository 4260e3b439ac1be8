"""What hosts, GPUs and processes were busy with, beside the quality of the models on them."""

import math
from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

import numpy as np

from streams.families.family import (
    ON_READINGS,
    RESOURCES,
    Cells,
    Column,
    Counts,
    Estimate,
    Family,
    Floats,
    Ints,
    Metric,
    Observed,
    Sparse,
    Sums,
    Totals,
)
from streams.families.histograms import (
    bin_values,
    quantile_estimates,
    score_bins,
    score_values,
    value_bins,
)
from streams.families.intervals import wilson

Better = Literal["lower", "neither"]


class Gauge(NamedTuple):
    """A field of a reading that is averaged.

    Attributes
    ----------
    shares
        Which quantiles it has, by what its name ends in, before the unit.
    """

    name: str
    help: str
    unit: str = ""
    better: Better = "neither"
    lowest: float = 0.0
    highest: float = math.inf
    shares: tuple[str, ...] = ()

    @property
    def is_share(self) -> bool:
        """Whether it is from 0 to 1."""
        return self.highest == 1.0

    def bins(self, values: Floats) -> Ints:
        """Return bins of values; those of 0 and 1 are exactly that in shares."""
        if not self.is_share:
            return value_bins(values)
        return np.where(np.isnan(values), -1, score_bins(values))

    def quantile(self, share: str) -> str:
        """Return the name of a quantile.

        Examples
        --------
        >>> Gauge("gpu_power_watts", "", unit="watts").quantile("max")
        'gpu_power_max_watts'
        """
        if not self.unit or not self.name.endswith(f"_{self.unit}"):
            return f"{self.name}_{share}"
        return f"{self.name.removesuffix(self.unit)}{share}_{self.unit}"

    def metrics(self) -> Iterator[Metric]:
        """Yield what is published of it."""
        for share in ("", *self.shares):
            yield Metric(
                name=self.quantile(share) if share else self.name,
                help=f"{_WORDS[share]} of {self.help}",
                unit=self.unit.replace("_", " "),
                better=self.better,
                interval="ranks" if share == "p95" else None,
                lowest=self.lowest,
                highest=self.highest,
                rests_on=ON_READINGS,
                at_most=_count(self.name),
                binned=bool(share) and not self.is_share,
                source="Conover (1999), §3.2" if share == "p95" else "",
            )


_WORDS = {"": "mean", "p95": "95 % quantile", "max": "largest"}
_QUANTILES = {"p95": 0.95, "max": 1.0}
_BYTES = "bytes_per_second"


def _share(name: str, text: str, *shares: str, better: Better = "lower") -> Gauge:
    return Gauge(name, text, better=better, highest=1.0, shares=shares)


GAUGES = (
    _share("cpu_utilization", "the share of a host's processors that was busy", "p95", "max"),
    Gauge("load_average_1m", "the processes that ran or waited for a processor", better="lower"),
    _share("memory_utilization", "the share of a host's memory in use", "max"),
    _share("swap_utilization", "the share of a host's swap space in use"),
    _share("disk_utilization", "the share of a host's disk in use"),
    Gauge("disk_read_bytes_per_second", "what a host read from disks", _BYTES),
    Gauge("disk_write_bytes_per_second", "what a host wrote to disks", _BYTES),
    Gauge("network_receive_bytes_per_second", "what a host received", _BYTES),
    Gauge("network_send_bytes_per_second", "what a host sent", _BYTES),
    _share("gpu_utilization", "the share of time in which a GPU computed", "p95", better="neither"),
    _share("gpu_memory_utilization", "the share of a GPU's memory in use", "max"),
    Gauge(
        "gpu_temperature_celsius",
        "the temperature of a GPU",
        unit="celsius",
        better="lower",
        lowest=-274.0,
        shares=("max",),
    ),
    Gauge("gpu_power_watts", "what a GPU drew", unit="watts", shares=("max",)),
    Gauge("process_cpu_cores", "the processors that a process kept busy", "cores", shares=("max",)),
    Gauge(
        "process_memory_bytes",
        "what a process had in memory",
        unit="bytes",
        better="lower",
        shares=("max",),
    ),
    Gauge("process_threads", "the threads of a process"),
    Gauge("process_open_fds", "the open files of a process", better="lower"),
    Gauge("cgroup_cpu_cores", "the processors that a control group kept busy", "cores"),
    _share("cgroup_memory_utilization", "the share of its limit that a control group used", "max"),
    _share("cgroup_cpu_throttled", "the share of periods without processor time left"),
)


def _count(name: str) -> str:
    return f"{name}_count"


def _bins(name: str) -> str:
    return f"{name}_bins"


def _columns() -> dict[str, Column]:
    found: dict[str, Column] = {"throttled": Counts(2), "ecc_count": Counts(), "ecc": Totals()}
    for gauge in GAUGES:
        found |= {_count(gauge.name): Counts(), gauge.name: Sums()}
        if gauge.shares:
            found[_bins(gauge.name)] = Sparse()
    return found


class Resources(Family):
    """Means of what was read, some quantiles, and how often GPUs were slowed down or in error."""

    name = "resources"
    reads = RESOURCES
    columns = _columns()
    metrics = (
        *(metric for gauge in GAUGES for metric in gauge.metrics()),
        Metric(
            name="gpu_throttled",
            help="share of readings of GPUs that power, heat or a fault slowed down",
            better="lower",
            interval="Wilson",
            highest=1.0,
            rests_on=ON_READINGS,
            at_most="throttled",
            source="Wilson (1927)",
        ),
        Metric(
            name="gpu_ecc_errors",
            help="errors of GPU memory that could not be corrected",
            better="lower",
            rests_on=ON_READINGS,
            at_most="ecc_count",
            grows=True,
        ),
    )

    def observe(self, rows: Any) -> Mapping[str, Observed]:
        found: dict[str, Observed] = {}
        for gauge in GAUGES:
            values = rows.values.get(gauge.name)
            if values is None:
                continue
            found[_count(gauge.name)] = np.where(np.isnan(values), -1, 0)
            found[gauge.name] = values
            if gauge.shares:
                found[_bins(gauge.name)] = gauge.bins(values)
        flags = rows.values.get("gpu_throttled")
        if flags is not None:
            found["throttled"] = np.nan_to_num(flags, nan=-1).astype(np.int64)
        errors = rows.values.get("gpu_ecc_errors")
        if errors is not None:
            place = np.where(np.isnan(errors), -1, 0)
            found |= {"ecc_count": place, "ecc": (place, np.nan_to_num(errors).astype(np.int64))}
        return found

    def compute(self, cells: Cells) -> Iterator[Estimate]:
        for gauge in GAUGES:
            count = cells.counts(_count(gauge.name))[:, 0]
            if not count.any():
                continue
            mean = cells.sums(gauge.name).means(count)
            yield Estimate(gauge.name, mean, None, None, count)
            if gauge.shares:
                shares = [(gauge.quantile(share), _QUANTILES[share]) for share in gauge.shares]
                entries = cells.entries(_bins(gauge.name))
                middle = score_values if gauge.is_share else bin_values
                for one in quantile_estimates(shares, entries, cells.groups, values=middle):
                    largest = one.metric == gauge.quantile("max")
                    yield _without_bounds(one) if largest else one
        throttled = cells.counts("throttled")
        count = throttled.sum(axis=1)
        with np.errstate(all="ignore"):
            share = np.where(count > 0, throttled[:, 1] / count, np.nan)
        yield Estimate("gpu_throttled", share, *wilson(throttled[:, 1], count), count)
        count, errors = cells.counts("ecc_count")[:, 0], cells.counts("ecc")[:, 0]
        total = np.where(count > 0, errors.astype(np.float64), np.nan)
        yield Estimate("gpu_ecc_errors", total, None, None, count)


def _without_bounds(one: Estimate) -> Estimate:
    return Estimate(one.metric, one.value, None, None, one.count)
