"""What other monitors replace, and what follows from it."""

from typing import NamedTuple

from streams.monitors import Monitors
from streams.rules.paced import Paced
from streams.watchers.numbering import Bucket


class Replacement(NamedTuple):
    """What was replaced by what.

    Attributes
    ----------
    plans
        By the code of the model, before and now, of each pace.
    judged
        Models whose newest judgement is another one.
    lanes
        What may be written down of detectors that are gone: their key, and the bucket.
    compared
        Models whose windows are compared with something else.
    """

    before: Monitors
    plans: list[tuple[Paced, Paced]]
    judged: list[int]
    lanes: list[tuple[str, Bucket]]
    compared: list[int]
