"""The record of a distribution, as users read it."""

from __future__ import annotations

import msgspec


class Distribution(msgspec.Struct, frozen=True):
    """What one series of a model was like in an hour, or in what hours are compared with.

    Attributes
    ----------
    segment
        ``""``: all traffic.
    series
        ``feature``, ``score``, ``prediction``, ``confusion`` or ``reliability``.
    feature
        Its name; empty for other series.
    role
        ``window``, or ``reference``: what windows are compared with that begin at `start_ms` or
        later, until there is another.
    count
        Values that it rests on.
    missing
        Predictions without a value; None where nobody counts that.
    edges, counts
        Bins: ``counts[i]`` values are from ``edges[i]`` to below ``edges[i + 1]``. Windows have the
        edges of their reference.
    below, above
        Values before the first edge, and from the last one on.
    categories, category_counts, other
        The most frequent values that are no numbers, and how many others there are; texts of
        features are told by hashes, such as ``#2155``.
    predicted_classes, true_classes
        Of a confusion, the classes of each pair, of which there are `counts`.
    positives, probabilities
        Of a reliability, of each bin, the positive outcomes, and the mean of what was predicted.
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
