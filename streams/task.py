"""What kind of model it is, told or judged by what it predicts."""

from collections.abc import Iterable
from typing import NamedTuple

from streams.classes import NEGATIVE, POSITIVE, binary_name

_BINARY = (frozenset({POSITIVE, NEGATIVE}), frozenset({POSITIVE, "-1"}))


class Task(NamedTuple):
    """What kind of model it is.

    Attributes
    ----------
    kind
        `auto`, `binary`, `multiclass` or `regression`; `auto` judges each window by its content.
    positive
        Name of the positive class; `None` for 1, which `true yes positive` are, too.
    """

    kind: str = "auto"
    positive: str | None = None

    @property
    def positive_class(self) -> str:
        """What the positive class is among two classes."""
        return POSITIVE if self.positive is None else binary_name(self.positive)

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
        classes = {binary_name(name) for pair in confusion for name in pair}
        if self.positive is not None:
            return "binary" if len(classes | {self.positive_class}) <= 2 else "multiclass"
        return "binary" if any(classes <= both for both in _BINARY) else "multiclass"
