"""What must be known of models to take their rows."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.grouping import distinct

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]


class Known(NamedTuple):
    """What is known of models in a pane.

    Attributes
    ----------
    groups
        By code, the number of the model here; -1 where nobody looks.
    versions
        By code, model and version.
    kind_of
        Tells of a code what it is judged to be.
    covers
        Tells whether any monitor looks at an input.
    """

    groups: Ints
    versions: Sequence[tuple[str, str]]
    kind_of: Callable[[int], str]
    covers: Callable[[str], bool]

    def are(self, *kinds: str, models: NDArray[np.integer]) -> Mask:
        """Tell of codes, each row its own, whether they are of such a kind."""
        codes, runs = distinct(models)
        found: Mask = np.array([self.kind_of(code) in kinds for code in codes.tolist()], bool)[runs]
        return found
