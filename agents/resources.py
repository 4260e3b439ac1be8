"""Read the resources of process, host and GPUs for Prometheus.

Rules of this file:

* A scrape never waits for a GPU driver and never fails because of one: a thread reads the GPUs in
  its own rhythm, a scrape reports its latest reading.
* What cannot be read is absent from the answer, never zero and never stale.
"""

from __future__ import annotations

import importlib
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from typing import Any, NamedTuple, TypeAlias

import psutil
from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from agents.telemetry_catalogue import RESOURCES

logger = logging.getLogger(__name__)

_ENTRIES = {entry.name: entry for entry in RESOURCES}
_STALE_INTERVALS = 3


GpuReader: TypeAlias = Callable[[ModuleType, object], float]
"""Reads one value of a GPU: of the NVML module, and the driver's handle."""


class GpuReading(NamedTuple):
    """One value of one GPU."""

    metric: str
    gpu: str
    name: str
    value: float


class Gpus:
    """Read all NVIDIA GPUs again and again in a thread.

    Parameters
    ----------
    interval_s
        Pause between readings.
    nvml
        The NVML module. None imports ``pynvml`` in the thread, since loading a driver takes time.
    readers
        What is read of every GPU; None for what Prometheus is told.

    Attributes
    ----------
    tried : threading.Event
        Set once the GPUs were read for the first time, or there are none.
    failures : int
        Readings that the driver failed. What a GPU does not support is no failure.
    """

    def __init__(
        self,
        *,
        interval_s: float = 5.0,
        nvml: ModuleType | None = None,
        readers: Mapping[str, GpuReader] | None = None,
    ) -> None:
        self.failures = 0
        self.tried = threading.Event()
        self._interval_s = interval_s
        self._nvml = nvml
        self._readers = _GPU_READERS if readers is None else readers
        self._latest: tuple[float, tuple[GpuReading, ...]] | None = None
        self._stop = threading.Event()
        threading.Thread(target=self._run, name="driftline-gpus", daemon=True).start()

    @property
    def latest(self) -> tuple[GpuReading, ...] | None:
        """The latest readings; None without a driver, before the first, and once they are stale."""
        latest = self._latest
        if latest is None:
            return None
        taken_s, readings = latest
        fresh = time.monotonic() - taken_s <= _STALE_INTERVALS * self._interval_s
        return readings if fresh else None

    def stop(self) -> None:
        """End the thread after the reading under way, without waiting for it."""
        self._stop.set()

    def _run(self) -> None:
        try:
            nvml = self._nvml or importlib.import_module("pynvml")
            nvml.nvmlInit()
        except Exception as error:  # noqa: BLE001 - no package, no library, no driver: no GPU
            logger.debug("no GPU is watched: %s", error)
            self.tried.set()
            return
        while not self._stop.is_set():
            self._read_all(nvml)
            self.tried.set()
            self._stop.wait(self._interval_s)

    def _read_all(self, nvml: ModuleType) -> None:
        readings: list[GpuReading] = []
        answered = False
        try:
            for index in range(nvml.nvmlDeviceGetCount()):
                readings += self._read_one(nvml, index)
            answered = True
        except Exception as error:  # noqa: BLE001 - a driver that fails must not end the worker
            self._fail(error)
        if answered:
            self._latest = (time.monotonic(), tuple(readings))

    def _read_one(self, nvml: ModuleType, index: int) -> Iterator[GpuReading]:
        try:
            handle = nvml.nvmlDeviceGetHandleByIndex(index)
            name = nvml.nvmlDeviceGetName(handle)
        except Exception as error:  # noqa: BLE001 - one GPU that fell off the bus; others may work
            self._fail(error)
            return
        text = name.decode() if isinstance(name, bytes) else str(name)
        for metric, read in self._readers.items():
            try:
                yield GpuReading(metric, str(index), text, read(nvml, handle))
            except Exception as error:  # noqa: BLE001 - as above, for one value
                if not isinstance(error, nvml.NVMLError_NotSupported):
                    self._fail(error)

    def _fail(self, error: Exception) -> None:
        self.failures += 1
        logger.debug("GPU not read: %s", error)


def gpu_memory(nvml: ModuleType, gpu: object) -> Any:
    """Ask for the memory as `nvidia-smi` shows it: without what the driver keeps for itself.

    Drivers before 510 do not know that question, and the older one counts that as used.
    """
    try:
        return nvml.nvmlDeviceGetMemoryInfo(gpu, version=nvml.nvmlMemory_v2)
    except nvml.NVMLError_FunctionNotFound:
        return nvml.nvmlDeviceGetMemoryInfo(gpu)


def gpu_utilization(nvml: ModuleType, gpu: object) -> float:
    """Return in which share of the time a GPU computed."""
    return float(nvml.nvmlDeviceGetUtilizationRates(gpu).gpu) / 100


def gpu_temperature_celsius(nvml: ModuleType, gpu: object) -> float:
    """Return how hot a GPU is."""
    return float(nvml.nvmlDeviceGetTemperature(gpu, nvml.NVML_TEMPERATURE_GPU))


def gpu_power_watts(nvml: ModuleType, gpu: object) -> float:
    """Return what a GPU draws."""
    return float(nvml.nvmlDeviceGetPowerUsage(gpu)) / 1000


_GPU_READERS: dict[str, GpuReader] = {
    "driftline_gpu_utilization_ratio": gpu_utilization,
    "driftline_gpu_memory_used_bytes": lambda nvml, gpu: gpu_memory(nvml, gpu).used,
    "driftline_gpu_memory_size_bytes": lambda nvml, gpu: gpu_memory(nvml, gpu).total,
    "driftline_gpu_temperature_celsius": gpu_temperature_celsius,
    "driftline_gpu_power_watts": gpu_power_watts,
}


class Resources(Collector):
    """Export what this process, its host and its GPUs use; for `Telemetry.add`.

    Parameters
    ----------
    gpus
        Where GPU readings come from. None starts a `Gpus` of its own.
    """

    def __init__(self, gpus: Gpus | None = None) -> None:
        self._process = psutil.Process()
        self._gpus = gpus or Gpus()
        psutil.cpu_percent()  # the first call has no interval to speak of and answers 0

    def stop(self) -> None:
        """End the thread that reads the GPUs."""
        self._gpus.stop()

    def collect(self) -> Iterator[Metric]:
        """Yield the families of one scrape."""
        for name, read in self._readers().items():
            try:
                value = read()
            except (psutil.Error, OSError, AttributeError) as error:
                # AttributeError: psutil has no `num_fds` on Windows.
                logger.debug("%s not read: %s", name, error)
                continue
            yield _family(name, value)
        yield from self._gpu_families()

    def _readers(self) -> dict[str, Callable[[], float]]:
        process = self._process
        return {
            "driftline_process_cpu_seconds_total": lambda: sum(process.cpu_times()[:2]),
            "driftline_process_resident_memory_bytes": lambda: process.memory_info().rss,
            "driftline_process_open_fds": process.num_fds,
            "driftline_process_threads": process.num_threads,
            "driftline_host_cpu_ratio": lambda: psutil.cpu_percent() / 100,
            "driftline_host_memory_used_bytes": used_bytes,
            "driftline_host_memory_size_bytes": lambda: psutil.virtual_memory().total,
        }

    def _gpu_families(self) -> Iterator[Metric]:
        readings = self._gpus.latest
        yield _family("driftline_gpu_available", 0 if readings is None else 1)
        yield _family("driftline_gpu_read_failures_total", self._gpus.failures)
        for metric in _GPU_READERS if readings else ():
            entry = _ENTRIES[metric]
            family = GaugeMetricFamily(metric, entry.help, labels=entry.labels)
            for reading in readings or ():
                if reading.metric == metric:
                    family.add_metric([reading.gpu, reading.name], reading.value)
            yield family


def used_bytes() -> int:
    """Return how much of the host's memory is in use."""
    memory = psutil.virtual_memory()
    return int(memory.total - memory.available)


def _family(name: str, value: float) -> Metric:
    entry = _ENTRIES[name]
    kind = CounterMetricFamily if entry.kind == "counter" else GaugeMetricFamily
    return kind(name, entry.help, value=value)
