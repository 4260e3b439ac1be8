"""Features as what they add to lanes: numbers, categories, texts among numbers, what is missing.

A feature that had texts on its first day, and hardly any numbers, has categories: a number is then
one more that nobody has seen.
"""

from collections.abc import Sequence

import numpy as np

from streams.categories import are_null, codes
from streams.events import ABSENT
from streams.features import Block
from streams.grouping import distinct
from streams.outcomes import PredictionRows
from streams.scan import inputs
from streams.scan.filling import Filling, Numbers
from streams.scan.lanes import Ints, Mask
from streams.scan.panes import UNIT


def feed_features(
    filling: Filling, rows: PredictionRows, own: Ints, *, groups: Ints, blocks: Sequence[Block]
) -> None:
    """Add the features of some predictions.

    Parameters
    ----------
    own
        Which rows; blocks count in these.
    groups
        By code, the number of the model.
    """
    for block in blocks:
        every = own[block.rows]
        models, runs = distinct(groups[rows.model[every]])
        ties = rows.tie[every]
        for place, name in enumerate(block.names):
            values = np.ascontiguousarray(block.values[:, place])
            _feature(filling, name, Numbers(models, runs, ties, values))


def _feature(filling: Filling, name: str, given: Numbers) -> None:
    numbers = np.isfinite(given.values)
    sets = filling.known(inputs.UNSEEN, name, given.groups) >= 0
    if numbers.all() and not sets.any():
        filling.add_ranked(inputs.FEATURE, name, given)
        _present(filling, name, given, numbers)
        return
    category = codes(given.values)
    ranked = filling.has_table(inputs.FEATURE, name, given.groups)
    categorical = filling.is_final(inputs.UNSEEN, name, given.groups) & ~ranked
    texts, runs = category >= 0, given.runs
    _texts_among_numbers(filling, name, given, texts & ranked[runs])
    of_sets = texts & (sets | ~ranked)[runs] | numbers & categorical[runs]
    if of_sets.any():
        seen = given._replace(values=category.astype(np.float64))
        filling.add_categories(inputs.UNSEEN, name, seen.kept(of_sets))
    rest = numbers & ~categorical[runs]
    if rest.any():
        filling.add_ranked(inputs.FEATURE, name, given.kept(rest))
    _present(filling, name, given, (given.values != ABSENT) & ~are_null(given.values))


def _texts_among_numbers(filling: Filling, name: str, given: Numbers, texts: Mask) -> None:
    """Add texts of features that have ranks; rows of numbers are added as the pane ends."""
    counts = np.bincount(given.runs[texts], minlength=len(given.groups))
    some = counts > 0
    if some.any():
        lanes = filling.lanes_of(inputs.TYPE, name, given.groups[some])
        filling.add(lanes, counts[some], counts[some] * UNIT)


def _present(filling: Filling, name: str, given: Numbers, there: Mask) -> None:
    """Add how often a feature is there."""
    counts = np.bincount(given.runs[there], minlength=len(given.groups))
    lanes = filling.lanes_of(inputs.MISSING, name, given.groups)
    filling.add(lanes, np.zeros_like(counts), counts * UNIT)
