"""A metric that is above a limit."""

import numpy as np

from streams.rule_kinds.kind import Bounds, Floats, RuleKind


class Above(RuleKind):
    """Values above a limit violate it; the limit itself does not."""

    name = "above"
    help = "the metric is above it"

    def bounds(self, given: float, reference: Floats) -> Bounds:
        return Bounds(np.full(len(reference), -np.inf), np.full(len(reference), given))

    def given_at(self, limit: Floats, reference: Floats) -> Floats:  # noqa: ARG002
        return limit
