"""Alerts that another version of driftline has left open."""

from collections.abc import Iterator
from typing import Any

import msgspec

from streams.alerts import Alert

FOREIGN = "the alert was opened by another version of driftline; what is still wrong is found anew"


def alerts_in(packed: Any) -> Iterator[Alert | None]:
    """Yield the alerts that fire in anything, `None` for one that cannot be read.

    In every version an alert is written as a map of its fields.
    """
    if isinstance(packed, dict) and "alert_id" in packed:
        try:
            alert = msgspec.convert(packed, Alert)
        except msgspec.ValidationError:
            yield None
        else:
            if alert.state == "firing":
                yield alert
    elif isinstance(packed, dict | list):
        for one in packed.values() if isinstance(packed, dict) else packed:
            yield from alerts_in(one)
