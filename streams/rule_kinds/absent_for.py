"""A model of which nothing comes any more; see `streams.rules.absences`."""

from functools import cached_property
from typing import ClassVar, Literal

import msgspec

from streams.consequences import Then
from streams.durations import parse_duration_ms
from streams.rule_kinds.kind import Severity


class Absence(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, dict=True):
    """No predictions, or no labels, of a model for so long in event time."""

    name: str
    metric: Literal["predictions", "labels"]
    absent_for: str
    model: str = "*"
    version: str = "*"
    severity: Severity = "critical"
    notify: bool = True
    then: Then = ()

    keys: ClassVar[tuple[str, ...]] = ("absent_for",)
    help: ClassVar[str] = "no `predictions`, or no `labels`, of the model have come for so long"
    allowed: ClassVar[str] = "a duration"

    @cached_property
    def absent_ms(self) -> int:
        """For how long."""
        return parse_duration_ms(self.absent_for)

    def check(self, where: str) -> None:
        """Refuse what is no duration.

        Raises
        ------
        ConfigError
            With how to write one.
        """
        parse_duration_ms(self.absent_for, setting=f"{where}: absent_for")
