"""What `driftline watch-host` reads of GPUs, by the fields of a reading.

The thread that asks the driver is that of `agents.resources`: a driver that hangs holds nothing up.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any

from agents.resources import (
    GpuReader,
    GpuReading,
    gpu_memory,
    gpu_power_watts,
    gpu_temperature_celsius,
    gpu_utilization,
)

# Bits that NVML has for what slows clocks down. Left out is what is no trouble: a GPU that is idle
# (1), clocks that somebody has set (2), those of a group (16) or for a display (256).
REASONS = {
    0x04: "software power cap",
    0x08: "hardware slowdown",
    0x20: "software thermal slowdown",
    0x40: "hardware thermal slowdown",
    0x80: "hardware power brake",
}

_REASONS, _ERRORS = "reasons", "errors"


def _memory_share(nvml: ModuleType, gpu: object) -> float:
    memory = gpu_memory(nvml, gpu)
    return float(memory.used / memory.total)


def _reasons(nvml: ModuleType, gpu: object) -> float:
    return float(nvml.nvmlDeviceGetCurrentClocksThrottleReasons(gpu))


def _errors(nvml: ModuleType, gpu: object) -> float:
    uncorrected, since_start = nvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, nvml.NVML_VOLATILE_ECC
    return float(nvml.nvmlDeviceGetTotalEccErrors(gpu, uncorrected, since_start))


READERS: dict[str, GpuReader] = {
    "gpu_utilization": gpu_utilization,
    "gpu_memory_utilization": _memory_share,
    "gpu_temperature_celsius": gpu_temperature_celsius,
    "gpu_power_watts": gpu_power_watts,
    _REASONS: _reasons,
    _ERRORS: _errors,
}
"""For `agents.resources.Gpus`."""


class GpuFields:
    """Turn what a driver answered into fields, with what has changed since the answer before."""

    def __init__(self) -> None:
        self._errors: dict[str, int] = {}
        self._taken: tuple[GpuReading, ...] | None = None

    def of(self, readings: tuple[GpuReading, ...] | None) -> Iterator[dict[str, Any]]:
        """Yield the fields of every GPU; nothing where there is no answer, or none since."""
        if readings is None or readings is self._taken:
            return
        self._taken = readings
        for gpu in dict.fromkeys(one.gpu for one in readings):
            fields = self._fields(gpu, [one for one in readings if one.gpu == gpu])
            if fields:
                yield {"gpu": gpu, **fields}

    def _fields(self, gpu: str, readings: Sequence[GpuReading]) -> dict[str, Any]:
        fields: dict[str, Any] = {one.metric: one.value for one in readings}
        reasons, errors = fields.pop(_REASONS, None), fields.pop(_ERRORS, None)
        if reasons is not None:
            said = [text for bit, text in REASONS.items() if int(reasons) & bit]
            fields |= {"gpu_throttled": bool(said), "gpu_throttle_reasons": said}
        if errors is not None:
            before, now = self._errors.get(gpu), int(errors)
            self._errors[gpu] = now
            # A driver that was loaded again counts from 0.
            if before is not None:
                fields["gpu_ecc_errors"] = now - before if now >= before else now
        return fields
