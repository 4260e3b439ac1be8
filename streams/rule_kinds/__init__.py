"""Rule kinds: the ways to say when a rule is violated, one file each.

A rule kind is one file here and one line in `RULE_KINDS`, of those that hold a metric against a
limit; what `monitors.yaml` may say, what is refused there, when alerts fire and what they say
follow from what it declares. Those in `OTHER_KINDS` go by something else.
"""

from streams.rule_kinds.above import Above
from streams.rule_kinds.absent_for import Absence
from streams.rule_kinds.below import Below
from streams.rule_kinds.beyond_sigma import BeyondSigma
from streams.rule_kinds.composite import Composite, Quorum
from streams.rule_kinds.falls_by import FallsBy
from streams.rule_kinds.kind import Bounds, RuleKind, Severity
from streams.rule_kinds.learnt import Learnt
from streams.rule_kinds.outside_season import OutsideSeason
from streams.rule_kinds.quantile import AboveQuantile, BelowQuantile
from streams.rule_kinds.rises_by import RisesBy
from streams.rule_kinds.slo import Slo

__all__ = [
    "BY_NAME",
    "OTHER_KINDS",
    "RULE_KINDS",
    "Absence",
    "Bounds",
    "Composite",
    "Learnt",
    "Quorum",
    "RuleKind",
    "Severity",
    "Slo",
]

RULE_KINDS: tuple[RuleKind, ...] = (
    Below(),
    Above(),
    FallsBy(),
    RisesBy(),
    BeyondSigma(),
    AboveQuantile(),
    BelowQuantile(),
    OutsideSeason(),
)
OTHER_KINDS: tuple[type[Absence] | type[Composite] | type[Slo], ...] = (Absence, Slo, Composite)
BY_NAME = {kind.name: kind for kind in RULE_KINDS}
