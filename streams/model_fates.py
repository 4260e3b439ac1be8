"""How many records of each model had which fate: running counts, for as long as a model is known.

Counts that changed are written down together with those of other models in the same bucket, which
follows from the model's key: a topic that is read twice makes every record a duplicate, and a
record of the state for each model and step would be more than all other state.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from streams.model_keys import Ints, Name, model_key
from streams.outcomes import MODEL_FATES, FateRows

BUCKETS = 256


class ModelFates:
    """Counts by the monitor's codes of models.

    Examples
    --------
    >>> fates = ModelFates()
    >>> late = MODEL_FATES.index("late_label")
    >>> rows = FateRows(*map(np.array, ([3], [late], [2], [0], [-1])))
    >>> fates.add(rows, lambda code: ("m", ""))
    >>> fates.of(3)["late_label"], fates.of(4)["late_label"]
    (2, 0)
    >>> [(bucket, content)] = fates.changes()
    >>> content
    [('m', '', [0, 0, 0, 0, 0, 2])]
    """

    def __init__(self) -> None:
        self._counts: Ints = np.zeros((16, len(MODEL_FATES)), np.int64)
        self._members: dict[int, dict[int, Name]] = {}
        self._bucket_of: dict[int, int] = {}
        self._changed: set[int] = set()

    def of(self, code: int) -> dict[str, int]:
        """Return the counts of a model by fate."""
        counts = self._counts[code] if code < len(self._counts) else [0] * len(MODEL_FATES)
        return dict(zip(MODEL_FATES, map(int, counts), strict=True))

    def add(self, rows: FateRows, name_of: Callable[[int], Name]) -> None:
        """Count.

        Parameters
        ----------
        name_of
            Gives the model version of a code.
        """
        if not len(rows.model):
            return
        self._make_room(int(rows.model.max()))
        np.add.at(self._counts, (rows.model, rows.fate), rows.count)
        self._changed.update(
            self._bucket(code, name_of(code)) for code in np.unique(rows.model).tolist()
        )

    def changes(self) -> Iterator[tuple[int, list[Any]]]:
        """Yield every bucket with changed counts and what is in it, once."""
        for bucket in sorted(self._changed):
            members = self._members[bucket].items()
            yield bucket, [(*name, self._counts[code].tolist()) for code, name in members]
        self._changed.clear()

    def drop(self, code: int) -> None:
        """Forget a model."""
        bucket = self._bucket_of.pop(code, None)
        if bucket is not None:
            del self._members[bucket][code]
            self._counts[code] = 0
            self._changed.add(bucket)

    def restore(self, content: Sequence[Any], code_of: Callable[[Name], int]) -> None:
        """Take what a bucket had."""
        for model, version, counts in content:
            code = code_of((model, version))
            self._make_room(code)
            self._bucket(code, (model, version))
            self._counts[code] = counts

    def _bucket(self, code: int, name: Name) -> int:
        bucket = self._bucket_of.get(code)
        if bucket is None:
            bucket = self._bucket_of[code] = model_key(name)[0] % BUCKETS
            self._members.setdefault(bucket, {})[code] = name
        return bucket

    def _make_room(self, code: int) -> None:
        if code >= len(self._counts):
            room = np.zeros((code + 1, len(MODEL_FATES)), np.int64)
            self._counts = np.concatenate([self._counts, room])
