"""All families in one place, and what can be asked about their metrics by name."""

from collections.abc import Iterable, Iterator
from functools import cached_property

import numpy as np

from streams.classes import binary_name, class_name
from streams.families.family import Cells, Counts, Family, Ints, Metric, Part


class Catalogue:
    """Families in the order of publication.

    Raises
    ------
    ValueError
        If two families or two metrics have one name, if a family is used that is not listed
        before, or if a metric names a column of counts that there is not.
    """

    def __init__(self, families: Iterable[Family]) -> None:
        self.families = tuple(families)
        known: set[str] = set()
        before: set[type[Family]] = set()
        for family in self.families:
            for name in (f"family {family.name}", *(f"metric {m.name}" for m in family.metrics)):
                if name in known:
                    raise ValueError(f"{name} is there twice")
                known.add(name)
            _check(family, before)
            before.add(type(family))

    def with_family(self, family: Family) -> "Catalogue":
        """Return a catalogue that has one more, at the end."""
        return Catalogue((*self.families, family))

    @cached_property
    def metrics(self) -> dict[str, Metric]:
        """Every metric by its name, in the order of publication."""
        return {metric.name: metric for family in self.families for metric in family.metrics}

    def metric(self, text: str) -> Metric | None:
        """Return what is known about a metric, written with or without a part.

        Examples
        --------
        >>> from streams import families
        >>> families.CATALOGUE.metric("mean:age").help
        'mean of a numeric feature'
        """
        return self.metrics.get(text.partition(":")[0])

    def family_of(self, text: str) -> Family | None:
        """Return the family that computes a metric."""
        return self._family_of.get(text.partition(":")[0])

    def needed(self, metrics: Iterable[str]) -> tuple[Family, ...]:
        """Return the families that must be computed for some metrics, in their order.

        Examples
        --------
        >>> from streams import families
        >>> [one.name for one in families.CATALOGUE.needed(["mae", "recall:cat", "bias"])]
        ['classification', 'regression']
        """
        wanted = {self.family_of(metric) for metric in metrics}
        return tuple(family for family in self.families if family in wanted)

    def merged(self, families: Iterable[Family]) -> tuple[Family, ...]:
        """Return the families whose columns are read where these are computed."""
        families = tuple(families)
        wanted = {used for family in families for used in (type(family), *family.uses)}
        reads = {family.reads for family in families}
        return tuple(
            family
            for family in self.families
            if type(family) in wanted or (family.basic and family.reads in reads)
        )

    def most_observations(self, text: str, cells: Cells) -> Ints:
        """Return how many observations a metric rests on, at most, in every group.

        To add them up costs far less than to compute the metric.

        Parameters
        ----------
        cells
            Of the family that computes it.
        """
        bound = self.metrics[text.partition(":")[0]].at_most
        if bound in _ROWS:
            found: Ints = getattr(cells, bound)
            return found
        if bound:
            return np.asarray(cells.counts(bound).sum(axis=1))
        return np.full(cells.groups, np.iinfo(np.int64).max)

    def spellings(self, text: str) -> tuple[str, ...]:
        """Return the names under which a metric may be published, the first that is there counts.

        The class of a metric may be written as any of its values.

        Examples
        --------
        >>> from streams import families
        >>> families.CATALOGUE.spellings("recall:Yes"), families.CATALOGUE.spellings("mean:Yes")
        (('recall:yes', 'recall:1'), ('mean:Yes',))
        """
        base, colon, part = text.partition(":")
        about = self.metrics.get(base)
        if not colon or about is None or about.part is not Part.CLASS:
            return (text,)
        name = class_name(part)
        return tuple(dict.fromkeys((f"{base}:{name}", f"{base}:{binary_name(name)}")))

    def of_part(self, part: Part) -> frozenset[str]:
        """Return the names of the metrics that such a part may follow."""
        return frozenset(name for name, metric in self.metrics.items() if metric.part is part)

    @cached_property
    def _family_of(self) -> dict[str, Family]:
        return {metric.name: family for family in self.families for metric in family.metrics}


_ROWS = ("predictions", "labels")


def _check(family: Family, before: set[type[Family]]) -> None:
    missing = [used.name for used in family.uses if used not in before]
    if missing:
        raise ValueError(f"family {family.name}: {missing[0]}, which it uses, is not listed before")
    columns = [name for one in (type(family), *family.uses) for name in one.columns]
    twice = [name for name in columns if columns.count(name) > 1]
    if twice:
        raise ValueError(f"family {family.name}: two columns are called {twice[0]}")
    for metric in family.metrics:
        if metric.at_most and metric.at_most not in _bounds(family):
            raise ValueError(f"metric {metric.name}: there are no counts {metric.at_most!r}")


def _bounds(family: Family) -> Iterator[str]:
    yield from _ROWS
    for one in (type(family), *family.uses):
        yield from (name for name, column in one.columns.items() if isinstance(column, Counts))
