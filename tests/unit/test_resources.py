"""Resources of process, host and GPUs.

The path without a GPU is the real one of a machine without a driver. The paths with GPUs run on a
module written here that has the functions of ``pynvml`` which are used: it shows what is done with
the driver's answers, not that a driver gives them.
"""

from __future__ import annotations

import importlib
import os
import threading
import time
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import psutil
import pytest
from prometheus_client import CollectorRegistry

from agents.resources import Gpus, Resources
from agents.telemetry import Telemetry
from agents.telemetry_catalogue import RESOURCES

INTERVAL_S = 0.02
GPU_SERIES = {entry.name for entry in RESOURCES if entry.labels}


class NVMLError(Exception):
    pass


class NotSupportedError(NVMLError):
    pass


class FunctionNotFoundError(NVMLError):
    pass


def memory(gpu: int, version: int | None = None) -> SimpleNamespace:
    """Answer as a driver does: the first version counts as used what the driver keeps."""
    return SimpleNamespace(used=(100 if version else 164) + gpu, total=1000)


def old_memory(gpu: int, version: int | None = None) -> SimpleNamespace:
    if version:
        raise FunctionNotFoundError
    return memory(gpu)


def fake_nvml(**changes: Any) -> ModuleType:
    """Build a module with two GPUs, whose functions `changes` replace."""
    module = ModuleType("pynvml")
    functions: dict[str, Any] = {
        "NVMLError_NotSupported": NotSupportedError,
        "NVMLError_FunctionNotFound": FunctionNotFoundError,
        "NVML_TEMPERATURE_GPU": 0,
        "nvmlInit": lambda: None,
        "nvmlDeviceGetCount": lambda: 2,
        "nvmlDeviceGetHandleByIndex": lambda index: index,
        "nvmlDeviceGetName": lambda gpu: b"Old" if gpu else "New",
        "nvmlDeviceGetUtilizationRates": lambda gpu: SimpleNamespace(gpu=25 + gpu),
        "nvmlDeviceGetMemoryInfo": memory,
        "nvmlMemory_v2": 2,
        "nvmlDeviceGetTemperature": lambda gpu, _sensor: 60 + gpu,
        "nvmlDeviceGetPowerUsage": lambda gpu: 250_500 + gpu,
    }
    for name, value in {**functions, **changes}.items():
        setattr(module, name, value)
    return module


def fail(*_: object) -> None:
    raise NVMLError("GPU is lost")


def not_supported(*_: object) -> None:
    raise NotSupportedError


def wait_for(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline_s, "timed out"
        time.sleep(0.005)


def exported(gpus: Gpus | None = None) -> tuple[CollectorRegistry, set[str]]:
    telemetry = Telemetry(version="1")
    telemetry.add(Resources(gpus))
    names = {s.name for f in telemetry.registry.collect() for s in f.samples}
    return telemetry.registry, names


def test_process_and_host_are_measured() -> None:
    registry, _ = exported()
    value = registry.get_sample_value
    process = psutil.Process()

    assert value("driftline_process_resident_memory_bytes") == pytest.approx(
        process.memory_info().rss, rel=0.5
    )
    assert value("driftline_process_cpu_seconds_total") == pytest.approx(
        sum(os.times()[:2]), abs=1.0
    )
    assert value("driftline_process_threads") >= threading.active_count()  # type: ignore[operator]
    assert value("driftline_process_open_fds") >= 3  # type: ignore[operator]
    assert 0 <= value("driftline_host_cpu_ratio") <= 1  # type: ignore[operator]
    assert value("driftline_host_memory_size_bytes") == psutil.virtual_memory().total
    used = value("driftline_host_memory_used_bytes")
    assert 0 < used < psutil.virtual_memory().total  # type: ignore[operator]


def no_driver() -> bool:
    try:
        nvml = importlib.import_module("pynvml")
        nvml.nvmlInit()
    except Exception:  # noqa: BLE001 - as in the code: whatever is wrong, there is no driver
        return True
    return False


@pytest.mark.skipif(not no_driver(), reason="this machine has an NVIDIA driver")
def test_without_a_driver_there_are_no_gpu_series() -> None:
    registry, names = exported()

    assert registry.get_sample_value("driftline_gpu_available") == 0
    assert not names & GPU_SERIES


def test_gpus_are_exported_by_number_and_name() -> None:
    gpus = Gpus(interval_s=60, nvml=fake_nvml())
    wait_for(lambda: gpus.latest is not None)

    registry, names = exported(gpus)

    assert names >= GPU_SERIES
    value, first, second = (
        registry.get_sample_value,
        {"gpu": "0", "name": "New"},
        {"gpu": "1", "name": "Old"},
    )
    assert value("driftline_gpu_available") == 1
    assert value("driftline_gpu_utilization_ratio", first) == 0.25
    assert value("driftline_gpu_utilization_ratio", second) == 0.26
    assert value("driftline_gpu_memory_used_bytes", second) == 101
    assert value("driftline_gpu_memory_size_bytes", first) == 1000
    assert value("driftline_gpu_temperature_celsius", second) == 61
    assert value("driftline_gpu_power_watts", first) == 250.5
    assert value("driftline_gpu_read_failures_total") == 0
    gpus.stop()


def test_a_value_that_a_gpu_does_not_have_is_absent_and_no_failure() -> None:
    gpus = Gpus(interval_s=60, nvml=fake_nvml(nvmlDeviceGetUtilizationRates=not_supported))
    wait_for(lambda: gpus.latest is not None)

    registry, names = exported(gpus)

    assert GPU_SERIES - names == {"driftline_gpu_utilization_ratio"}
    assert registry.get_sample_value("driftline_gpu_read_failures_total") == 0
    gpus.stop()


def test_memory_is_read_from_old_drivers_too() -> None:
    gpus = Gpus(interval_s=60, nvml=fake_nvml(nvmlDeviceGetMemoryInfo=old_memory))
    wait_for(lambda: gpus.latest is not None)

    registry, _ = exported(gpus)

    labels = {"gpu": "0", "name": "New"}
    assert registry.get_sample_value("driftline_gpu_memory_used_bytes", labels) == 164
    assert registry.get_sample_value("driftline_gpu_read_failures_total") == 0
    gpus.stop()


def test_one_lost_gpu_is_counted_and_leaves_the_other() -> None:
    lost = fake_nvml(nvmlDeviceGetHandleByIndex=lambda index: index or fail())
    gpus = Gpus(interval_s=60, nvml=lost)
    wait_for(lambda: gpus.latest is not None)

    assert {reading.gpu for reading in gpus.latest or ()} == {"1"}
    assert gpus.failures == 1
    gpus.stop()


def test_a_driver_that_fails_later_leaves_no_stale_values() -> None:
    module = fake_nvml()
    gpus = Gpus(interval_s=INTERVAL_S, nvml=module)
    wait_for(lambda: gpus.latest is not None)

    module.nvmlDeviceGetCount = fail  # type: ignore[attr-defined]
    wait_for(lambda: gpus.latest is None)
    registry, names = exported(gpus)

    assert not names & GPU_SERIES
    assert registry.get_sample_value("driftline_gpu_read_failures_total") >= 1  # type: ignore[operator]
    gpus.stop()


def test_a_driver_that_hangs_does_not_hold_up_a_scrape() -> None:
    release = threading.Event()
    gpus = Gpus(nvml=fake_nvml(nvmlInit=lambda: release.wait(10)))

    started_s = time.monotonic()
    registry, _ = exported(gpus)

    assert registry.get_sample_value("driftline_gpu_available") == 0
    assert time.monotonic() - started_s < 2
    gpus.stop()
    release.set()


def test_all_that_is_exported_is_in_the_catalogue() -> None:
    gpus = Gpus(interval_s=60, nvml=fake_nvml())
    wait_for(lambda: gpus.latest is not None)

    families = {f.name: f for f in Resources(gpus).collect()}

    assert {(f"{n}_total" if f.type == "counter" else n) for n, f in families.items()} == {
        entry.name for entry in RESOURCES
    }
    gpus.stop()
