"""What `driftline watch-host` reads; GPUs as a recorded driver answers, see `test_resources`."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import psutil
import pytest

from agents.cgroups import CgroupCounts, read_cgroup
from agents.host import Host, Watched
from agents.host_gpus import GpuFields
from agents.resources import GpuReading
from agents.watch_host import Machine, Wanted
from streams.errors import ConfigError, RecordError
from streams.readings import GAUGES, Reading, decode_reading, encode

NOW_MS = 1_767_225_600_000


class NVMLError(Exception):
    pass


class NotSupportedError(NVMLError):
    pass


# Answers of a driver for a GPU of 80 GiB under load, then one that is lost.
RECORDED: dict[str, Any] = {
    "NVMLError_NotSupported": NotSupportedError,
    "NVMLError_FunctionNotFound": NotSupportedError,
    "NVML_TEMPERATURE_GPU": 0,
    "NVML_MEMORY_ERROR_TYPE_UNCORRECTED": 1,
    "NVML_VOLATILE_ECC": 0,
    "nvmlMemory_v2": 2,
    "nvmlInit": lambda: None,
    "nvmlDeviceGetCount": lambda: 2,
    "nvmlDeviceGetHandleByIndex": lambda index: index,
    "nvmlDeviceGetName": lambda _gpu: "NVIDIA H100 80GB HBM3",
    "nvmlDeviceGetUtilizationRates": lambda _gpu: SimpleNamespace(gpu=93, memory=41),
    "nvmlDeviceGetMemoryInfo": lambda *_, **__: SimpleNamespace(used=60 << 30, total=80 << 30),
    "nvmlDeviceGetTemperature": lambda _gpu, _sensor: 84,
    "nvmlDeviceGetPowerUsage": lambda _gpu: 690_125,
    "nvmlDeviceGetCurrentClocksThrottleReasons": lambda _gpu: 0x24,
    "nvmlDeviceGetTotalEccErrors": lambda _gpu, _kind, _counter: 3,
}


def recorded(**changes: Any) -> ModuleType:
    module = ModuleType("pynvml")
    for name, value in {**RECORDED, **changes}.items():
        setattr(module, name, value)
    return module


def lost(*_: object) -> None:
    raise NVMLError("GPU is lost")


def not_supported(*_: object) -> None:
    raise NotSupportedError


def read(machine: Machine) -> list[Reading]:
    return machine.read(now_s=time.monotonic() + 1, now_ms=NOW_MS)


def test_a_machine_is_one_reading_and_each_gpu_another() -> None:
    machine = Machine(Wanted(), nvml=recorded())

    host, *gpus = read(machine)
    machine.stop()

    assert 0 <= (host.cpu_utilization or 0) <= 1
    assert 0 < (host.memory_utilization or 0) < 1
    assert 0 < (host.disk_utilization or 0) <= 1
    assert host.network_receive_bytes_per_second is not None
    assert [gpu.gpu for gpu in gpus] == ["0", "1"]
    assert gpus[0] == Reading(
        model="",
        timestamp_ms=NOW_MS,
        host=machine.name,
        gpu="0",
        gpu_utilization=0.93,
        gpu_memory_utilization=0.75,
        gpu_temperature_celsius=84.0,
        gpu_power_watts=690.125,
        gpu_throttled=True,
        gpu_throttle_reasons=["software power cap", "software thermal slowdown"],
    )


def test_what_a_gpu_does_not_have_is_absent_and_one_that_is_lost_harms_no_other() -> None:
    def handle(index: int) -> int:
        if index:
            lost()
        return index

    nvml = recorded(nvmlDeviceGetHandleByIndex=handle, nvmlDeviceGetTotalEccErrors=not_supported)
    machine = Machine(Wanted(), nvml=nvml)

    [_, gpu] = read(machine)
    machine.stop()

    assert gpu.gpu == "0"
    assert gpu.gpu_ecc_errors is None


def test_without_a_driver_there_are_no_gpus_and_all_else_is_read() -> None:
    machine = Machine(Wanted(), nvml=recorded(nvmlInit=lost))

    [host] = read(machine)
    machine.stop()

    assert not machine.has_gpus
    assert host.memory_utilization is not None


def test_errors_of_memory_are_those_since_the_reading_before() -> None:
    fields = GpuFields()
    counted = [5, 5, 7, 1]  # the driver was loaded again, and one was counted since
    readings = [
        (GpuReading("errors", "0", "H100", n), GpuReading("gpu_power_watts", "0", "H100", 9.0))
        for n in counted
    ]

    found = [gpu.get("gpu_ecc_errors") for one in readings for gpu in fields.of(one)]

    assert found == [None, 0, 2, 1]


def test_a_reading_that_is_not_new_is_not_told_twice() -> None:
    fields = GpuFields()
    readings = (GpuReading("gpu_utilization", "0", "H100", 0.5),)

    assert [list(fields.of(one)) for one in (readings, readings, None)] == [
        [{"gpu": "0", "gpu_utilization": 0.5}],
        [],
        [],
    ]


def test_a_process_is_read_until_it_is_gone(capfd: pytest.CaptureFixture[str]) -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    machine = Machine(Wanted(pids=[child.pid]), nvml=recorded(nvmlInit=lost))

    [_, process] = read(machine)
    child.communicate(b"\n")
    gone = [read(machine), read(machine)]
    machine.stop()

    assert process.pid == child.pid
    assert (process.process_memory_bytes or 0) > 1_000_000
    assert process.process_cpu_cores is not None
    assert [len(readings) for readings in gone] == [1, 1]
    assert capfd.readouterr().err.count(f"process {child.pid} is gone") == 1


def test_a_process_that_there_is_not_is_refused() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()

    with pytest.raises(ConfigError, match=f"--pid: {child.pid} cannot be watched"):
        Machine(Wanted(pids=[child.pid]), nvml=recorded(nvmlInit=lost))


def test_a_control_group_tells_its_limits(tmp_path: Path) -> None:
    group = tmp_path / "sys/fs/cgroup/kube.slice/pod"
    group.mkdir(parents=True)
    proc = tmp_path / "proc" / str(os.getpid())
    proc.mkdir(parents=True)
    (proc / "cgroup").write_text("0::/kube.slice/pod\n")
    (group / "memory.current").write_text("300\n")
    (group / "memory.max").write_text("400\n")
    stat = "usage_usec {}\nuser_usec 1\nnr_periods {}\nnr_throttled {}\n"
    (group / "cpu.stat").write_text(stat.format(0, 0, 0))
    watched = Watched(os.getpid(), root=tmp_path)
    (group / "cpu.stat").write_text(stat.format(3_000_000, 20, 5))

    found = watched.read(at_s=time.monotonic() + 2)

    assert found["cgroup_memory_utilization"] == 0.75
    assert found["cgroup_cpu_throttled"] == 0.25
    assert found["cgroup_cpu_cores"] == pytest.approx(1.5, rel=0.05)
    assert found.keys() <= set(GAUGES)


def test_a_group_without_a_limit_or_of_the_first_version_has_none(tmp_path: Path) -> None:
    proc = tmp_path / "proc" / "7"
    proc.mkdir(parents=True)
    (proc / "cgroup").write_text("5:cpu:/x\n")
    none = read_cgroup(7, root=tmp_path)
    (proc / "cgroup").write_text("0::/\n")
    folder = tmp_path / "sys/fs/cgroup"
    folder.mkdir(parents=True)
    (folder / "memory.max").write_text("max\n")

    assert none == read_cgroup(8, root=tmp_path) == CgroupCounts()
    assert read_cgroup(7, root=tmp_path).memory_limit_bytes is None


def test_a_sensor_that_vanishes_costs_its_own_field(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(disk=Path("/"))
    monkeypatch.setattr(psutil, "net_io_counters", lambda: None)

    found = host.read(at_s=time.monotonic() + 1)

    assert "network_send_bytes_per_second" not in found
    assert "memory_utilization" in found


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "tombstone"),
        (b"\xff", "invalid_utf8"),
        (b'{"model": "m"', "invalid_json"),
        (b'{"model": "m", "cpu_utilization": NaN}', "invalid_json"),
        (b'{"cpu_utilization": 0.5}', "invalid_reading"),
        (b'{"model": "", "cpu_utilization": 0.5}', "invalid_reading"),
        (b'{"model": "m", "cpu_utilization": 50}', "invalid_reading"),
        (b'{"model": "m", "gpu_power_watts": 1e200}', "invalid_reading"),
        (b'{"model": "m", "gpu_power_watts": "hot"}', "invalid_reading"),
        (b'{"model": "m", "host": "a"}', "invalid_reading"),
        (b'{"model": "m", "cpu_utilization": 0.5, "timestamp_ms": 1767225600}', "implausible_time"),
        (b'{"x": ' + b"[" * 100_000, "invalid_json"),
        (b'{"model": "%b", "cpu_utilization": 0.5}' % (b"m" * 300), "invalid_reading"),
        (b'{"model": "m", "host": "%b"}' % (b"m" * 1_000_000), "too_large"),
    ],
)
def test_a_reading_that_cannot_be_used_is_refused_with_the_reason(
    value: bytes | None, reason: str
) -> None:
    with pytest.raises(RecordError) as raised:
        decode_reading(value, time_ms=NOW_MS, now_ms=NOW_MS)

    assert raised.value.reason == reason


def test_what_is_written_is_read_and_unknown_fields_are_ignored() -> None:
    reading = Reading(model="m", timestamp_ms=NOW_MS, gpu_throttled=False, gpu_ecc_errors=2)
    value = encode(reading)[:-1] + b',"fan_rpm":900}'

    assert decode_reading(value, time_ms=0, now_ms=NOW_MS) == reading
