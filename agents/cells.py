"""What the cells of a table mean: decided by the whole column, not by one cell.

A CSV has nothing but text. Read cell by cell, "01" and "1" are one class, the age band "18_24" is
class 1824, and a class "1.5" beside "A" turns a window into a regression. So a first pass looks at
all of a column, and prediction and label, which are compared, are decided together: they are
numbers if every cell of both is one, and text otherwise. Only predictions with fractions
beside labels that are words, such as 0.83 and "fraud", are numbers all the same: probabilities.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

MISSING = ("NA", "N/A", "n/a", "#N/A", "<NA>", "NULL", "null", "None", r"\N", "nan", "NaN", "NaT")
"""What R, pandas, Excel, SQL clients and Python's `str` write where there is nothing."""

Place: TypeAlias = str
"""Where a cell is, for people: `answers.csv:17: label`."""

_SHAPE = re.compile(
    r"""
    (?P<whole>     [-+]?(?:0|[1-9][0-9]{0,17}))
  | (?P<real>      [-+]?(?:(?:0|[1-9][0-9]*)\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]{1,3})?
                 | [-+]?(?:0|[1-9][0-9]*)[eE][-+][0-9]{1,3})
  | (?P<doubtful>  [-+]?[1-9][0-9]*(?:[eE][0-9]{1,3})?)
  | (?P<infinite>  [-+]?(?:inf|Inf|INF|infinity|Infinity))
  | (?P<separated> [-+]?[0-9]{1,3}(?:(?P<by>[ ,.'’\u00a0\u202f])[0-9]{3})(?:(?P=by)[0-9]{3})*
                   (?:[.,][0-9]+)?
                 | [-+]?[0-9]+,[0-9]+)
    """,
    re.VERBOSE,
)
_BOOLEANS = {"true": True, "false": False}
_LONGEST_NUMBER = 300
_BEYOND = 2**63  # JSON of larger whole numbers is read by nobody


def shape(text: str) -> str:
    """Name what a cell looks like.

    Returns
    -------
    str
        ``whole``; ``real``; ``doubtful``, a number to some and a code to others (1E3, an id of 20
        digits); ``infinite``; ``separated``, with a thousands separator or a decimal comma; else
        ``text``.

    Examples
    --------
    >>> [shape(text) for text in ("-1", "1e-05", "1E3", "1,234.5", "01", "18_24", "A")]
    ['whole', 'real', 'doubtful', 'separated', 'text', 'text', 'text']
    """
    found = _SHAPE.fullmatch(text)
    return found.lastgroup or "text" if found else "text"


class Looks:
    """What the cells of a column, or of some that belong together, look like.

    Attributes
    ----------
    first
        The first cell of each shape, and where it is.
    """

    def __init__(self) -> None:
        self.first: dict[str, tuple[str, Place]] = {}

    def see(self, cells: Iterable[Any], place: Callable[[str], Place]) -> None:
        """Look at more cells; what is not text has a type already.

        Parameters
        ----------
        place
            Tells where a cell is; asked only for the first of a shape.
        """
        for text in set(cells):
            if isinstance(text, str) and (found := shape(text)) not in self.first:
                self.first[found] = text, place(text)

    @property
    def numeric(self) -> bool:
        """Whether numbers are meant, by a group of which all cells must be."""
        if "text" in self.first:
            return False
        # 1E3 beside 2.5 is a thousand; beside 12 and 7B, or alone, it is a code. Likewise `inf`.
        return "real" in self.first or self.first.keys().isdisjoint({"doubtful", "infinite"})

    def beside(self, other: Looks) -> Looks:
        """Return what the cells of both look like together."""
        both = Looks()
        both.first = other.first | self.first
        return both

    def probable_beside(self, labels: Looks) -> bool:
        """Whether predictions with fractions are numbers, since all labels are words."""
        return self.numeric and "real" in self.first and labels.first.keys() == {"text"}


def number(text: str) -> int | float | str:
    """Read a number, or leave text as it is.

    Examples
    --------
    >>> number("12"), number("1e3"), number("18_24")
    (12, 1000.0, '18_24')
    """
    if len(text) > _LONGEST_NUMBER:
        return text
    if "_" in text or not text.isascii():
        return text
    try:
        whole = int(text)
    except ValueError:
        pass
    else:
        return whole if abs(whole) < _BEYOND else float(whole)
    try:
        return float(text)
    except ValueError:
        return text


def values(cells: Sequence[Any], *, numeric: bool) -> list[Any]:
    """Read predictions or labels."""
    return [number(cell) if numeric and isinstance(cell, str) else cell for cell in cells]


def measurements(cells: Sequence[Any]) -> list[Any]:
    """Read a score or a feature: numbers and booleans where they are, text where it is not.

    A bad cell costs itself, not the column.
    """
    return [_measurement(cell) if isinstance(cell, str) else cell for cell in cells]


def _measurement(text: str) -> Any:
    found = _BOOLEANS.get(text.lower())
    if found is not None:
        return found
    value = number(text)
    return None if isinstance(value, float) and not math.isfinite(value) else value
