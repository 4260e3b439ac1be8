"""A collector that takes OTLP/HTTP as its published schema has it, and nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from google.protobuf.json_format import Parse, ParseError
from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from tests.receivers import Post

_REQUESTS = {"/v1/metrics": ExportMetricsServiceRequest, "/v1/logs": ExportLogsServiceRequest}


class Collector:
    """Parses every request, refusing fields that there are not and numbers that do not fit.

    Attributes
    ----------
    requests
        What was parsed.
    answers
        What is answered to those that come, in turn; `{}` after that.
    """

    def __init__(self) -> None:
        self.requests: list[Any] = []
        self.answers: list[dict[str, Any]] = []

    def __call__(self, post: Post) -> tuple[int, bytes]:
        kind = _REQUESTS.get(post.path)
        if kind is None or post.headers["content-type"] != "application/json":
            return 404, b"no such path"
        try:
            self.requests.append(parsed(post.body, kind()))
        except (ParseError, ValueError) as error:
            return 400, str(error).encode()
        return 200, json.dumps(self.answers.pop(0) if self.answers else {}).encode()

    def points(self) -> Iterator[tuple[str, str, Any]]:
        """Yield name and unit of every data point, and the point."""
        for request in self.requests:
            for found in getattr(request, "resource_metrics", ()):
                for scoped in found.scope_metrics:
                    for one in scoped.metrics:
                        assert one.WhichOneof("data") == "gauge"
                        yield from ((one.name, one.unit, point) for point in one.gauge.data_points)

    def logs(self) -> list[LogRecord]:
        """Return every log record."""
        return [
            record
            for request in self.requests
            for found in getattr(request, "resource_logs", ())
            for scoped in found.scope_logs
            for record in scoped.log_records
        ]


def parsed(body: bytes, message: Message) -> Message:
    """Parse as OTLP has it: ids are hex there, and base64 in protobuf's own JSON.

    Raises
    ------
    ParseError, ValueError
        If it is not what the schema says.
    """
    ids = re.findall(rb'"(?:traceId|spanId)":"([^"]*)"', body)
    for found in ids:
        if len(bytes.fromhex(found.decode())) not in (8, 16):
            raise ValueError(f"{found!r} is no id")
    Parse(re.sub(rb'"(?:traceId|spanId)":"[^"]*",?', b"", body).replace(b",}", b"}"), message)
    for field in ("resource_metrics", "resource_logs"):
        if hasattr(message, field) and not getattr(message, field):
            raise ValueError("there is nothing in it")
    return message


def attributes(told: Any) -> dict[str, Any]:
    """Return the attributes of a point or a record; each name is there once."""
    names = [one.key for one in told.attributes]
    assert len(names) == len(set(names))
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in told.attributes}
