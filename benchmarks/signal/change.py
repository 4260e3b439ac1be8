"""What a change is: how its stream is made, and which alerts are about it."""

from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from benchmarks.signal.stream import Rng, Stream

Make = Callable[[Rng, float, int, int], Stream]
"""Of chance, rate, begin and time of the change."""

LOSS = ("loss*", "accuracy*", "error_rate*", "mae*", "rmse*", "recall*", "precision*", "f1*")
PROBABILITIES = ("log_loss*", "score*", "brier*", "calibration*", "*probability*")
SHARES = ("share*", "prediction:*", "prediction_share*", "score*")
FEATURE = ("*:x", "*:x:*", "*:x=*")
TRAFFIC = ("traffic*", "predictions")
LATENCY = ("latency*", "p*latency*")
DELAY = ("label_delay*", "label-delay*", "coverage*", "labelled*")
LABELS = ("coverage*", "labelled*", "labels*", "unlabelled*")


@dataclass(frozen=True)
class Change:
    """A kind of stream in which something changes.

    Attributes
    ----------
    title
        For the page.
    accepted
        Patterns of what an alert that notices it is about: its input, or the metric of its rule.
    make
        Makes the stream.
    direction
        What such an alert says: `better`, or anything else where this is "".
    incident
        Whether it is over before the stream is.
    drawn_as
        Rows of one such name are drawn alike, seed by seed; "" is the row's own name.
    after
        The new level, where an alert's can be compared with one.
    """

    name: str
    title: str
    accepted: tuple[str, ...]
    make: Make
    direction: str = ""
    incident: bool = False
    drawn_as: str = ""
    after: float | None = None

    def about(self, subject: str, direction: str) -> bool:
        """Tell whether an alert with this subject and direction is about this change.

        Examples
        --------
        >>> never = Change("x", "", LOSS, lambda *_: None)
        >>> never.about("loss", "worse"), never.about("loss", "better"), never.about("score", "")
        (True, False, False)
        """
        if (direction == "better") != (self.direction == "better"):
            return False
        return any(fnmatchcase(subject, pattern) for pattern in self.accepted)
