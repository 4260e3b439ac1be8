"""What a family is: the columns that it needs, what it sees in rows, what it makes of cells.

A family is one file beside this one, and one line in the catalogue. It never sees models,
segments, panes, weights or partitions: it says of every row of a batch which bin or value it is,
and gets arrays back whose entries are all windows at once. Counting, merging, taking back, packing,
rules, their validation and the docs follow from what it declares.
"""

import math
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any, ClassVar, Literal, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

Ints: TypeAlias = NDArray[np.int64]
Floats: TypeAlias = NDArray[np.float64]
Observed: TypeAlias = NDArray[Any] | tuple[NDArray[Any], Ints]
"""What a column gets of every row: bins, values, or bins and amounts."""


class Reads(StrEnum):
    """What a family reads."""

    PREDICTIONS = "predictions"
    OUTCOMES = "outcomes"


class Scope(StrEnum):
    """What a cell of a family is: a window, or a feature of one."""

    WINDOW = "window"
    FEATURE = "feature"


class Part(StrEnum):
    """What follows the name of a metric after a colon."""

    NONE = ""
    FEATURE = "feature"
    CLASS = "class"


PREDICTIONS, OUTCOMES = Reads.PREDICTIONS, Reads.OUTCOMES
WINDOW, FEATURE = Scope.WINDOW, Scope.FEATURE

ON_PREDICTIONS = frozenset({PREDICTIONS})
ON_LABELS = frozenset({OUTCOMES})

BINARY, MULTICLASS, REGRESSION = "binary", "multiclass", "regression"
EVERY_TASK = frozenset({BINARY, MULTICLASS, REGRESSION})
CLASSIFICATION = frozenset({BINARY, MULTICLASS})


# --- columns


class Counts(msgspec.Struct, frozen=True):
    """How many rows were in each of a few bins."""

    width: int = 1


class Totals(msgspec.Struct, frozen=True):
    """Sums of whole numbers, in each of a few bins."""

    width: int = 1


class Sparse(msgspec.Struct, frozen=True):
    """How many rows were in each of many bins, below 2**32, of which most are empty."""


class Sums(msgspec.Struct, frozen=True):
    """Sums of numbers, exact."""


Column: TypeAlias = Counts | Totals | Sparse | Sums


# --- metrics


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """What is known about a metric, apart from its value: whoever asks about metrics reads this.

    Attributes
    ----------
    help
        What it is, without a full stop.
    better
        Which values are better; a rule on a metric that is neither says that data *changed*,
        others that something is *worse*.
    interval
        Where `low` and `high` come from; `None` if there are none.
    lowest, highest
        No value is beyond these.
    part
        What may follow the name: of features it must, of classes it may, beside the mean over
        classes, if there are several.
    tasks
        Kinds of models that have it, as they are told in `models: … task`.
    rests_on
        What must have come for it to have a value.
    at_most
        What its `count` is never above: `predictions`, `labels`, or a column of counts of its
        family; empty where only computing it tells.
    counts
        Whether it is a number of rows, which rests on nothing and goes with the window's length.
    binned
        Whether values are middles of bins, see `streams.bins.value_bins`.
    headline
        Whether a summary of a few metrics shows it.
    source
        Author and year of the formula or of the interval.
    """

    name: str
    help: str
    unit: str = ""
    better: Literal["higher", "lower", "nearer zero", "neither"] = "neither"
    interval: str | None = None
    lowest: float = 0.0
    highest: float = math.inf
    part: Part = Part.NONE
    tasks: frozenset[str] = EVERY_TASK
    rests_on: frozenset[Reads] = ON_LABELS
    at_most: str = ""
    counts: bool = False
    binned: bool = False
    headline: bool = False
    source: str = ""

    @property
    def written(self) -> str:
        """The name as a placeholder shows it.

        Examples
        --------
        >>> Metric(name="mean", help="mean of a numeric feature", part=Part.FEATURE).written
        'mean:<feature>'
        """
        return f"{self.name}:<{self.part}>" if self.part is Part.FEATURE else self.name

    @property
    def of_data(self) -> bool:
        """Whether it describes data, of which no value is better than another."""
        return self.better == "neither"


class Estimate(msgspec.Struct, frozen=True):
    """A metric of many windows at once.

    Attributes
    ----------
    metric
        Name, without a part.
    value
        NaN where there is none.
    low, high
        95 % confidence interval, NaN where there is none; `None` if nowhere.
    count
        Observations that each value rests on.
    group
        Index of the group of every entry; `None` if there is one entry a group, in order.
    part
        For metrics of classes, the code of the class of every entry in `cells.names`.
    """

    metric: str
    value: Floats
    low: Floats | None
    high: Floats | None
    count: Ints
    group: Ints | None = None
    part: Ints | None = None


class Family:
    """Metrics that are counted together.

    Attributes
    ----------
    name
        Of its file, and of its part of the state.
    version
        A changed version restarts this family alone, at the next pane.
    reads, scope
        What its rows are, and what its cells are.
    columns
        What is kept of every cell.
    uses
        Families whose columns it reads, too; all names of columns are different then.
    metrics
        In the order of publication.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    reads: ClassVar[Reads] = OUTCOMES
    scope: ClassVar[Scope] = WINDOW
    columns: ClassVar[Mapping[str, Column]] = {}
    uses: ClassVar[tuple[type["Family"], ...]] = ()
    metrics: ClassVar[tuple[Metric, ...]] = ()

    def observe(self, rows: Any) -> Mapping[str, Observed]:  # noqa: ARG002  # it counts nothing
        """Say for every column the bin (-1: none) or value (NaN: none) of every row."""
        return {}

    def compute(self, cells: Any) -> Iterator[Estimate]:  # noqa: ARG002  # it has no metric
        """Compute the metrics of many groups of cells at once."""
        return iter(())
