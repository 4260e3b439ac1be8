"""What became of records that are not the usual ones: sent again, corrected, too late.

Of predictions of the window, whenever these records come.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from streams.families.family import (
    FATES,
    ON_FATES,
    Cells,
    Estimate,
    Family,
    Metric,
    Observed,
    Sparse,
)
from streams.families.histograms import group_sums
from streams.families.intervals import wilson
from streams.outcomes import MODEL_FATES

_REPEATED = "duplicate_prediction", "conflicting_prediction"
_RATES = (
    (
        *("duplicate_rate", _REPEATED, _REPEATED),
        "share of predictions whose id had come before, with the same content or another",
    ),
    (
        *("conflict_rate", _REPEATED[1:], _REPEATED),
        "share of predictions whose id had come before with another content",
    ),
    (
        *("correction_rate", ("correction",), ("correction",)),
        "share of labels that correct another one",
    ),
    (
        *("late_label_rate", ("late_label",), ("late_label",)),
        "share of labels that came after the horizon, and count for nothing else",
    ),
)
"""Names, fates that are told, those that are added to the rows that counted, and what it is."""


class RecordFates(Family):
    """Shares of records that repeat, correct or miss what is there."""

    name = "record_fates"
    reads = FATES
    columns = {"fates": Sparse()}
    metrics = tuple(
        Metric(
            name=name,
            help=text,
            better="lower",
            interval="Wilson",
            highest=1.0,
            rests_on=ON_FATES,
            default=False,
            source="Wilson (1927)",
        )
        for name, _, _, text in _RATES
    )

    def observe(self, rows: Any) -> Mapping[str, Observed]:
        return {"fates": rows.fate.astype(np.int64)}

    def compute(self, cells: Cells) -> Iterator[Estimate]:
        group, fate, count = cells.entries("fates")
        for name, told, added, _ in _RATES:
            if not cells.wants(name):
                continue
            hits, others = (
                group_sums(group[own], count[own], cells.groups)
                for own in (
                    np.isin(fate, [MODEL_FATES.index(f) for f in some]) for some in (told, added)
                )
            )
            rows = cells.predictions if added == _REPEATED else cells.labels
            total = np.maximum(rows, 0) + others
            with np.errstate(all="ignore"):
                share = np.where(total > 0, hits / total, np.nan)
            yield Estimate(name, share, *wilson(hits, total), total)
