"""``driftline watch-host``."""

from __future__ import annotations

from typing import Annotated

import typer

from agents.cli.command import Command
from agents.cli.shared_options import Brokers, integer

_SHORTEST_MS, _LONGEST_MS = 1_000, 3_600_000
_LARGEST_PID = 2**31 - 1


def watch_host(
    *,
    model: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="In whose windows the readings count; repeatable. "
            "Default: host: and this machine's name.",
        ),
    ] = None,
    interval: Annotated[
        str, typer.Option(metavar="DURATION", help="Between readings, 1s to 1h. Default: 10s.")
    ] = "10s",
    pid: Annotated[
        list[str] | None,
        typer.Option(
            metavar="N",
            help="A process to read, with the control group that it is in; repeatable.",
        ),
    ] = None,
    disk: Annotated[
        str,
        typer.Option(
            metavar="PATH", help="On the file system whose fill level is told. Default: /."
        ),
    ] = "/",
    once: Annotated[bool, typer.Option("--once", help="Read and publish once, then stop.")] = False,
    brokers: Brokers,
) -> None:
    """Publish what this machine, its GPUs and some processes are busy with.

    The readings count in the windows of the models that run here: `cpu_utilization` and
    `gpu_temperature_celsius` stand beside `accuracy`, and rules watch them. NVIDIA GPUs are read
    through NVML; where there is none, it says so once. Needs the right to write to the topic of
    resources, and none to read.
    """
    from pathlib import Path  # noqa: PLC0415

    from streams.durations import parse_duration_ms  # noqa: PLC0415
    from streams.errors import ConfigError  # noqa: PLC0415

    interval_ms = parse_duration_ms(interval, setting="--interval")
    if not _SHORTEST_MS <= interval_ms <= _LONGEST_MS:
        raise ConfigError(f"--interval: {interval!r} is not allowed: 1s to 1h are")
    if not Path(disk).exists():
        raise ConfigError(f"--disk: there is no {disk!r}")
    if model is not None and not all(model):
        raise ConfigError("--model: a model's name is not empty")
    pids = [integer("--pid", text, 1, _LARGEST_PID) for text in pid or ()]
    settings = brokers.settings
    from agents.watch_host import Wanted  # noqa: PLC0415
    from agents.watch_host import watch_host as watch  # noqa: PLC0415

    watch(settings, Wanted(model or (), interval_ms / 1_000, pids, Path(disk), once))


COMMAND = Command(
    watch_host,
    "driftline watch-host --bootstrap-servers kafka:9092 --model fraud --model churn",
    "driftline watch-host --interval 30s --pid 4711",
    "driftline watch-host --once --model fraud",
    name="watch-host",
)
