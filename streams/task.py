"""What kind of model it is: told, or judged by what it has shown.

A judgement rests on everything that the model has shown until a moment, never on one window, and
rises with the evidence, in one direction only:

    binary  <  probability  <  multiclass  <  text, regression

so that a quiet window, with one class by chance, is judged like all others. While one class alone
has been shown that is no usual one, nothing is decided: it is shown like several classes.
"""

from functools import lru_cache
from typing import NamedTuple

from streams.classes import NEGATIVE, POSITIVE, binary_name

MOST_CLASSES = 2
MOST_NUMBERS = 20
"""More different whole numbers than these, as predictions and as labels, are no classes."""

TEXT = "text"


class Caps(NamedTuple):
    """How much of one model is watched.

    Attributes
    ----------
    classes
        A model with more different ones is text, unless it is told what it is.
    features, segments
        So many are watched; of others, the first in event time.
    """

    classes: int = 1_000
    features: int = 1_000
    segments: int = 1_000


CAPS = Caps()

TWO, WORDS, CHANCE, DISTANCE = range(4)
MEASURES = 1, 1, 2, 3
"""Of these ways to measure a loss, which give comparable losses: from 1."""

_BINARY = (frozenset({POSITIVE, NEGATIVE}), frozenset({POSITIVE, "-1"}))
_USUAL = frozenset({POSITIVE, "fraud", "spam", "churn", "default"})


class Evidence(NamedTuple):
    """What labelled predictions of a model have shown until some moment.

    Attributes
    ----------
    classes, labels
        Names among two classes, of predictions and labels, and of labels; of many, three.
    text
        Whether there were more different classes than a model may have.
    many
        Whether predictions without a score and their labels each have had over `MOST_NUMBERS`
        different whole numbers.
    real
        Whether there was a fraction, without a score, that can be no probability.
    chance
        Whether a prediction was between 0 and 1.
    bare
        Whether such a prediction had no score, and a number as label.
    beyond
        Whether a prediction was anything but a number from 0 to 1.
    """

    classes: frozenset[str] = frozenset()
    labels: frozenset[str] = frozenset()
    many: bool = False
    text: bool = False
    real: bool = False
    chance: bool = False
    bare: bool = False
    beyond: bool = False


class Judged(NamedTuple):
    """What kind of model it is, and why.

    Attributes
    ----------
    kind
        `binary`, `probability` (binary, but predictions are chances and no classes), `multiclass`,
        `regression` or `text`.
    positive
        The positive class among two.
    words
        Whether there is a third class, beside which words stay words.
    """

    kind: str
    reason: str
    positive: str = POSITIVE
    words: bool = False

    @property
    def name(self) -> str:
        """All that a number may depend on, as one text."""
        return f"{self.kind}{' of words' if self.words else ''}: {self.positive}"

    @property
    def is_last(self) -> bool:
        """Whether nothing that is shown later changes it."""
        return self.kind in ("regression", TEXT)

    @property
    def loss_way(self) -> int:
        """How the loss is measured, as a number: `TWO`, `WORDS`, `CHANCE` or `DISTANCE`."""
        if self.kind == "probability":
            return CHANCE
        if self.kind == "regression":
            return DISTANCE
        return WORDS if self.words else TWO

    def differs(self, other: "Judged") -> bool:
        """Tell whether any number may depend on which of the two it is."""
        return self.name != other.name

    def __str__(self) -> str:
        shown = {"probability": "binary, predicted as a probability"}.get(self.kind, self.kind)
        two = self.kind in ("binary", "probability")
        positive = f", positive class {self.positive!r}" if two else ""
        return f"{shown}{positive}: {self.reason}"


class Task(NamedTuple):
    """What a model is told to be.

    Attributes
    ----------
    kind
        `auto`, `binary`, `multiclass`, `regression` or `text`; `auto` judges by what it shows.
    positive
        Name of the positive class; `None` to look for a usual one.
    """

    kind: str = "auto"
    positive: str | None = None

    def judge(self, shown: Evidence) -> Judged:
        """Say what kind of model it is; most models of many show what others have shown.

        Examples
        --------
        >>> Task().judge(Evidence(classes=frozenset({"1", "0"}))).kind
        'binary'
        >>> str(Task().judge(Evidence(classes=frozenset({"Fraud", "legit"}))))
        "binary, positive class 'Fraud': its classes are 'Fraud' and 'legit'"
        """
        return _judged(self, shown)

    def judge_anew(self, shown: Evidence) -> Judged:
        """Say what kind of model it is, without asking what was said of others."""
        words = len(shown.classes) > MOST_CLASSES
        if self.kind == "binary":
            positive = self._positive(shown.labels) or self._positive(shown.classes) or POSITIVE
            kind = "probability" if shown.chance else "binary"
            return Judged(kind, "it is told so", positive)
        if self.kind != "auto":
            return Judged(self.kind, "it is told so", words=words or self.kind == TEXT)
        return self._guess(shown)

    def is_positive(self, name: str) -> bool:
        """Tell whether a class, by its name, is the positive one, if the model is binary."""
        two = binary_name(name)
        if self.positive is not None:
            return two == binary_name(self.positive)
        return two.lower() in _USUAL

    def _guess(self, shown: Evidence) -> Judged:
        positive = self._positive(shown.labels)
        # Labels of one class alone, such as *legit*, say nothing yet; numbers may be anything.
        single = len(shown.labels) == 1 and not shown.bare
        chances = shown.chance and not shown.beyond and (positive is not None or single)
        if shown.real or (shown.bare and not chances):
            return Judged("regression", "it has fractions without a score")
        if chances:
            reason = f"predictions are between 0 and 1, {_classes(shown.labels, 'labels')}"
            return Judged("probability", reason, positive or POSITIVE)
        if shown.many:
            reason = f"over {MOST_NUMBERS} different whole numbers are predicted and true"
            return Judged("regression", f"{reason}, without a score")
        if shown.text:
            return Judged(TEXT, "it has more different classes than a classifier", words=True)
        positive = self._positive(shown.classes)
        reason = _classes(shown.classes, "its classes")
        if positive is not None:
            return Judged("binary", reason, positive)
        return Judged("multiclass", reason, words=len(shown.classes) > MOST_CLASSES)

    def _positive(self, classes: frozenset[str]) -> str | None:
        """Return the positive class of a binary model with these; `None` if they are of none."""
        if self.positive is not None:
            name = binary_name(self.positive)
            return name if len(classes | {name}) <= MOST_CLASSES or self.kind == "binary" else None
        if any(classes <= both for both in _BINARY):
            return POSITIVE
        usual = [name for name in classes if self.is_positive(name)]
        return usual[0] if len(classes) <= MOST_CLASSES and len(usual) == 1 else None


@lru_cache(maxsize=1_000)
def _judged(task: Task, shown: Evidence) -> Judged:
    return task.judge_anew(shown)


def _classes(names: frozenset[str], what: str) -> str:
    if not names:
        return "nothing has a label yet"
    if len(names) > MOST_CLASSES:
        return f"{what} are three or more"
    return f"{what} are {' and '.join(f'{name!r:.60}' for name in sorted(names))}"
