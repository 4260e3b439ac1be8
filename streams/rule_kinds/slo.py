"""Service levels: how fast a share that may be bad is used up.

An objective of 0.99 over 30 days lets one in a hundred be bad: that is its error budget. A burn
rate of 14.4 uses a fiftieth of 30 days' budget within an hour. Each rate has two windows, both of
which must be beyond it: the long one so that it matters, the short one so that it is not over yet.

References
----------
Beyer et al., The Site Reliability Workbook, chapter 5, 2018.
"""

from typing import Annotated, ClassVar, NamedTuple

import msgspec
from msgspec import Meta

from streams.consequences import Then
from streams.durations import parse_duration_ms
from streams.errors import ConfigError
from streams.rule_kinds.kind import Severity

_DAY_MS = 24 * 3_600_000
_SHORTEST_MS, _LONGEST_MS = 3 * _DAY_MS, 35 * _DAY_MS


class Burn(NamedTuple):
    """A burn rate, and the windows that must be beyond it."""

    rate: float
    window: str
    short: str | None
    fast: bool

    @property
    def name(self) -> str:
        """What the rule is called, after the name of its objective."""
        return "period" if self.short is None else self.window


BURNS = (
    Burn(14.4, "1h", "5m", fast=True),
    Burn(6.0, "6h", "30m", fast=True),
    Burn(1.0, "3d", "6h", fast=False),
)


class Objective(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which share must be good, and over how long."""

    metric: str
    objective: float
    period: str = "30d"
    minimum: Annotated[int, Meta(ge=1)] = 100
    minimum_coverage: Annotated[float, Meta(ge=0, le=1)] = 0.0


class Slo(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An objective: a rule for every burn rate, and one for a budget that is used up."""

    name: str
    slo: Objective
    model: str = "*"
    version: str = "*"
    segment: str = ""
    severity: Severity = "critical"
    notify: bool = True
    then: Then = ()

    keys: ClassVar[tuple[str, ...]] = ("slo",)
    help: ClassVar[str] = (
        "the error budget is used up, or burns 14.4 times too fast over 1h and 5m, 6 times over 6h"
        " and 30m, or too fast over 3d and 6h"
    )
    allowed: ClassVar[str] = "`{metric: accuracy, objective: 0.99, period: 30d}`"

    @property
    def budget(self) -> float:
        """The share that may be bad."""
        return 1.0 - self.slo.objective

    def check(self, where: str) -> None:
        """Refuse what leaves no budget, or all of it, and periods that are not kept.

        Raises
        ------
        ConfigError
            With the range.
        """
        told = self.slo
        if not 0.0 < told.objective < 1.0:
            left = "of 0: everything burns it" if told.objective == 1.0 else "that is none"
            raise ConfigError(
                f"{where}: slo: objective: {told.objective:g} leaves an error budget {left};"
                " give a share between 0 and 1, such as 0.99"
            )
        period_ms = parse_duration_ms(told.period, setting=f"{where}: slo: period")
        if not _SHORTEST_MS <= period_ms <= _LONGEST_MS:
            raise ConfigError(
                f"{where}: slo: period: {told.period!r} is not between 3d and 35d, for which rows"
                " are kept"
            )

    def burns(self) -> list[Burn]:
        """Return the burn rates that can be reached at all, and that of the whole period.

        Examples
        --------
        >>> slo = Slo(name="s", slo=Objective(metric="accuracy", objective=0.9))
        >>> [(burn.rate, burn.window) for burn in slo.burns()]
        [(6.0, '6h'), (1.0, '3d'), (1.0, '30d')]
        """
        found = [one for one in BURNS if one.rate * self.budget < 1.0]
        return [*found, Burn(1.0, self.slo.period, None, fast=False)]
