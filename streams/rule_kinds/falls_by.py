"""A metric that falls by a share of its reference."""

from typing import Annotated

import numpy as np
from msgspec import Meta

from streams.rule_kinds.kind import Bounds, Floats, RuleKind


class FallsBy(RuleKind):
    """Values below the reference by more than a share of it violate it."""

    name = "falls_by"
    help = "the metric is below its reference by more than this share of it"
    given = Annotated[float, Meta(gt=0, le=1)]
    relative = True

    def bounds(self, given: float, reference: Floats) -> Bounds:
        return Bounds(reference + -given * np.abs(reference), np.full(len(reference), np.inf))

    def given_at(self, limit: Floats, reference: Floats) -> Floats:
        with np.errstate(divide="ignore", invalid="ignore"):
            return (reference - limit) / np.abs(reference)
