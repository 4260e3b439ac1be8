"""Which metrics are published of which model, and which families are counted for that.

What is published costs: a record for each metric, feature and window. So some metrics are published
only where somebody asks for them, and any can be left out. Families of which no model has a metric,
and no rule asks, are neither observed nor counted.
"""

import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from streams import families
from streams.cells.names import grown
from streams.errors import ConfigError
from streams.families.family import Family
from streams.nearest import nearest

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

ALL = "all"
"""Stands for every metric."""


class Choice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Metrics that models have beside the usual ones, and such that they have not.

    Attributes
    ----------
    model
        Pattern of names.
    include, exclude
        Names of metrics, without features or classes; `all` for every one. What is included stays,
        whatever is excluded beside it.
    """

    model: str = "*"
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def of(self, before: frozenset[str]) -> frozenset[str]:
        """Return what models have that it is for, and that had these."""
        every = frozenset(families.CATALOGUE.metrics)
        left = frozenset() if ALL in self.exclude else before - set(self.exclude)
        return every if ALL in self.include else left | set(self.include)


def check_choice(choice: Choice) -> None:
    """Refuse metrics that there are not, and such as are both included and excluded.

    Raises
    ------
    ConfigError
        Naming the metric and the fix.

    Examples
    --------
    >>> check_choice(Choice(include=("wasserstien",)))
    Traceback (most recent call last):
    streams.errors.ConfigError: metrics: include: 'wasserstien' is unknown; did you mean \
wasserstein?
    """
    for key in ("include", "exclude"):
        for name in getattr(choice, key):
            base = name.partition(":")[0]
            if name != ALL and name not in families.CATALOGUE.metrics:
                known = nearest(name, [*families.CATALOGUE.metrics, ALL])
                if base in families.CATALOGUE.metrics:
                    known = f": a metric is chosen for all features and classes; write {base}"
                raise ConfigError(f"metrics: {key}: {name!r} is unknown{known}")
    both = sorted(set(choice.include) & set(choice.exclude))
    if both:
        raise ConfigError(
            f"metrics: {both[0]!r} is included and excluded for model {choice.model!r}; leave out"
            " one of them"
        )


def published(choices: Sequence[Choice], model: str) -> frozenset[str]:
    """Return the metrics of a model: the usual ones, then what is said of it, one after the other.

    Examples
    --------
    >>> only = Choice(exclude=("all",), include=("accuracy",))
    >>> sorted(published([only, Choice(model="fraud-*", include=("recall",))], "fraud-eu"))
    ['accuracy', 'recall']
    """
    found = usual()
    for choice in choices:
        if fnmatch.fnmatchcase(model, choice.model):
            found = choice.of(found)
    return found


def usual() -> frozenset[str]:
    """Return the metrics of a model of which nothing is said."""
    return frozenset(n for n, metric in families.CATALOGUE.metrics.items() if metric.default)


def counted(choices: Sequence[Choice], asked: Iterable[str]) -> tuple[Family, ...]:
    """Return the families that must be counted: a model may have a metric of them, or a rule asks.

    Parameters
    ----------
    asked
        Metrics of rules.
    """
    possible = usual()
    for choice in choices:
        changed = choice.of(possible)
        possible = changed if choice.model == "*" else possible | changed
    catalogue = families.CATALOGUE
    return catalogue.merged(catalogue.needed([*possible, *asked]))


def check_counted(own: Iterable[Family], asked: Iterable[tuple[str, str]]) -> None:
    """Refuse rules on metrics of which nothing is counted.

    Parameters
    ----------
    own
        Families that are counted.
    asked
        Names of rules, and their metrics.

    Raises
    ------
    ConfigError
        Naming the rule and the fix.
    """
    there = set(own)
    for rule, metric in asked:
        if not there.issuperset(families.CATALOGUE.merged(families.CATALOGUE.needed([metric]))):
            base = metric.partition(":")[0]
            raise ConfigError(
                f"threshold {rule!r}: metric: {metric!r} is not counted, since workers leave it"
                f" out: let the metrics of their monitors file include {base}, and start them again"
            )


class Wanted(NamedTuple):
    """Which metrics are asked of some windows.

    Attributes
    ----------
    names
        Those that are asked of any of them.
    masks
        By metric, of which windows; what is not in it is asked of all.
    """

    names: frozenset[str]
    masks: Mapping[str, Mask]


class Chosen:
    """What is published of the models of a partition, by their codes."""

    def __init__(self, choices: Sequence[Choice]) -> None:
        self._choices = tuple(choices)
        self._sets: list[frozenset[str]] = [usual()]
        self._set_of = np.empty(0, np.int64)

    def put(self, code: int, model: str) -> None:
        """Let a code be that of a model."""
        self._set_of = grown(self._set_of, code + 1)
        found = published(self._choices, model)
        if found not in self._sets:
            self._sets.append(found)
        self._set_of[code] = self._sets.index(found)

    def wanted(self, models: Ints) -> Wanted:
        """Return what is asked of windows, by their models."""
        if len(self._sets) == 1:
            return Wanted(self._sets[0], {})
        own = self._set_of[models]
        places = np.unique(own).tolist()
        sets = [self._sets[place] for place in places]
        names, common = frozenset().union(*sets), frozenset.intersection(*sets)
        masks = {
            name: np.isin(own, [p for p, one in zip(places, sets, strict=True) if name in one])
            for name in names - common
        }
        return Wanted(names, masks)
