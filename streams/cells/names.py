"""Numbers for names: texts, models in segments, and the classes of each model.

Cells are found by numbers alone. Those of texts and of models in segments are of this process;
those of a model's classes are written down with the model, since its cells are full of them.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from streams.classes import binary_name
from streams.columns import Index
from streams.families.family import CLASS_BITS, MOST_CODES, OTHER, OTHER_APART

Ints = NDArray[np.int64]
Scalar = TypeVar("Scalar", bound=np.generic)

OTHER_NAME = "other"
"""What classes without a code of their own are called together."""

MOST_PREDICTED = 1_000
"""So many classes of a model get a code of their own by predictions without a label."""

_HALF = 32


def grown(array: NDArray[Scalar], size: int, *, fill: int = 0) -> NDArray[Scalar]:
    """Return an array of at least `size` that begins with the old one; it grows by half."""
    if size <= len(array):
        return array
    shape = max(size, len(array) * 3 // 2 + 16), *array.shape[1:]
    new: NDArray[Scalar] = np.full(shape, fill, array.dtype)
    new[: len(array)] = array
    return new


class Texts:
    """Codes of texts, in the order of their appearance."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._code_of: dict[str, int] = {}

    def code(self, text: str) -> int:
        """Return the code of a text, a new one if need be."""
        code = self._code_of.get(text)
        if code is None:
            code = self._code_of[text] = len(self.texts)
            self.texts.append(text)
        return code

    def find(self, text: str) -> int:
        """Return the code of a text, -1 if it has none."""
        return self._code_of.get(text, -1)

    def codes(self, texts: Iterable[str]) -> Ints:
        """Return the codes of texts."""
        return np.array([self.code(text) for text in texts], np.int64)

    def known(self, texts: Sequence[str], new: NDArray[np.bool_]) -> Ints:
        """Return the codes of texts, -1 where there is none; new ones where they are allowed."""
        return np.array(
            [
                self.code(text) if one else self._code_of.get(text, -1)
                for text, one in zip(texts, new.tolist(), strict=True)
            ],
            np.int64,
        )


class ClassNames(Texts):
    """Codes of the names of classes, and of what each is among two classes."""

    def __init__(self) -> None:
        super().__init__()
        self._two = np.empty(0, np.int64)

    @property
    def two(self) -> Ints:
        """For every name, the code of its `binary_name`; there always is one."""
        while len(self._two) < len(self.texts):
            start = len(self._two)
            self._two = np.append(self._two, self.codes(map(binary_name, self.texts[start:])))
        return self._two


class Subjects:
    """Numbers of models in segments.

    Attributes
    ----------
    models, segments
        By number, code of the model and of the segment's name.
    names
        Of segments.
    """

    def __init__(self) -> None:
        self._index = Index()
        self.names = Texts()
        self._pairs = np.empty((0, 2), np.int64)
        self.count = 0

    @property
    def models(self) -> Ints:
        """By number, the code of the model."""
        return self._pairs[: self.count, 0]

    @property
    def segments(self) -> Ints:
        """By number, the code of the segment's name."""
        return self._pairs[: self.count, 1]

    def of(self, models: NDArray[np.integer], segments: Ints | int) -> Ints:
        """Return the numbers of models in segments, new ones if need be."""
        models = models.astype(np.int64, copy=False)
        places, new = self._index.find(models << _HALF | segments, add=True)
        if len(new):
            self.count = len(self._index)
            self._pairs = grown(self._pairs, self.count)
            self._pairs[places[new], 0] = models[new]
            of = segments if isinstance(segments, int) else segments[new]
            self._pairs[places[new], 1] = of
        return places.astype(np.int64)

    def drop(self, models: Collection[int]) -> Ints:
        """Forget models, of which nothing is counted; return their numbers, which others get."""
        own = np.flatnonzero(np.isin(self.models, list(models)))
        self._index.drop(self.models[own] << _HALF | self.segments[own])
        self._pairs[own] = -1
        return own


class Classes:
    """Codes of classes within their model, in the order of appearance.

    What comes after `MOST_CODES` has no code of its own: it is another class.

    Attributes
    ----------
    names
        Of the classes of all models.
    changed
        Models that have a class that is not written down.
    full
        Models of which a class has got no code of its own.
    newly_full
        Likewise, since somebody has looked.
    other_rows
        How many rows were seen with such a class.
    """

    def __init__(self, names: ClassNames) -> None:
        self.names = names
        self._codes, self._inverse = Index(), Index()
        self._code = np.empty(0, np.int64)
        self._name = np.empty(0, np.int64)
        self._of_model: dict[int, list[int]] = {}
        self._beyond: dict[int, list[int]] = {}
        self._full = np.zeros(0, np.bool_)
        self._count = np.zeros(0, np.int64)
        self.full: set[int] = set()
        self.newly_full: set[int] = set()
        self.other_rows = 0
        self._other = names.code(OTHER_NAME)
        self.changed: set[int] = set()

    def of(self, models: NDArray[np.integer], names: Ints) -> Ints:
        """Return the code of every row's class, by the code of its name; new ones if need be.

        Parameters
        ----------
        names
            -1 for one that is not known.
        """
        models = models.astype(np.int64, copy=False)
        if self.full and (full := self.are_full(models)).any():
            known = self._known(models[full], names[full])
            codes = np.empty(len(models), np.int64)
            codes[full] = np.where(known < 0, OTHER, known)
            codes[~full] = self.of(models[~full], names[~full])
            return codes
        places, new = self._codes.find(models << _HALF | names, add=True)
        if len(new):
            self._add(places[new], models[new], names[new])
        return self._code[places]

    def of_few(self, models: NDArray[np.integer], names: Ints) -> Ints:
        """Return what `of` does, but new codes to models with few classes alone."""
        models = models.astype(np.int64, copy=False)
        codes = self._known(models, names)
        new = np.flatnonzero((codes < 0) & (names >= 0))
        if len(new):
            keys = models[new] << _HALF | names[new]
            new = new[np.sort(np.unique(keys, return_index=True)[1])]
            new = new[np.argsort(models[new], kind="stable")]
            starts = np.searchsorted(models[new], models[new])
            self.are_many(models)  # there is a count of every model
            few = self._count[models[new]] + np.arange(len(new)) - starts < MOST_PREDICTED
            self.of(models[new[few]], names[new[few]])
            codes = self._known(models, names)
        return np.where(codes < 0, OTHER, codes)

    def _known(self, models: NDArray[np.integer], names: Ints) -> Ints:
        """Return codes, -1 where there is none."""
        places, _ = self._codes.find(models << _HALF | np.maximum(names, 0))
        there = (places >= 0) & (names >= 0)
        codes = np.full(len(models), -1)
        codes[there] = self._code[places[there]]
        return codes

    def are_many(self, models: NDArray[np.integer]) -> NDArray[np.bool_]:
        """Tell which rows are of models that get no codes by predictions any more."""
        self._count = grown(self._count, int(models.max(initial=-1)) + 1)
        found: NDArray[np.bool_] = self._count[models] >= MOST_PREDICTED
        return found

    def are_full(self, models: NDArray[np.integer]) -> NDArray[np.bool_]:
        """Tell which rows are of models that get no codes any more."""
        size = int(models.max(initial=-1)) + 1
        self._full = grown(self._full, size)
        found: NDArray[np.bool_] = self._full[models]
        return found

    def _add(self, places: NDArray[np.int32], models: NDArray[np.integer], names: Ints) -> None:
        codes = []
        self._count = grown(self._count, int(models.max()) + 1)
        for model, name in zip(models.tolist(), names.tolist(), strict=True):
            known = self._of_model.setdefault(model, [])
            if len(known) >= MOST_CODES:
                self._full = grown(self._full, model + 1)
                self._full[model] = True
                self.full.add(model)
                self.newly_full.add(model)
                self._beyond.setdefault(model, []).append(name)
                codes.append(OTHER)
                continue
            codes.append(len(known))
            known.append(name)
            self._count[model] += 1
            self.changed.add(model)
        self._code = grown(self._code, len(self._codes))
        self._code[places] = codes
        places, _ = self._inverse.find(models << CLASS_BITS | np.array(codes, np.int64), add=True)
        self._name = grown(self._name, len(self._inverse))
        self._name[places] = names

    def name_codes(self, models: Ints, codes: Ints) -> Ints:
        """Return the codes of the names of classes."""
        places, _ = self._inverse.find(models << CLASS_BITS | codes)
        found: Ints = np.where(codes >= OTHER_APART, self._other, self._name[places])
        return found

    def names_of(self, model: int) -> list[str]:
        """Return the names of a model's classes, in the order of their codes."""
        return [self.names.texts[name] for name in self._of_model.get(model, [])]

    def restore(self, model: int, names: Sequence[str]) -> None:
        """Put back what `names_of` returned, for a model without any."""
        if names:
            self.of(np.full(len(names), model), self.names.codes(names))
            self.changed.discard(model)

    def drop(self, model: int) -> None:
        """Forget the classes of a model, of which nothing is counted."""
        names = np.array(self._of_model.pop(model, []), np.int64)
        beyond = np.array(self._beyond.pop(model, []), np.int64)
        self._codes.drop(model << _HALF | np.concatenate([names, beyond]))
        self._inverse.drop(model << CLASS_BITS | np.append(np.arange(len(names)), OTHER))
        self.full.discard(model)
        self.newly_full.discard(model)
        if model < len(self._full):
            self._full[model] = False
        if model < len(self._count):
            self._count[model] = 0
        self.changed.discard(model)
