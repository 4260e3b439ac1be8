"""Readings of hosts: what a machine, a GPU or a process was busy with, decoded and checked.

A record is one reading of one thing at one time, and names the model whose windows it counts in.
Everything but the model may be missing: what a sensor does not tell is absent, never zero.
"""

from typing import Annotated, Any, NamedTuple

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from streams.errors import RecordError
from streams.limits import LIMITS, RecordLimits
from streams.members import check_text, not_json
from streams.plausible_times import check_time
from streams.values import LARGEST_NUMBER

Share = Annotated[float, Meta(ge=0, le=1)]
Amount = Annotated[float, Meta(ge=0, le=LARGEST_NUMBER)]
Celsius = Annotated[float, Meta(ge=-273.15, le=LARGEST_NUMBER)]
Events = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Time = Annotated[int, Meta(ge=0)]


class Reading(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was read of one thing at one time; `None` for what is not known.

    Attributes
    ----------
    model
        In whose windows it counts: those of all traffic of its version `""`.
    timestamp_ms
        When it was read; `None` for the time of its record.
    host, gpu, pid
        What it is of, for people: no metric is parted by it.
    cpu_utilization
        Share of all processors since the reading before.
    load_average_1m
        Processes that run or wait for a processor.
    memory_utilization, swap_utilization, disk_utilization
        Share that is in use.
    disk_read_bytes_per_second, disk_write_bytes_per_second
        Of all disks, since the reading before.
    network_receive_bytes_per_second, network_send_bytes_per_second
        Of all interfaces, since the reading before.
    gpu_utilization
        Share of the time in which the GPU computed.
    gpu_memory_utilization
        Share of its memory that is in use.
    gpu_temperature_celsius, gpu_power_watts
        As the driver says.
    gpu_throttled
        Whether power, heat or a fault slows its clocks down.
    gpu_throttle_reasons
        Why, for people.
    gpu_ecc_errors
        Errors of its memory that could not be corrected, since the reading before.
    process_cpu_cores
        Processors that a process kept busy: 1.5 is one and a half of them.
    process_memory_bytes
        What it has in memory.
    process_threads, process_open_fds
        How many it has.
    cgroup_cpu_cores, cgroup_memory_utilization
        The same of the control group that it is in, and the share of the group's memory limit.
    cgroup_cpu_throttled
        Share of the periods in which the group had used up its processor time.
    """

    model: str
    timestamp_ms: Time | None = None
    host: str = ""
    gpu: str = ""
    pid: int | None = None
    cpu_utilization: Share | None = None
    load_average_1m: Amount | None = None
    memory_utilization: Share | None = None
    swap_utilization: Share | None = None
    disk_utilization: Share | None = None
    disk_read_bytes_per_second: Amount | None = None
    disk_write_bytes_per_second: Amount | None = None
    network_receive_bytes_per_second: Amount | None = None
    network_send_bytes_per_second: Amount | None = None
    gpu_utilization: Share | None = None
    gpu_memory_utilization: Share | None = None
    gpu_temperature_celsius: Celsius | None = None
    gpu_power_watts: Amount | None = None
    gpu_throttled: bool | None = None
    gpu_throttle_reasons: list[str] | None = None
    gpu_ecc_errors: Events | None = None
    process_cpu_cores: Amount | None = None
    process_memory_bytes: Amount | None = None
    process_threads: Amount | None = None
    process_open_fds: Amount | None = None
    cgroup_cpu_cores: Amount | None = None
    cgroup_memory_utilization: Share | None = None
    cgroup_cpu_throttled: Share | None = None


_ABOUT = frozenset({"model", "timestamp_ms", "host", "gpu", "pid", "gpu_throttle_reasons"})

GAUGES = tuple(name for name in Reading.__struct_fields__ if name not in _ABOUT)
"""The fields that are numbers, in their order; a family counts each of them."""


def decode_reading(
    value: bytes | None, *, time_ms: int, now_ms: int, limits: RecordLimits = LIMITS
) -> Reading:
    """Decode and check a reading, which has a time then.

    Parameters
    ----------
    time_ms
        Of its record, for a reading that says none.
    now_ms
        The wall clock, see `streams.plausible_times`.

    Raises
    ------
    RecordError
        With one of the reasons `tombstone too_large invalid_utf8 invalid_json invalid_reading
        implausible_time`.

    Examples
    --------
    >>> text = b'{"model": "fraud", "host": "a", "cpu_utilization": 0.25}'
    >>> reading = decode_reading(text, time_ms=1_767_225_600_000, now_ms=1_767_225_600_000)
    >>> reading.cpu_utilization, reading.timestamp_ms
    (0.25, 1767225600000)
    """
    if value is None:
        raise RecordError("tombstone", "a reading cannot be deleted")
    check_text(value, limits)
    try:
        found = _decode(value)
    except msgspec.ValidationError as error:
        raise RecordError("invalid_reading", str(error)) from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise not_json(error) from None
    if not found.model or not limits.allow(found.model):
        said = f"`model` must have 1 to {limits.name_bytes} bytes"
        raise RecordError("invalid_reading", said)
    if all(getattr(found, name) is None for name in GAUGES):
        raise RecordError("invalid_reading", "it reads nothing: there is no field with a number")
    at_ms = time_ms if found.timestamp_ms is None else found.timestamp_ms
    check_time(at_ms, now_ms=now_ms, earliest_ms=limits.earliest_ms)
    return msgspec.structs.replace(found, timestamp_ms=at_ms)


def model_of_reading(value: bytes) -> str | None:
    """Return the model that a record names which has any field of a reading; `None` if none has.

    Whether the reading can be used is another question.

    Examples
    --------
    >>> model_of_reading(b'{"model": "fraud", "gpu_power_watts": "hot"}')
    'fraud'
    >>> model_of_reading(b'{"model": "fraud", "prediction_id": "a"}')
    """
    try:
        given = msgspec.json.decode(value)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None
    if not isinstance(given, dict) or given.keys().isdisjoint(GAUGES):
        return None
    model = given.get("model")
    return model if isinstance(model, str) else ""


class ReadingRows(NamedTuple):
    """Readings as columns of equal length.

    Attributes
    ----------
    model
        The monitor's own code.
    values
        By name of the gauge, NaN where it was not read; flags are 0 and 1. Only those that any
        row has.
    """

    model: NDArray[np.int64]
    time_ms: NDArray[np.int64]
    values: dict[str, NDArray[np.float64]]

    def only(self, where: NDArray[Any]) -> "ReadingRows":
        """Return some of the rows."""
        values = {name: column[where] for name, column in self.values.items()}
        return ReadingRows(self.model[where], self.time_ms[where], values)


def rows_of(readings: list[Reading], models: list[int]) -> ReadingRows:
    """Return readings as rows.

    Parameters
    ----------
    models
        The code of each reading's model.
    """
    columns = {name: [getattr(one, name) for one in readings] for name in GAUGES}
    return ReadingRows(
        np.array(models, np.int64),
        np.array([one.timestamp_ms for one in readings], np.int64),
        {
            name: np.array(column, np.float64)
            for name, column in columns.items()
            if any(one is not None for one in column)
        },
    )


_decode = msgspec.json.Decoder(Reading).decode
decode_written = _decode
"""Decodes what `encode` has written, without checking it again."""

encode = msgspec.json.Encoder().encode
