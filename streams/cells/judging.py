"""What kind of model each is, as columns: by its newest judgement, or by that of a moment."""

import numpy as np
from numpy.typing import NDArray

from streams.cells.names import ClassNames, grown
from streams.cells.view import Judgements
from streams.classes import binary_name
from streams.families.family import KINDS
from streams.shown import NEVER_MS, Shown
from streams.task import Judged

Ints = NDArray[np.int64]


class Judges:
    """Judgements of all models of a partition, by code.

    Parameters
    ----------
    shown
        What the models have shown; the list grows.
    """

    def __init__(self, names: ClassNames, shown: list[Shown]) -> None:
        self._names, self._shown = names, shown
        self._kind, self._words = np.empty(0, np.int8), np.empty(0, np.bool_)
        self._positive = np.empty(0, np.int64)
        self._changing = np.empty(0, np.bool_)

    def update(self, code: int) -> None:
        """Take the newest judgement of a model."""
        self._kind = grown(self._kind, code + 1)
        self._words = grown(self._words, code + 1)
        self._positive = grown(self._positive, code + 1)
        self._changing = grown(self._changing, code + 1)
        shown = self._shown[code]
        self._kind[code], self._words[code], self._positive[code] = self._numbers(shown.newest)
        self._changing[code] = shown.changes

    def _numbers(self, judged: Judged) -> tuple[int, bool, int]:
        name = binary_name(judged.positive)
        return KINDS.index(judged.kind), judged.words, self._names.code(name)

    def newest(self, models: Ints) -> Judgements:
        """Return the newest judgement of every model."""
        return Judgements(self._kind[models], self._words[models], self._positive[models])

    def at(self, models: Ints, times_ms: Ints) -> Judgements:
        """Return the judgement of models at moments."""
        found = self.newest(models)
        for place in np.flatnonzero(self._changing[models]).tolist():
            judged = self._shown[int(models[place])].at(int(times_ms[place]))
            found.kind[place], found.words[place], found.positive[place] = self._numbers(judged)
        return found

    def of_windows(self, models: Ints, final_ms: Ints, final: NDArray[np.bool_]) -> Judgements:
        """Return the judgement of windows: of those that are final, as they became so."""
        if not final.any():
            return self.newest(models)
        return self.at(models, np.where(final, final_ms, NEVER_MS))
