"""Records that workers write and users read stand in both packages, which do not share them."""

from __future__ import annotations

import msgspec
import pytest

import driftline
import streams.actions
import streams.alerts
import streams.distributions
import streams.metrics

Fields = list[tuple[str, object, bool]]

PAIRS = [
    pytest.param(driftline.Action, streams.actions.Action, id="action"),
    pytest.param(driftline.Alert, streams.alerts.Alert, id="alert"),
    pytest.param(driftline.Metric, streams.metrics.Metric, id="metric"),
    pytest.param(driftline.Distribution, streams.distributions.Distribution, id="distribution"),
]


def fields(kind: type[msgspec.Struct]) -> Fields:
    return [(one.name, one.type, one.required) for one in msgspec.structs.fields(kind)]


@pytest.mark.parametrize(("read", "written"), PAIRS)
def test_users_read_every_field_that_workers_write(
    read: type[msgspec.Struct], written: type[msgspec.Struct]
) -> None:
    assert fields(read) == fields(written)
