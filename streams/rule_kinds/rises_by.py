"""A metric that rises by a share of its reference."""

from typing import Annotated

import numpy as np
from msgspec import Meta

from streams.rule_kinds.kind import Bounds, Floats, RuleKind


class RisesBy(RuleKind):
    """Values above the reference by more than a share of it violate it."""

    name = "rises_by"
    help = "the metric is above its reference by more than this share of it"
    given = Annotated[float, Meta(gt=0)]
    relative = True

    def bounds(self, given: float, reference: Floats) -> Bounds:
        return Bounds(np.full(len(reference), -np.inf), reference + given * np.abs(reference))

    def given_at(self, limit: Floats, reference: Floats) -> Floats:
        with np.errstate(divide="ignore", invalid="ignore"):
            return (limit - reference) / np.abs(reference)
