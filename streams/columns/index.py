"""A number for every key, in the order in which keys came."""

from __future__ import annotations

from streams.columns.places import Keys, Positions, Rows, new_places


class Index:
    """Number int64 keys from 0.

    Parameters
    ----------
    factor
        See `streams.columns.places.Places`: an odd secret if outsiders choose the keys.

    Examples
    --------
    >>> import numpy as np
    >>> index = Index()
    >>> places, new = index.find(np.array([70, -5, 70]), add=True)
    >>> places.tolist(), new.tolist()
    ([0, 1, 0], [0, 1])
    >>> index.find(np.array([-5, 6]))[0].tolist(), index.keys.tolist()
    ([1, -1], [70, -5])
    """

    def __init__(self, factor: int = 1) -> None:
        self._places = new_places(factor)

    def __len__(self) -> int:
        return len(self._places)

    @property
    def keys(self) -> Keys:
        """The keys, by their numbers; a view that must not be kept."""
        keys: Keys = self._places.keys
        return keys

    @property
    def nbytes(self) -> int:
        """Memory."""
        size: int = self._places.nbytes
        return size

    def find(self, keys: Keys, *, add: bool = False) -> tuple[Rows, Positions]:
        """Return the number of every key, -1 where there is none, and which are new.

        Parameters
        ----------
        add
            Number keys that have no number yet; else none is new.

        Returns
        -------
        places
            int32, one for every key.
        new
            Positions in `keys` at which a key was seen for the first time, rising.
        """
        found: tuple[Rows, Positions] = self._places.find(keys, add=add)
        return found

    def drop(self, keys: Keys) -> Rows:
        """Forget keys; return the numbers of those that were there, which others get later."""
        rows: Rows = self._places.drop(keys)
        return rows
