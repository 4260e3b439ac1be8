"""Predictions of exactly 0 and 1 without a score: probabilities, if others are between them."""

from streams.families.family import Family, Sparse


class Sure(Family):
    """Counts for others, no metric of its own.

    A forest whose trees all agree predicts 1.0: to leave it out would leave out what is easy. What
    a prediction is shows when others are between 0 and 1, which may be after it was counted.
    """

    name = "sure"
    columns = {"sure": Sparse()}
