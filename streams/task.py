"""What kind of model it is, told or judged by what it predicts."""

from collections.abc import Iterable
from typing import NamedTuple

_POSITIVE = ("1", "true", "yes", "positive")
_NEGATIVE = ("0", "-1", "false", "no", "negative")


class Task(NamedTuple):
    """What kind of model it is.

    Attributes
    ----------
    kind
        `auto`, `binary`, `multiclass` or `regression`; `auto` judges each window by its content.
    positive
        Name of the positive class; `None` accepts `1 true yes positive`.
    """

    kind: str = "auto"
    positive: str | None = None

    @property
    def positives(self) -> frozenset[str]:
        """Names of the positive class."""
        return frozenset(_POSITIVE if self.positive is None else (self.positive,))

    def of(self, confusion: Iterable[tuple[str, str]], *, real: int) -> str:
        """Return `binary`, `multiclass` or `regression` for a window with this content.

        Parameters
        ----------
        confusion
            Pairs of predicted and true class that occur.
        real
            How many outcomes only make sense as a regression.
        """
        if self.kind != "auto":
            return self.kind
        if real:
            return "regression"
        classes = {name for pair in confusion for name in pair}
        if self.positive is not None:
            return "binary" if len(classes | {self.positive}) <= 2 else "multiclass"
        lower = {name.lower() for name in classes}
        two = len(lower & set(_POSITIVE)) <= 1 and len(lower & set(_NEGATIVE)) <= 1
        return "binary" if two and lower <= {*_POSITIVE, *_NEGATIVE} else "multiclass"
