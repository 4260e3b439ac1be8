"""A metric that is below a limit."""

import numpy as np

from streams.rule_kinds.kind import Bounds, Floats, RuleKind


class Below(RuleKind):
    """Values below a limit violate it; the limit itself does not."""

    name = "below"
    help = "the metric is below it"

    def bounds(self, given: float, reference: Floats) -> Bounds:
        return Bounds(np.full(len(reference), given), np.full(len(reference), np.inf))

    def given_at(self, limit: Floats, reference: Floats) -> Floats:  # noqa: ARG002
        return limit
