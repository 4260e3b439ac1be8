"""Verdicts: what people say of alerts."""

from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

Said: TypeAlias = Literal["true", "false", "expected"]
SAID: tuple[Said, ...] = ("true", "false", "expected")
"""Something was wrong; nothing was; or it was no surprise, such as a planned change."""


Name: TypeAlias = Annotated[str, Meta(max_length=1_000)]


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody says of an alert; the last one of an alert counts.

    Attributes
    ----------
    by
        Who says so.
    at_ms
        When, by the clock.
    model, version, segment, monitor
        Of the alert.
    """

    alert_id: Annotated[str, Meta(min_length=1, max_length=200)]
    verdict: Said
    by: Annotated[str, Meta(min_length=1, max_length=200)]
    at_ms: Annotated[int, Meta(ge=0)]
    model: Name
    version: Name = ""
    segment: Name = ""
    monitor: Name
    note: Annotated[str, Meta(max_length=2_000)] = ""
