"""Rule kinds: the ways to say when a metric violates a rule, one file each.

A rule kind is one file here and one line in `RULE_KINDS`; what `monitors.yaml` may say, what is
refused there, when alerts fire and what they say follow from what it declares.
"""

from streams.rule_kinds.above import Above
from streams.rule_kinds.below import Below
from streams.rule_kinds.falls_by import FallsBy
from streams.rule_kinds.kind import Bounds, RuleKind
from streams.rule_kinds.rises_by import RisesBy

__all__ = ["BY_NAME", "RULE_KINDS", "Bounds", "RuleKind"]

RULE_KINDS: tuple[RuleKind, ...] = (
    Below(),
    Above(),
    FallsBy(),
    RisesBy(),
)
BY_NAME = {kind.name: kind for kind in RULE_KINDS}
