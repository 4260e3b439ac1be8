"""How many predictions and labels came of models, and when: what rules could have rested on."""

import fnmatch
from collections import Counter

import numpy as np

from streams.families.family import OUTCOMES, PREDICTIONS, Reads
from streams.outcomes import Codes, Ints, Outcomes


class Amounts:
    """Rows of every model version and segment, by spans of event time.

    Labels are taken at the time at which a rule sees them. Corrections count as labels again, so
    that what is said here is never less than what a rule has seen.

    Parameters
    ----------
    every_ms
        Length of the spans: rules are evaluated as often.
    """

    def __init__(self, *, every_ms: int) -> None:
        self.every_ms = every_ms
        self._rows: dict[tuple[str, str, str, Reads], Counter[int]] = {}

    def add(self, rows: Outcomes) -> None:
        """Count the rows of a record."""
        said, true = rows.predictions, rows.outcomes
        self._count(rows, PREDICTIONS, said.model, said.segments, said.time_ms)
        known = true.weight > 0
        times_ms = np.maximum(true.label_ms, true.time_ms)[known]
        self._count(rows, OUTCOMES, true.model[known], true.segments[known], times_ms)

    def _count(
        self, rows: Outcomes, reads: Reads, models: Codes, segments: Codes, times_ms: Ints
    ) -> None:
        keys = np.stack([models, segments, times_ms // self.every_ms])
        found, counts = np.unique(keys, axis=1, return_counts=True)
        for (model, pairs, span), count in zip(found.T.tolist(), counts.tolist(), strict=True):
            for segment in ("", *(rows.segment_sets[pairs] if pairs >= 0 else ())):
                key = (*rows.models.names[model], segment, reads)
                self._rows.setdefault(key, Counter())[span] += count

    def total(self, model: str, version: str, segment: str, *, reads: Reads) -> int:
        """Return how many rows the largest of the models and versions of a pattern has."""
        return max(map(Counter.total, self._of(model, version, segment, reads)), default=0)

    def most(self, model: str, version: str, segment: str, *, reads: Reads, length_ms: int) -> int:
        """Return how many rows of one of them a window of that length had, at most."""
        spans = -(-length_ms // self.every_ms)
        return max((_most(c, spans) for c in self._of(model, version, segment, reads)), default=0)

    def _of(self, model: str, version: str, segment: str, reads: Reads) -> list[Counter[int]]:
        fits = fnmatch.fnmatchcase
        return [
            counts
            for (name, number, pair, kind), counts in self._rows.items()
            if (pair, kind) == (segment, reads) and fits(name, model) and fits(number, version)
        ]


def _most(counts: Counter[int], spans: int) -> int:
    """Return the largest sum of so many spans that follow each other.

    Examples
    --------
    >>> _most(Counter({0: 3, 1: 4, 5: 6, 7: 2}), 2), _most(Counter({0: 3, 1: 4, 5: 6, 7: 2}), 3)
    (7, 8)
    """
    starts = np.array(sorted(counts))
    ends = np.cumsum([0, *(counts[start] for start in starts.tolist())])
    last = np.searchsorted(starts, starts + spans)
    return int((ends[last] - ends[:-1]).max())
