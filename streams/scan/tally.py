"""How many rows names had that have no lane: the largest few of a model get one.

Names are classes or segments, of which a model may have a thousand. They are counted from the
model's first row on; at the end of each of its days, those with the most rows get the places that
are left.
"""

from collections.abc import Callable, Iterator

_FEWEST_ROWS = 5
_MOST_COUNTED = 1_000


class Tally:
    """Counts of names by model and place of the input.

    Attributes
    ----------
    changed
        Of which model and place anything is another.

    Examples
    --------
    >>> tally = Tally()
    >>> tally.add("m", 3, "site=b", 70)
    >>> tally.add("m", 3, "site=a", 4)
    >>> tally.choose("m", 3, free=20), tally.pack("m", 3)
    (['site=b'], {'site=a': 4})
    """

    def __init__(self) -> None:
        self._counts: dict[tuple[str, int], dict[str, int]] = {}
        self.changed: set[tuple[str, int]] = set()

    def add(self, model: str, place: int, name: str, count: int) -> None:
        """Count rows of a name."""
        counts = self._counts.setdefault((model, place), {})
        counts[name] = counts.get(name, 0) + count
        self.changed.add((model, place))

    def __iter__(self) -> Iterator[tuple[str, int]]:
        return iter(sorted(self._counts))

    def choose(self, model: str, place: int, *, free: int) -> list[str]:
        """Take the largest names out, as many as there is room for and have enough rows."""
        counts = self._counts.pop((model, place))
        largest = sorted(counts, key=lambda name: (-counts[name], name))
        chosen = [name for name in largest[:free] if counts[name] >= _FEWEST_ROWS]
        rest = largest[len(chosen) : _MOST_COUNTED] if len(chosen) < free else []
        if rest:
            self._counts[model, place] = {name: counts[name] for name in rest}
        self.changed.add((model, place))
        return chosen

    def forget(self, wanted: Callable[[str, int], bool]) -> None:
        """Forget what is counted of models and places that nobody wants."""
        gone = [key for key in self._counts if not wanted(*key)]
        for key in gone:
            del self._counts[key]
        self.changed.update(gone)

    def pack(self, model: str, place: int) -> dict[str, int] | None:
        """Return what is counted in a form that msgpack can write; `None` for nothing."""
        return self._counts.get((model, place))

    def restore(self, model: str, place: int, packed: dict[str, int] | None) -> None:
        """Put back what `pack` returned."""
        if packed is None:
            self._counts.pop((model, place), None)
        else:
            self._counts[model, place] = dict(packed)
