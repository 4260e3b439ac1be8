"""What a family is: the columns that it needs, what it sees in rows, what it makes of cells.

A family is one file beside this one, and one line in the catalogue. It never sees models,
segments, panes, weights or partitions: it says of every row of a batch which bin or value it is,
and gets arrays back whose entries are all windows at once. All else follows from what it declares.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any, ClassVar, Literal, Protocol, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

Ints: TypeAlias = NDArray[np.int64]
Floats: TypeAlias = NDArray[np.float64]
Mask: TypeAlias = NDArray[np.bool_]
Observed: TypeAlias = NDArray[Any] | tuple[NDArray[Any], Ints]
"""What a column gets of every row: bins, values, or bins and amounts."""

CLASS_BITS = 12
CLASS_MASK = (1 << CLASS_BITS) - 1
"""Classes have codes below 4,096 within their model."""

OTHER = CLASS_MASK
OTHER_APART = CLASS_MASK - 1
"""Codes of classes beyond those that have their own; the second where label and answer differ."""

MOST_CODES = CLASS_MASK - 1
"""So many classes of a model get a code of their own."""

KINDS = ("binary", "probability", "multiclass", "regression", "text")
"""What `cells.kind` is the place in; see `streams.task`."""


class Reads(StrEnum):
    """What a family reads; fates are counted in the cells of predictions."""

    PREDICTIONS = "predictions"
    OUTCOMES = "outcomes"
    RESOURCES = "resources"
    FATES = "fates"


class Scope(StrEnum):
    """What a cell of a family is: a window, or a feature of one."""

    WINDOW = "window"
    FEATURE = "feature"


class Part(StrEnum):
    """What follows the name of a metric after a colon."""

    NONE = ""
    FEATURE = "feature"
    CLASS = "class"
    KEY = "key"


class Across(StrEnum):
    """Cells of what else than a window its family gets."""

    NOTHING = ""
    SEGMENTS = "segments"


PREDICTIONS, OUTCOMES, RESOURCES = Reads.PREDICTIONS, Reads.OUTCOMES, Reads.RESOURCES
FATES = Reads.FATES
WINDOW, FEATURE = Scope.WINDOW, Scope.FEATURE

ON_PREDICTIONS = frozenset({PREDICTIONS})
ON_LABELS = frozenset({OUTCOMES})
ON_READINGS = frozenset({RESOURCES})
ON_FATES = frozenset({FATES})

BINARY, MULTICLASS, REGRESSION, TEXT = "binary", "multiclass", "regression", "text"
EVERY_TASK = frozenset({BINARY, MULTICLASS, REGRESSION, TEXT})
CLASSIFICATION = frozenset({BINARY, MULTICLASS})


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
        What may follow the name: of features and of keys of segments it must, of classes it may,
        beside the mean over classes, if there are several.
    has_mean
        Of a metric of classes, whether models of several classes have the mean over them.
    tasks
        Kinds of models that have it, as they are told in `models: … task`.
    rests_on
        What must have come for it to have a value.
    compares
        Whether it needs a baseline.
    at_most
        What its `count` is never above: `predictions`, `labels`, or a column of its family.
    counts
        Whether it is a number of rows, which rests on nothing and goes with the window's length.
    grows
        Whether it goes with the window's length and has no reference: relative rules are refused.
    binned
        Whether values are middles of bins, see `streams.bins.value_bins`.
    headline
        Whether a summary of a few metrics shows it.
    default
        Whether it is published of models of which nothing else is said, see `streams.chosen`.
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
    has_mean: bool = True
    tasks: frozenset[str] = EVERY_TASK
    rests_on: frozenset[Reads] = ON_LABELS
    compares: bool = False
    at_most: str = ""
    counts: bool = False
    grows: bool = False
    binned: bool = False
    headline: bool = False
    default: bool = True
    source: str = ""

    @property
    def written(self) -> str:
        """The name as a placeholder shows it.

        Examples
        --------
        >>> Metric(name="mean", help="mean of a numeric feature", part=Part.FEATURE).written
        'mean:<feature>'
        """
        return f"{self.name}:<{self.part}>" if self.needs_part else self.name

    @property
    def needs_part(self) -> bool:
        """Whether the name alone is no metric."""
        return self.part in (Part.FEATURE, Part.KEY)

    @property
    def of_data(self) -> bool:
        """Whether it describes data, of which no value is better than another."""
        return self.better == "neither"


class Merged(Protocol):
    """Exact sums of many groups."""

    def means(self, counts: Ints) -> Floats:
        """Return the means of so many values, rounded once; NaN of none."""

    def totals(self, groups: Sequence[int]) -> list[int]:
        """Return the sums of some groups in units of 2**-1074."""


class Columns(Protocol):
    """Columns of many groups.

    Attributes
    ----------
    groups
        How many there are.
    """

    groups: int

    def counts(self, name: str) -> Ints:
        """Return the counts or totals of a column, groups x width."""

    def entries(self, name: str) -> tuple[Ints, Ints, Ints]:
        """Return group, bin and count of what is in a sparse column, by group, then bin."""

    def sums(self, name: str) -> Merged:
        """Return the sums of a column."""

    def features(self, name: str) -> tuple[Ints, Ints, Ints]:
        """Return group, feature and number of values, of a sparse column of features.

        Both rise; of families whose cells are windows.
        """


class Cells(Columns, Protocol):
    """What `compute` gets: arrays over all groups; a group is a window, or a feature of one.

    Attributes
    ----------
    predictions, labels
        Rows of the group's window.
    answered
        Its predictions without those whose request failed.
    kind, words
        What kind of model it is judged to be, as a place in `KINDS`, and whether it has a third
        class, beside which words stay words.
    positive
        Code of the positive class in `names`; -2 where there is no such name.
    names, two
        Names of classes, and of every name the code of what it is among two classes.
    baseline
        The same columns of what each group is compared with, empty where there is nothing; `None`
        where no group has anything.
    """

    names: list[str]

    @property
    def predictions(self) -> Ints: ...
    @property
    def answered(self) -> Ints: ...
    @property
    def labels(self) -> Ints: ...
    @property
    def kind(self) -> NDArray[np.int8]: ...
    @property
    def words(self) -> Mask: ...
    @property
    def positive(self) -> Ints: ...
    @property
    def two(self) -> Ints: ...
    @property
    def baseline(self) -> Columns | None: ...

    def classes(self, group: Ints, code: Ints) -> Ints:
        """Return codes in `names` for codes of classes within the models of groups."""

    def of_feature(self, name: str) -> Columns | None:
        """Return what windows have of a feature; `None` where none has it."""

    def wants(self, *metrics: str) -> bool:
        """Tell whether any of some metrics is asked for; what is not need not be computed."""


class Siblings(Cells, Protocol):
    """What `compute` gets of a family across segments: a group is a segment of a window.

    Attributes
    ----------
    wholes
        How many windows of whole models there are: the groups that estimates are of.
    whole
        Of every group, the place of its window among these; it rises.
    key
        Of every group, the code of the key of its segment, which is the part of estimates.
    """

    wholes: int
    whole: Ints
    key: Ints


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
        Code of the class of every entry in `cells.names`, or of the key of segments.
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
    across
        Whether it compares segments of a window: then `compute` gets `Siblings`.
    columns
        What is kept of every cell.
    uses
        Families whose columns it reads, too; all names of columns are different then.
    basic
        Whether all who read the same rows count it: others may ask how many there are.
    says
        Whether it goes by what labels say, and not by when they came.
    metrics
        In the order of publication.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    reads: ClassVar[Reads] = OUTCOMES
    scope: ClassVar[Scope] = WINDOW
    across: ClassVar[Across] = Across.NOTHING
    columns: ClassVar[Mapping[str, Column]] = {}
    uses: ClassVar[tuple[type["Family"], ...]] = ()
    basic: ClassVar[bool] = False
    says: ClassVar[bool] = True
    metrics: ClassVar[tuple[Metric, ...]] = ()

    def observe(self, rows: Any) -> Mapping[str, Observed]:  # noqa: ARG002  # it counts nothing
        """Say for every column the bin (-1: none) or value (NaN: none) of every row."""
        return {}

    def compute(self, cells: Cells) -> Iterator[Estimate]:  # noqa: ARG002  # it has no metric
        """Compute the metrics of many groups of cells at once."""
        return iter(())

    def holders(self) -> set[str]:
        """Return the names of the families whose columns it reads: its own, and what it uses."""
        return {self.name, *(used.name for used in self.uses)}

    def holder(self, column: str) -> str:
        """Return the name of the family whose column that is: this one, or one that it uses.

        Raises
        ------
        KeyError
            If neither declares it.
        """
        for one in (type(self), *self.uses):
            if column in one.columns:
                return one.name
        raise KeyError(f"family {self.name}: column {column!r} is not declared")


def labelled(cells: Cells, *kinds: str) -> Mask:
    """Tell which groups have labels and are of models of one of these kinds."""
    wanted = np.array([kind in kinds for kind in KINDS])
    found: Mask = (cells.labels > 0) & wanted[cells.kind]
    return found
