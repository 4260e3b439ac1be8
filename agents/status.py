"""What a worker tells about itself at ``/status``, and `driftline status`, which asks for it."""

from __future__ import annotations

import json
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterable
from http import HTTPStatus
from typing import Annotated, Any, TypeAlias

import msgspec
from rich import box
from rich.console import Console
from rich.table import Table

from agents.partitions import Partition
from agents.printable import printable
from agents.printing import add_names, add_numbers, plain_console, print_table
from agents.settings import FIRST_PORT
from streams.costs import Costs, Spent
from streams.errors import ConfigError, NoAnswerError
from streams.steps import ModelKind

MOST_MODELS = MOST_WARNINGS = 100
_KINDS = 20
COMMIT = "transactions"
_TIMEOUT_S = 10.0
_PORTS_HERE = 10
_START, _REST = "start, until the first record", "reading, and the rest"
# What a unit costs is not said sooner: a batch costs the same whether it has one record or a
# thousand, and three records of a worker at rest would cost a second each.
LEAST_UNITS = 1_000


Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
TimeMs: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=253_402_300_799_999)]
"""Until the end of 9999: what workers tell may come from anyone, and is shown as a time."""


class Work(msgspec.Struct):
    """CPU seconds that a kind of work has taken."""

    work: str
    seconds: float


class MonitorCost(msgspec.Struct):
    """What a drift monitor has cost, all models together."""

    monitor: str
    seconds: float
    values: Count


class ModelCost(msgspec.Struct):
    """What a model has cost in the monitor, estimated by what was done for it."""

    model: str
    version: str
    seconds: float
    rows: Count
    values: Count
    windows: Count


class Status(msgspec.Struct):
    """What a worker tells about itself.

    Attributes
    ----------
    unready
        Why no records are processed yet; None if they are.
    partitions
        Open partitions by stage.
    cpu_s
        User and system time of the process since it started.
    start_cpu_s
        What of it was before the first record: imports, opening, and waiting for records.
    models
        How many there are; `model_costs` has the dearest.
    kinds
        What kind of model each is, and why: the first by name.
    warnings
        What a person should know: models that are set aside.
    at_ms, host
        When and where it told this.
    lag
        Records by topic that are not read yet.
    clock_ms
        The event-time clock of the slowest partition, by stage; stages without one are not there.
    fates
        Records by fate, since it started.
    """

    worker_id: str
    version: str
    unready: str | None
    uptime_s: float
    cpu_s: float
    records: Count
    models: Count
    pending_predictions: Count
    partitions: dict[str, list[Count]]
    work: list[Work]
    monitor_costs: list[MonitorCost]
    model_costs: list[ModelCost]
    start_cpu_s: float = 0.0
    warnings: list[str] = []
    kinds: list[ModelKind] = []
    at_ms: TimeMs = 0
    host: str = ""
    lag: dict[str, Count] = {}
    clock_ms: dict[str, TimeMs] = {}
    fates: dict[str, Count] = {}


class Tally:
    """What is counted for it while a worker runs."""

    def __init__(self) -> None:
        self.started_s = time.monotonic()
        self.spent = Spent()
        self.records = 0
        self._start_cpu_s: float | None = None

    def begin(self) -> None:
        """Note that there are records now; only the first call counts."""
        if self._start_cpu_s is None:
            self._start_cpu_s = self.start_cpu_s()

    def start_cpu_s(self) -> float:
        """Return the CPU time that nothing in `spent` says, of before the first record."""
        if self._start_cpu_s is not None:
            return self._start_cpu_s
        return max(0.0, time.process_time() - sum(tuple(self.spent.seconds.values())))


def status_of(
    partitions: Iterable[Partition], tally: Tally, *, worker_id: str, version: str, **known: Any
) -> Status:
    """Put together what is known now."""
    running = [partition for partition in partitions if partition.running]
    numbers: dict[str, list[int]] = {}
    for partition in running:
        numbers.setdefault(partition.stage.name, []).append(partition.number)
    gauges = [partition.stage.gauges(partition.state) for partition in running]
    costs = [partition.stage.costs(partition.state) for partition in running]
    found = [one for one in costs if one is not None]
    seconds = dict(tally.spent.seconds)
    for one, _ in found:
        for kind, spent in one.seconds.items():
            name = f"monitor: {kind}"
            seconds[name] = seconds.get(name, 0.0) + spent
    # The parts of the monitor are listed, what is left of it is not a part of its own.
    inside = sum(sum(one.seconds.values()) for one, _ in found)
    if "monitor" in seconds:
        seconds["monitor: clock"] = max(0.0, seconds.pop("monitor") - inside)
    kinds = [kind for one in running for kind in one.stage.kinds(one.state)]
    kinds.sort(key=lambda kind: (kind.model, kind.version))
    start_cpu_s = seconds[_START] = tally.start_cpu_s()
    cpu_s = time.process_time()
    seconds[_REST] = max(0.0, cpu_s - sum(seconds.values()))
    return Status(
        worker_id=worker_id,
        version=version,
        uptime_s=time.monotonic() - tally.started_s,
        cpu_s=cpu_s,
        records=tally.records,
        models=int(sum(gauge.get("models", 0) for gauge in gauges)),
        pending_predictions=int(sum(gauge.get("pending_predictions", 0) for gauge in gauges)),
        partitions={name: sorted(found) for name, found in numbers.items()},
        work=[Work(name, spent) for name, spent in _dearest(seconds)],
        monitor_costs=_monitor_costs([one for one, _ in found]),
        model_costs=_model_costs(found),
        start_cpu_s=start_cpu_s,
        kinds=kinds[:MOST_MODELS],
        at_ms=time.time_ns() // 1_000_000,
        host=socket.gethostname(),
        clock_ms=_clocks(running),
        warnings=_few([said for one in running for said in one.stage.warnings(one.state)]),
        **known,
    )


def _clocks(running: Iterable[Partition]) -> dict[str, int]:
    clocks: dict[str, int] = {}
    for one in running:
        clock_ms = int(one.stage.gauges(one.state).get("clock_ms", 0))
        if clock_ms > 0:
            clocks[one.stage.name] = min(clock_ms, clocks.get(one.stage.name, clock_ms))
    return clocks


def _few(warnings: list[str]) -> list[str]:
    """Keep as many as somebody can read: whoever may write a record may make up models."""
    left_out = len(warnings) - MOST_WARNINGS
    if left_out <= 0:
        return warnings
    return [*warnings[:MOST_WARNINGS], f"and {left_out:,} more warnings"]


def _dearest(seconds: dict[str, float]) -> list[tuple[str, float]]:
    return sorted(seconds.items(), key=lambda item: -item[1])


def _monitor_costs(costs: Iterable[Costs]) -> list[MonitorCost]:
    total: dict[str, MonitorCost] = {}
    for one in costs:
        for name, (seconds, values) in one.monitors.items():
            known = total.setdefault(name, MonitorCost(name, 0.0, 0))
            known.seconds += seconds
            known.values += values
    return sorted(total.values(), key=lambda cost: -cost.seconds)


def _model_costs(found: Iterable[tuple[Costs, list[tuple[str, str]]]]) -> list[ModelCost]:
    costs = []
    for one, names in found:
        for code, seconds in one.of_models().items():
            done = one.rows.get(code, 0), one.values.get(code, 0), one.windows.get(code, 0)
            costs.append(ModelCost(*names[code], seconds, *done))
    return sorted(costs, key=lambda cost: -cost.seconds)[:MOST_MODELS]


# --- driftline status


def ask_here(ports: Iterable[int] = range(FIRST_PORT, FIRST_PORT + _PORTS_HERE)) -> list[Status]:
    """Ask the workers of this host, at the ports that they take if they are not told one.

    Raises
    ------
    ConfigError, NoAnswerError
        If there is none: what became of asking at the first port.
    """
    found, errors = [], []
    for port in ports:
        try:
            found.append(ask(f"127.0.0.1:{port}"))
        except ConfigError as error:
            errors.append(error)
    if not found:
        raise errors[0]
    return found


def ask(address: str) -> Status:
    """Ask a worker.

    Parameters
    ----------
    address
        ``host:port``, where it answers Prometheus.

    Raises
    ------
    ConfigError
        If the address is none, or what answers there is no worker.
    NoAnswerError
        If nobody answers.
    """
    host, colon, port = address.rpartition(":")
    if not colon or not host or not port.isdecimal() or not set(host).isdisjoint("/@?#"):
        raise ConfigError(f"address {address!r} is no host:port, such as 127.0.0.1:9464")
    try:
        with urllib.request.urlopen(f"http://{address}/status", timeout=_TIMEOUT_S) as answer:
            return msgspec.json.decode(answer.read(), type=Status)
    except urllib.error.HTTPError as error:
        if error.code == HTTPStatus.SERVICE_UNAVAILABLE:
            said = error.read().decode(errors="replace").strip()
            raise NoAnswerError(f"the worker at {address} cannot answer now: {said}") from None
        raise ConfigError(f"what answers at {address} is no driftline worker: {error}") from None
    except (msgspec.DecodeError, ValueError) as error:
        raise ConfigError(f"what answers at {address} is no driftline worker: {error}") from None
    except OSError as error:
        reason = getattr(error, "reason", error)
        raise NoAnswerError(
            f"no worker answers at {address}: {reason}; its --metrics-host and --metrics-port say"
            " where it does"
        ) from None


def show(statuses: list[Status], *, costs: bool, json_output: bool) -> None:
    """Print what workers told."""
    if json_output:
        print(json.dumps([msgspec.to_builtins(status) for status in statuses], indent=2))
        return
    console = plain_console()
    for status in statuses:
        for line in _lines(status):
            console.print(printable(line), soft_wrap=True)
        for table in _tables(console, status) if costs else ():
            print_table(console, table)


def _lines(status: Status) -> Iterable[str]:
    ready = "ready" if status.unready is None else f"not ready: {status.unready}"
    where = f" on {status.host}" if status.host else ""
    yield f"worker {status.worker_id}{where}, driftline {status.version}: {ready}"
    for stage, numbers in status.partitions.items():
        yield f"  {stage}: partitions {', '.join(map(str, numbers))}"
    per_record = _per_unit(status.cpu_s - status.start_cpu_s, status.records)
    yield (
        f"  {status.records:,} records in {status.uptime_s:,.0f} s,"
        f" {status.cpu_s:,.1f} s of CPU" + (f", {per_record} µs a record" if per_record else "")
    )
    models = "model" if status.models == 1 else "models"
    pending = "prediction" if status.pending_predictions == 1 else "predictions"
    yield f"  {status.models:,} {models}, {status.pending_predictions:,} pending {pending}"
    if status.lag:
        behind = sum(status.lag.values())
        worst = max(status.lag, key=lambda topic: status.lag[topic])
        yield f"  {behind:,} records behind" + (f", mostly {worst}" if behind else "")
    if status.clock_ms:
        clocks = (f"{stage} {_clock(at_ms)}" for stage, at_ms in status.clock_ms.items())
        yield f"  event time {', '.join(clocks)}"
    if fates := ", ".join(f"{fate} {count:,}" for fate, count in status.fates.items() if count):
        yield f"  {fates}"
    for kind in status.kinds[:_KINDS]:
        yield f"  {kind}"
    if status.models > _KINDS < len(status.kinds):
        yield f"  and {status.models - _KINDS:,} more models; --json says of what kind"
    for warning in status.warnings:
        yield f"  {warning}"


def _clock(at_ms: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(at_ms / 1_000))


def _tables(console: Console, status: Status) -> Iterable[Table]:
    total_s = status.cpu_s or 1.0
    records = status.records
    work = _table(console, "CPU by kind of work", ["work"], ["seconds", "share", "µs a record"])
    for one in status.work:
        work.add_row(
            printable(one.work), *_spent(one.seconds, total_s, 0 if one.work == _START else records)
        )
    yield work
    if status.monitor_costs:
        columns = ["seconds", "share", "µs a value", "values"]
        monitors = _table(console, "Drift monitors", ["monitor"], columns)
        for cost in status.monitor_costs:
            spent = _spent(cost.seconds, total_s, cost.values)
            monitors.add_row(printable(cost.monitor), *spent, f"{cost.values:,}")
        yield monitors
    if status.model_costs:
        columns = ["seconds", "share", "µs a row", "rows", "values", "windows"]
        title = f"Models: the dearest {len(status.model_costs)} of {status.models:,}"
        models = _table(console, title, ["model", "version"], columns)
        for each in status.model_costs:
            spent = _spent(each.seconds, total_s, each.rows)
            counts = (f"{count:,}" for count in (each.rows, each.values, each.windows))
            models.add_row(printable(each.model), printable(each.version), *spent, *counts)
        yield models


def _table(console: Console, title: str, names: list[str], numbers: list[str]) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    add_names(console, table, *names)
    add_numbers(table, *numbers)
    return table


def _spent(seconds: float, total_s: float, units: int) -> tuple[str, str, str]:
    share = f"{100 * seconds / total_s:.1f} %"
    return f"{seconds:,.2f}", share, _per_unit(seconds, units)


def _per_unit(seconds: float, units: int) -> str:
    """Write the microseconds of a unit, or nothing where there are too few to tell.

    Examples
    --------
    >>> _per_unit(0.5, 10_000), _per_unit(0.5, 999), _per_unit(0.5, 0)
    ('50.00', '', '')
    """
    return f"{1e6 * seconds / units:.2f}" if units >= LEAST_UNITS else ""
