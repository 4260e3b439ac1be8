"""What is a probability: log loss and Brier score of anything else mean nothing.

A percentage, a logit or an error is no probability; scikit-learn refuses them. To clip them would
make a model that says 97 % perfect, and to take only the rows that happen to lie between 0 and 1
would be to judge a few chosen ones.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Counts: TypeAlias = int | NDArray[np.int64]

TINY = 1e-15
"""A probability below this counts as this, so that no single answer costs more than all others."""

ROUNDING = 1e-6
"""A softmax in float32 may be so far outside 0 to 1: that is clipped."""

SUM_TOLERANCE = 0.02
"""Shares of three or four classes, rounded to two decimals, add up to 1 within this; what is meant
otherwise (percentages, logits, a sigmoid for each class, the best few of many) does not."""

_ALLOWED = 100
"""Of so many scores, one may be no probability."""


About: TypeAlias = tuple[str, str, str]


class Oddity(NamedTuple):
    """What is odd about a model's events, to be said once."""

    model: str
    version: str
    kind: str
    text: str

    @property
    def about(self) -> About:
        """What must not be said again."""
        return self.model, self.version, self.kind


MOST_ODDITIES = 1_000
"""Of so many nobody reads more: whoever may write a record may make up ever other models."""


def note(known: dict[About, Oddity], oddity: Oddity) -> bool:
    """Remember what is odd, in place; tell whether it is to be said."""
    if oddity.about in known or len(known) >= MOST_ODDITIES:
        return False
    known[oddity.about] = oddity
    return True


def probabilities(scores: Floats) -> tuple[Floats, NDArray[np.bool_] | None]:
    """Return scores as probabilities, NaN where they are none, and where that is, if it is.

    Examples
    --------
    >>> share, outside = probabilities(np.array([0.25, 1.0000001, -0.5, np.nan]))
    >>> share.tolist(), outside.tolist()
    ([0.25, 1.0, nan, nan], [False, False, True, False])
    """
    outside = np.abs(scores - 0.5) > 0.5 + ROUNDING
    share = np.minimum(np.maximum(scores, 0.0), 1.0)
    if not outside.any():
        return share, None
    share[outside] = np.nan
    return share, outside


def too_many(outside: Counts, *, inside: Counts) -> Any:
    """Whether so many scores are no probabilities that the others must not speak for them.

    Of numbers, or of arrays of them.

    Examples
    --------
    >>> too_many(1, inside=99), too_many(2, inside=198), too_many(2, inside=197)
    (False, False, True)
    """
    return outside * _ALLOWED > outside + inside


def no_probabilities(model: str, version: str, *, outside: int, inside: int) -> Oddity:
    """Say why a model has no log loss and no Brier score."""
    text = (
        f"{_named(model, version)}: {outside:,} of {outside + inside:,} scores in a window are no"
        " probabilities: windows where these are more than 1 % have no log_loss and no brier; send"
        " scores between 0 and 1"
    )
    return Oddity(model, version, "no-probabilities", text)


def adds_up(scores: Mapping[str, float]) -> bool:
    """Whether scores by class add up to 1."""
    return abs(sum(scores.values()) - 1.0) <= SUM_TOLERANCE


def odd_sum(model: str, version: str, scores: Mapping[str, float]) -> Oddity:
    """Say that scores by class do not add up to 1."""
    text = (
        f"{_named(model, version)}: the scores of the classes of a prediction add up to"
        f" {sum(scores.values()):.4g}, not to 1: log_loss takes them as they are"
    )
    return Oddity(model, version, "odd-sum", text)


def _named(model: str, version: str) -> str:
    return f"model {model!r}" + (f", version {version!r}" if version else "")
