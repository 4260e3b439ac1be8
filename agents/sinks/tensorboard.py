"""Write final values to files of TensorBoard's: TFRecords of events, a folder a model version.

Events are three kinds of fields of protobuf, and records are framed by two checksums: that is
written here, so that nothing needs to be installed.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar
from urllib.parse import quote

import msgspec

from agents.sinks.appended import AppendedFiles
from agents.sinks.contract import Kind, Sink, Upsert, option
from streams.alerts import alert_id
from streams.durations import format_duration
from streams.metrics import Metric

if TYPE_CHECKING:
    from driftline.places import Place

_FILE = "events.out.tfevents.0.driftline"
_LONGEST_NAME = 120


class TensorboardOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Where files are written."""

    target: Annotated[str, option("The folder; made if it is not there.", "FOLDER")]
    segments: Annotated[bool, option("Also write values of segments, a run for each.")] = False


class Tensorboard(Sink):
    """Write metrics of final windows to files for TensorBoard: `tensorboard --logdir FOLDER`.

    There is a run for each model, version and length of windows, `fraud/v2/5m`. Values have the
    time at which their window ended, and that in seconds since 1970 as step. Every record is there
    once.
    """

    name = "tensorboard"
    reads: ClassVar[tuple[Kind, ...]] = ("metrics",)
    options = TensorboardOptions
    examples = ("driftline sink tensorboard runs", "driftline sink tensorboard runs --segments")

    def __init__(self, options: TensorboardOptions) -> None:
        head = record(_event(0.0, 0, (3, b"brain.Event:2")))
        self._files = AppendedFiles(Path(options.target), pattern=f"**/{_FILE}", head=head)
        self._segments = options.segments

    def start(self) -> Mapping[Place, int]:
        """Cut files to what is known to be complete."""
        return self._files.start(self._ids())

    def write(self, upserts: Sequence[Upsert]) -> None:
        """Keep events until they are flushed."""
        for upsert in upserts:
            one = upsert.record
            if isinstance(one, Metric) and one.final and (self._segments or not one.segment):
                for event in _events(one):
                    self._files.add(run_of(one), record(event))
            self._files.passed((upsert.topic, upsert.partition), upsert.offset)

    def flush(self) -> None:
        """Append the events, and then say how long the files are."""
        self._files.flush()


def run_of(metric: Metric) -> str:
    """Return the file of a model version.

    Examples
    --------
    >>> one = Metric("../a", "v2", "", 0, 300_000, "f1", 0.5, None, None, 9, None, 1, True)
    >>> run_of(one)
    '..%2Fa/v2/5m/events.out.tfevents.0.driftline'
    >>> run_of(msgspec.structs.replace(one, model="..", segment="country=de"))
    '%2E%2E/v2/country=de/5m/events.out.tfevents.0.driftline'
    """
    window = format_duration(metric.window_end_ms - metric.window_start_ms)
    names = [metric.model, metric.version]
    names += [metric.segment] if metric.segment else []
    return "/".join([*map(_folder, names), window, _FILE])


def _folder(name: str) -> str:
    """Return a name of a folder that leads nowhere else."""
    safe = quote(name, safe=" =:,+@") or "-"  # without a name, the rest would begin at the root
    if not safe.strip("."):
        safe = safe.replace(".", "%2E")
    return safe if len(safe) <= _LONGEST_NAME else f"{safe[:_LONGEST_NAME]}~{alert_id(name)}"


def _events(metric: Metric) -> Iterator[bytes]:
    name, colon, part = metric.metric.partition(":")
    values = {"": metric.value, ".low": metric.low, ".high": metric.high}
    for suffix, value in values.items():
        if value is not None:
            tag = f"{name}{suffix}/{part}" if colon else f"{name}{suffix}"
            summary = _field(1, _field(1, tag.encode()) + b"\x15" + _float(value))
            yield _event(metric.window_end_ms / 1_000, metric.window_end_ms // 1_000, (5, summary))


def _float(value: float) -> bytes:
    try:
        return struct.pack("<f", value)
    except OverflowError:  # beyond what 32 bits have
        return struct.pack("<f", float("inf") if value > 0 else float("-inf"))


def _event(wall_time_s: float, step: int, what: tuple[int, bytes]) -> bytes:
    """Write an Event: 1 is its wall time, 2 its step, 3 the version of the file, 5 a summary."""
    return b"\x09" + struct.pack("<d", wall_time_s) + b"\x10" + _varint(step) + _field(*what)


def _field(number: int, data: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _varint(number: int) -> bytes:
    r"""Write a number as protobuf does, seven bits a byte.

    Examples
    --------
    >>> _varint(300)
    b'\xac\x02'
    """
    found = bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    found.append(number)
    return bytes(found)


def record(data: bytes) -> bytes:
    """Frame data as TFRecord has it: length, its checksum, the data, its checksum."""
    length = struct.pack("<Q", len(data))
    return length + _masked(length) + data + _masked(data)


def _masked(data: bytes) -> bytes:
    checksum = crc32c(data)
    turned = (checksum >> 15 | checksum << 17) & 0xFFFFFFFF
    return struct.pack("<I", (turned + 0xA282EAD8) & 0xFFFFFFFF)


def _entry(number: int) -> int:
    for _ in range(8):
        number = number >> 1 ^ (0x82F63B78 if number & 1 else 0)
    return number


_TABLE = [_entry(number) for number in range(256)]


def crc32c(data: bytes) -> int:
    """Return the checksum of Castagnoli, as RFC 3720 has it.

    Examples
    --------
    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    found = 0xFFFFFFFF
    for byte in data:
        found = _TABLE[(found ^ byte) & 0xFF] ^ found >> 8
    return found ^ 0xFFFFFFFF
