"""Send final values and alerts to an OpenTelemetry collector: OTLP over HTTP, as JSON.

The JSON is that of the protobuf mapping, with OTLP's two changes: enums are numbers, ids are hex.
Values have their own time, the end of their window, which is what OTLP has and a scrape has not.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import msgspec

from agents.exits import say
from agents.printable import printable
from agents.sinks.contract import RefusedError, Sink, Upsert, option
from agents.sinks.posting import Poster, secret_in
from agents.version import installed_version
from streams.alerts import Alert
from streams.durations import format_duration
from streams.metrics import Metric

if TYPE_CHECKING:
    from driftline.places import Place

EVENT = "driftline.alert"
"""The event name of alerts."""

_LAST_MS = (2**64 - 1) // 1_000_000
"""Times are nanoseconds in 64 bits, which end in the year 2554."""

_UNITS = {
    "ms": "ms",
    "bytes": "By",
    "bytes per second": "By/s",
    "celsius": "Cel",
    "watts": "W",
}
_SEVERITIES = {"info": 9, "warning": 13, "critical": 17}
_OVER = 9
_TRACE = re.compile("[0-9a-f]{32}")


class OtlpOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Which collector is told."""

    target: Annotated[
        str, option("Of the collector; /v1/metrics and /v1/logs are asked below it.", "URL")
    ]
    authorization_file: Annotated[
        str | None, option("Has what the Authorization header says, such as Bearer ….", "FILE")
    ] = None


class Otlp(Sink):
    """Send metrics of final windows and alerts to an OpenTelemetry collector (OTLP/HTTP, JSON).

    Metrics are gauges, `driftline.accuracy` with its interval as `driftline.accuracy.low` and
    `.high`, at the time when their window ended; attributes: model, version, segment, window, and
    of which feature, class or key (`of`). Every revision of an alert is a log record, event name
    driftline.alert, with the trace of its evidence if that has a trace_id.
    """

    name = "otlp"
    options = OtlpOptions
    at_once: ClassVar[int] = 2_000
    examples = (
        "driftline sink otlp http://localhost:4318",
        "driftline sink otlp https://otlp.example.com --authorization-file token",
    )

    def __init__(self, options: OtlpOptions) -> None:
        secret = secret_in(options.authorization_file, option="--authorization-file")
        url = options.target.rstrip("/")
        self._metrics, self._logs = (
            Poster(f"{url}/v1/{kind}", authorization=secret, allow_private=True)
            for kind in ("metrics", "logs")
        )
        self._refused: dict[tuple[Place, int], Upsert] = {}
        self._why = ""

    def write(self, upserts: Sequence[Upsert]) -> None:
        """Post what of these is told: values in one request, alerts in another."""
        for upsert in upserts:
            _check_time(upsert)
        values = [one for one in upserts if isinstance(one.record, Metric) and one.record.final]
        alerts = [one for one in upserts if isinstance(one.record, Alert)]
        if alerts:
            self._post(self._logs, alerts, _logs(alerts))
        if values:
            self._post(self._metrics, values, _metrics(values))

    def flush(self) -> None:
        """Set aside what the collector took only in part: it does not say which, nor may it again.

        Raises
        ------
        RefusedError
            If there was such a request, with all of its records.
        """
        refused, self._refused = list(self._refused.values()), {}
        if refused:
            raise RefusedError("partial_success", self._why, upserts=refused)

    def _post(self, poster: Poster, upserts: Sequence[Upsert], message: dict[str, Any]) -> None:
        rejected, why = _rejected(poster.post(msgspec.json.encode(message)))
        if rejected:
            self._why = f"{rejected} of {len(upserts)} records were rejected: {why}"
            self._refused |= {((one.topic, one.partition), one.offset): one for one in upserts}
        elif why:
            say(f"{poster.host} warns: {why}")


def _check_time(upsert: Upsert) -> None:
    record = upsert.record
    if isinstance(record, Metric | Alert):
        time_ms = record.window_end_ms if isinstance(record, Metric) else record.at_ms
        if max(time_ms, upsert.timestamp_ms) > _LAST_MS:
            detail = f"{time_ms} ms is after what OTLP can say"
            raise RefusedError("implausible_time", detail, upsert=upsert)


class _Partial(msgspec.Struct, rename="camel"):
    rejected_data_points: int | str = 0
    rejected_log_records: int | str = 0
    error_message: str = ""


class _Answer(msgspec.Struct, rename="camel"):
    partial_success: _Partial | None = None


def _rejected(body: bytes) -> tuple[int, str]:
    """Return how many of a request were rejected, and what the collector says beside it.

    Examples
    --------
    >>> _rejected(b'{"partialSuccess": {"rejectedDataPoints": "3", "errorMessage": "too old"}}')
    (3, 'too old')
    >>> _rejected(b""), _rejected(b"{}"), _rejected(b"OK")
    ((0, ''), (0, ''), (0, ''))
    """
    try:
        told = msgspec.json.decode(body, type=_Answer).partial_success or _Partial()
        count = int(told.rejected_data_points) + int(told.rejected_log_records)
    except (msgspec.DecodeError, ValueError):
        return 0, ""
    return count, printable(told.error_message)[:200]


def _metrics(upserts: Sequence[Upsert]) -> dict[str, Any]:
    points: dict[str, list[dict[str, Any]]] = defaultdict(list)
    units: dict[str, str] = {}
    for upsert in upserts:
        if isinstance(upsert.record, Metric):
            for name, point in _points(upsert.record):
                points[name].append(point)
                units[name] = _unit(upsert.record.metric)
    metrics = [
        {"name": name, "unit": units[name], "gauge": {"dataPoints": found}}
        for name, found in points.items()
    ]
    scoped = {"scope": _scope(), "metrics": metrics}
    return {"resourceMetrics": [{"resource": _resource(), "scopeMetrics": [scoped]}]}


def _points(record: Metric) -> Iterator[tuple[str, dict[str, Any]]]:
    name, _, part = record.metric.partition(":")
    told = {
        "model": record.model,
        "version": record.version,
        "segment": record.segment,
        "window": format_duration(record.window_end_ms - record.window_start_ms),
        "of": part,
    }
    times = {
        "startTimeUnixNano": _nanoseconds(record.window_start_ms),
        "timeUnixNano": _nanoseconds(record.window_end_ms),
    }
    values = {"": record.value, ".low": record.low, ".high": record.high}
    for suffix, value in values.items():
        if value is not None:
            point = {"attributes": _attributes(told), **times, "asDouble": value}
            yield f"driftline.{name}{suffix}", point


def _unit(name: str) -> str:
    from streams.families import CATALOGUE  # noqa: PLC0415 - loads what computes

    metric = CATALOGUE.metrics.get(name.partition(":")[0])
    return "" if metric is None else _UNITS.get(metric.unit, "")


def _logs(upserts: Sequence[Upsert]) -> dict[str, Any]:
    records = [
        _log(upsert.record, upsert.timestamp_ms)
        for upsert in upserts
        if isinstance(upsert.record, Alert)
    ]
    scoped = {"scope": _scope(), "logRecords": records}
    return {"resourceLogs": [{"resource": _resource(), "scopeLogs": [scoped]}]}


def _log(alert: Alert, visible_at_ms: int) -> dict[str, Any]:
    told = {f"tag.{name}": value for name, value in alert.tags.items()}
    told |= {name: getattr(alert, name) for name in _TEXTS}
    numbers = {"value": alert.value, "threshold": alert.threshold}
    attributes = _attributes(told | {"evidence": msgspec.json.encode(alert.evidence).decode()})
    attributes += [
        {"key": name, "value": {"doubleValue": value}}
        for name, value in numbers.items()
        if value is not None
    ]
    attributes.append({"key": "revision", "value": {"intValue": str(alert.revision)}})
    attributes.append({"key": "silenced", "value": {"boolValue": alert.silenced}})
    fires = alert.state == "firing"
    return {
        "timeUnixNano": _nanoseconds(alert.at_ms),
        "observedTimeUnixNano": _nanoseconds(visible_at_ms),
        "severityNumber": _SEVERITIES.get(alert.severity, _OVER) if fires else _OVER,
        "severityText": alert.severity,
        "eventName": EVENT,
        "body": {"stringValue": alert.message},
        "attributes": attributes,
        **_trace(alert.evidence.get("trace_id")),
    }


_TEXTS = (
    *("alert_id", "state", "model", "version", "segment", "monitor", "kind", "severity"),
    *("direction", "detector", "owner", "runbook", "incident_id"),
)


def _trace(found: object) -> dict[str, str]:
    if isinstance(found, str) and _TRACE.fullmatch(found.lower()) and found.strip("0"):
        return {"traceId": found.lower()}
    return {}


def _attributes(told: dict[str, str]) -> list[dict[str, Any]]:
    return [{"key": name, "value": {"stringValue": value}} for name, value in told.items() if value]


def _nanoseconds(time_ms: int) -> str:
    return str(time_ms * 1_000_000)  # 64 bits are texts in JSON


def _resource() -> dict[str, Any]:
    return {
        "attributes": _attributes(
            {"service.name": "driftline", "service.version": installed_version()}
        )
    }


def _scope() -> dict[str, str]:
    return {"name": "driftline", "version": installed_version()}
