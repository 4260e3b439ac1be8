"""The rows of one step of the join, put together and written down for the next stage."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import numpy as np

from streams.identities import Identities
from streams.model_keys import pack_names
from streams.outcomes import FORMAT, MODEL_FATES, Codes, FateRows, Ints
from streams.renumbering import renumber
from streams.row_chunks import OutcomeChunk, PredictionChunk, Rows, together
from streams.steps import LARGEST_VALUE_BYTES


class RowCollector:
    """Collects the rows of one step, and writes them down for the partitions of the next stage.

    Parameters
    ----------
    strings, identities
        What the codes in the chunks stand for.
    """

    def __init__(self, strings: Sequence[str], identities: Identities) -> None:
        self.strings, self.identities = strings, identities
        self.predictions: list[PredictionChunk] = []
        self.outcomes: list[OutcomeChunk] = []
        self._fates: list[tuple[Codes, Ints, Ints]] = []

    def count(self, identity: Codes, fates: Ints, times_ms: Ints) -> None:
        """Count what became of records of known predictions.

        Parameters
        ----------
        fates, times_ms
            Of each, an index into `MODEL_FATES`, and the time of its prediction.
        """
        self._fates.append((identity, fates, times_ms))

    def encode(self) -> Iterator[tuple[int, bytes]]:
        """Yield partition and value of every record that the rows need."""
        if not (self.predictions or self.outcomes or self._fates):
            return
        rows = together(self.predictions, self.outcomes, self._counts())
        owner_of, model_of = self.identities.owner, self.identities.model
        identities = rows.predictions.identity, rows.outcomes.identity, rows.fates.model
        owners = [owner_of[model_of[some]] for some in identities]
        for partition in np.flatnonzero(np.bincount(np.concatenate(owners))).tolist():
            mine = [np.flatnonzero(owner == partition) for owner in owners]
            for value in self._values(rows.chosen(*mine)):
                yield partition, value

    def _counts(self) -> FateRows:
        """Return how often each fate of each model came, of predictions of the same time."""
        if not self._fates:
            return FateRows.none()
        identity, fate, time_ms = map(np.concatenate, zip(*self._fates, strict=True))
        kinds = len(MODEL_FATES)
        which = identity.astype(np.int64) * kinds + fate
        found, counts = np.unique(np.stack([which, time_ms]), axis=1, return_counts=True)
        who, fate = np.divmod(found[0], kinds)
        segments = np.full(len(who), -1, "<i4")  # those of the identity, as they are written
        return FateRows(who.astype("<i4"), fate.astype("<i1"), counts, found[1], segments)

    def _values(self, rows: Rows) -> Iterator[bytes]:
        size_bytes = sum(block.values.nbytes for block in rows.predictions.features)
        last = sum(rows.sizes) <= 1
        if last or size_bytes <= LARGEST_VALUE_BYTES:
            value = self._record(rows)
            if last or len(value) <= LARGEST_VALUE_BYTES:
                yield value
                return
        for half in rows.halves():
            yield from self._values(half)

    def _record(self, rows: Rows) -> bytes:
        predictions, outcomes, fates = rows
        (p_code, o_code, o_label), strings = renumber(
            [predictions.code, outcomes.code, outcomes.label_code]
        )
        (p_who, o_who, f_who), codes = renumber(
            [predictions.identity, outcomes.identity, fates.model]
        )
        [model_of], models = renumber([self.identities.model[codes].astype("<i4")])
        names = pack_names([self.identities.models.values[code] for code in models])
        keys = [column.tobytes() for column in self.identities.keys(models)]
        set_of, sets = _numbered([self.identities.values[code][2] for code in codes])
        p = predictions._replace(identity=model_of[p_who], code=p_code)
        o = outcomes._replace(identity=model_of[o_who], code=o_code, label_code=o_label)
        return _encode(
            (
                *(*FORMAT.head, [*keys, names], [self.strings[code] for code in strings], sets),
                [*(column.tobytes() for column in p[:-1]), set_of[p_who].tobytes()],
                [
                    (block.names, block.rows.astype("<i4").tobytes(), block.values.tobytes())
                    for block in p.features
                ],
                [*(column.tobytes() for column in o), set_of[o_who].tobytes()],
                [column.tobytes() for column in (model_of[f_who], *fates.columns[1:-1])]
                + [set_of[f_who].tobytes()],
            )
        )


def _numbered(values: Sequence[Any]) -> tuple[Codes, list[Any]]:
    """Give values codes from 0, equal ones the same; return the codes and what they stand for."""
    if not any(values):  # no segments anywhere, as is usual
        return np.zeros(len(values), "<i4"), [()]
    numbers: dict[Any, int] = {}
    codes = [numbers.setdefault(value, len(numbers)) for value in values]
    return np.array(codes, "<i4"), list(numbers)


_encode = msgspec.msgpack.Encoder().encode
