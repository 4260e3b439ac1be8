"""A metric that differs from its reference by a share of it, whichever way."""

from typing import Annotated

import numpy as np
from msgspec import Meta

from streams.rule_kinds.kind import Bounds, Floats, RuleKind


class DiffersBy(RuleKind):
    """For what describes data: a mean that halves is as odd as one that doubles."""

    name = "differs_by"
    help = "the metric is further from its reference than this share of it, on either side"
    given = Annotated[float, Meta(gt=0)]
    relative = True

    def bounds(self, given: float, reference: Floats) -> Bounds:
        share = given * np.abs(reference)
        return Bounds(reference - share, reference + share)
