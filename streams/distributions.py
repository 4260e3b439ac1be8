"""The record of a distribution: bins and counts of an hour, or of a reference, to be drawn."""

from typing import Literal

import msgspec

Series = Literal["feature", "score", "prediction", "confusion", "reliability"]
Role = Literal["window", "reference"]


class Distribution(msgspec.Struct, frozen=True, kw_only=True):
    """What one series of a model was like in an hour, or in what hours are compared with.

    Attributes
    ----------
    series
        `feature`; `score`; `prediction`, which is numbers or classes; `confusion` and
        `reliability`, which are of outcomes.
    feature
        Its name; empty for other series.
    role
        `window`, or `reference`: what windows are compared with that begin at `start_ms` or later,
        until there is another.
    count
        On how many values it rests.
    missing
        Predictions without a value; `None` where nobody counts that.
    edges, counts
        Bins: `counts[i]` values are from `edges[i]` to below `edges[i + 1]`. Windows have the edges
        of their reference, if they have one.
    below, above
        Values that are before the first edge, and from the last one on.
    categories, category_counts, other
        The most frequent values that are no numbers, and how many others there are. Texts of
        features are told by a number from 0 to 4,095, such as ``#2155``: a hash of the text.
    predicted_classes, true_classes
        Of a confusion, the classes of each pair, of which there are `counts`; `other` are pairs
        that are not told.
    positives, probabilities
        Of each bin of a reliability, how many outcomes are positive, and the mean of what was
        predicted.
    """

    model: str
    version: str
    segment: str
    series: str
    feature: str
    role: str
    start_ms: int
    end_ms: int
    count: int
    missing: int | None = None
    edges: list[float] = []
    counts: list[int] = []
    below: int = 0
    above: int = 0
    categories: list[str] = []
    category_counts: list[int] = []
    other: int = 0
    predicted_classes: list[str] = []
    true_classes: list[str] = []
    positives: list[int] = []
    probabilities: list[float | None] = []

    @property
    def key(self) -> bytes:
        """The key of its record: all that it is of, in this order."""
        whose = [self.model, self.version, self.segment]
        return encode([*whose, self.series, self.feature, self.role, self.start_ms])


encode = msgspec.json.Encoder().encode
