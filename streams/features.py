"""Features of many predictions as matrices: one for all rows that name the same features.

Most models send the same features with every prediction, so that a batch has a few matrices,
however many rows it has.
"""

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from streams.categories import category
from streams.events import ABSENT

Features: TypeAlias = Mapping[str, float | bool | str | None] | None

MOST_BLOCKS = 64
"""Rows that name ever other features are put into one matrix rather than one each."""

# A matrix may be so much larger than what it holds: names that never come twice would fill any
# memory, at 20,000 rows of 100 features each some 300 GB.
_SPARSEST, _ALWAYS_CELLS = 64, 1_000_000


class Block(NamedTuple):
    """Rows that name the same features.

    Attributes
    ----------
    names
        Of the columns.
    rows
        Numbers of the predictions.
    values
        Rows x names. NaN is null or a text, see `streams.categories`; minus infinity is not named.
    """

    names: tuple[str, ...]
    rows: NDArray[np.int64]
    values: NDArray[np.float64]


def blocks_of(features: Sequence[Features]) -> list[Block]:
    """Lay features out; rows without any are in no block.

    Examples
    --------
    >>> [block] = blocks_of([None, {"age": 3.0, "city": "Rome", "vip": True, "debt": None}])
    >>> block.names, block.rows.tolist(), block.values.tolist()
    (('age', 'city', 'vip', 'debt'), [1], [[3.0, nan, 1.0, nan]])
    """
    layouts = [tuple(row) if row else () for row in features]
    first = layouts[0] if layouts else ()
    if first and layouts.count(first) == len(layouts):
        return [Block(first, np.arange(len(layouts)), _matrix(features, len(first)))]
    members: dict[tuple[str, ...], list[int]] = {}
    for row, layout in enumerate(layouts):
        if layout:
            members.setdefault(layout, []).append(row)
    blocks = [
        Block(names, np.array(rows), _matrix([features[row] for row in rows], len(names)))
        for names, rows in members.items()
    ]
    return _few(blocks)


def choose(blocks: Sequence[Block], chosen: NDArray[np.int64], *, count: int) -> list[Block]:
    """Return blocks of the chosen ones among `count` rows, which get new numbers, from 0."""
    number = np.full(count, -1)
    number[chosen] = np.arange(len(chosen))
    kept = []
    for names, rows, values in blocks:
        new = number[rows]
        inside = new >= 0
        if inside.all():
            kept.append(Block(names, new, values))
        elif inside.any():
            kept.append(Block(names, new[inside], values[inside]))
    return kept


def merged(parts: Sequence[tuple[Sequence[Block], int]]) -> list[Block]:
    """Put the blocks of batches together; every batch comes with its number of rows."""
    if len(parts) == 1:
        return list(parts[0][0])
    found: dict[tuple[str, ...], list[Block]] = {}
    start = 0
    for blocks, count in parts:
        for names, rows, values in blocks:
            found.setdefault(names, []).append(Block(names, rows + start, values))
        start += count
    together = [_stacked(blocks) for blocks in found.values()]
    return _few(together)


def _stacked(blocks: Sequence[Block]) -> Block:
    if len(blocks) == 1:
        return blocks[0]
    rows = np.concatenate([block.rows for block in blocks])
    return Block(blocks[0].names, rows, np.concatenate([block.values for block in blocks]))


def _few(blocks: list[Block]) -> list[Block]:
    """Put ever other features into one matrix, unless it would hold next to nothing."""
    if len(blocks) <= MOST_BLOCKS:
        return blocks
    names = {name for block in blocks for name in block.names}
    cells = sum(len(block.rows) for block in blocks) * len(names)
    used = sum(block.values.size for block in blocks)
    return blocks if cells > max(_SPARSEST * used, _ALWAYS_CELLS) else [_united(blocks, names)]


def _united(blocks: Sequence[Block], names: set[str]) -> Block:
    """Put rows that name different features into one matrix."""
    columns = {name: index for index, name in enumerate(sorted(names))}
    values = np.full((sum(len(block.rows) for block in blocks), len(columns)), ABSENT)
    start = 0
    for block in blocks:
        end = start + len(block.rows)
        values[start:end, [columns[name] for name in block.names]] = block.values
        start = end
    return Block(tuple(columns), np.concatenate([block.rows for block in blocks]), values)


def _matrix(rows: Sequence[Features], width: int) -> NDArray[np.float64]:
    every = list(chain.from_iterable(row.values() for row in rows))  # type: ignore[union-attr]
    kinds = set(map(type, every))
    if kinds == {float}:
        values = np.fromiter(every, np.float64, len(every))
    elif str in kinds:
        plain = [category(value) if type(value) is str else value for value in every]
        values = np.array(plain, np.float64)
    else:
        values = np.array(every, np.float64)  # None becomes NaN
    return values.reshape(len(rows), width)
