"""What predictions are of: model, version and segments, by number."""

from collections.abc import Iterable
from typing import TypeAlias

import numpy as np

from streams.interning import Interner
from streams.model_keys import Ints, Name, model_key
from streams.partitioning import partition_of

Identity: TypeAlias = tuple[str, str, tuple[str, ...]]
"""Model, version and segments (`name=value`, sorted) of a prediction."""


class Identities(Interner[Identity]):
    """Codes of identities, and of their model versions.

    Parameters
    ----------
    partitions
        How many the next stage has: it is partitioned by model.

    Attributes
    ----------
    models
        Codes of the model versions of all identities that are there.
    """

    def __init__(self, partitions: int) -> None:
        self.models = Interner[Name](
            lambda name: (partition_of(name[0], partitions), *model_key(name)), width=3
        )
        super().__init__(lambda identity: (self.models.code(identity[:2]),))

    @property
    def model(self) -> Ints:
        """By code of an identity, the code of its model version."""
        return self.derived[:, 0]

    @property
    def owner(self) -> Ints:
        """By code of a model version, the partition of the next stage that it belongs to."""
        return self.models.derived[:, 0]

    def keys(self, models: list[int]) -> tuple[Ints, Ints]:
        """Return keys and checks of model versions, see `model_key`."""
        rows = self.models.derived[models]
        return rows[:, 1], rows[:, 2]

    def keep(self, used: Iterable[int]) -> None:
        """Forget every identity whose code is not among those used, and models without any."""
        used = list(used)
        super().keep(used)
        self.models.keep(np.unique(self.model[used]).tolist())
