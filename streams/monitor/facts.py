"""What is told of models on a topic of their own; everything in it holds at a boundary of panes.

Each part is the newest of what was found at boundaries of the ordered stream, so that it is the
same however the stream is cut into steps.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from streams.cells.referring import Reference
from streams.model_keys import Name
from streams.models_told import CATEGORY, KINDS, NUMBER, TEXT, ModelRecord
from streams.task import Judged

MOST_CLASSES = 100
"""So many names of classes are told."""

TWO = "binary", "probability"


class Facts(msgspec.Struct, array_like=True):
    """What is known of one model.

    Attributes
    ----------
    drawn
        What names the reference that was published last.
    judged_ms
        The boundary at which it was judged last.
    classes, named
        Its two classes, by that judgement; those that were predicted or true in an hour.
    """

    first_seen_ms: int = -1
    last_seen_ms: int = -1
    judged_ms: int = -1
    task: str = ""
    positive: str = ""
    reason: str = ""
    classes: list[str] = []
    named: list[str] = []
    features: dict[str, str] = {}
    reference: Reference = Reference()
    drawn: list[Any] = []

    def record(self, name: Name) -> ModelRecord:
        """Return what is told of it."""
        kinds = list(self.features.values())
        text, version, since_ms, rows = self.reference
        return ModelRecord(
            *name,
            task=self.task,
            positive=self.positive,
            reason=self.reason,
            classes=self.classes if self.task in TWO else self.named,
            features=self.features,
            numbers=kinds.count(NUMBER),
            categories=kinds.count(CATEGORY),
            texts=kinds.count(TEXT),
            first_seen_ms=self.first_seen_ms,
            last_seen_ms=self.last_seen_ms,
            reference=text,
            reference_version=version,
            reference_since_ms=since_ms,
            reference_rows=rows,
        )


class ModelFacts:
    """What is told of the models of a partition, by code.

    Attributes
    ----------
    changed
        Models of which something else is to be told.
    kept
        Models of which something that is not told is to be written down.
    due
        Models that may be compared with something else from now on.
    """

    def __init__(self) -> None:
        self._known: dict[int, Facts] = {}
        self.changed: set[int] = set()
        self.kept: set[int] = set()
        self.due: set[int] = set()

    def of(self, code: int) -> Facts:
        """Return what is known of a model."""
        found = self._known.get(code)
        if found is None:
            found = self._known[code] = Facts()
        return found

    def seen(self, codes: Iterable[int], *, pane_ms: int, hour_ms: int) -> None:
        """Note that models had predictions in a pane, which is of an hour."""
        for code in codes:
            one = self.of(code)
            if one.last_seen_ms < hour_ms:
                if one.first_seen_ms < 0:
                    one.first_seen_ms = pane_ms
                    self.due.add(code)
                one.last_seen_ms = pane_ms
                self.changed.add(code)

    def judged(self, code: int, judged: Judged, classes: Sequence[str], *, at_ms: int) -> None:
        """Take what a model is judged to be at a boundary, unless a later one is known."""
        one = self.of(code)
        if at_ms < one.judged_ms:
            return
        one.judged_ms = at_ms
        positive = judged.positive if judged.kind in TWO else ""
        found = judged.kind, positive, judged.reason, list(classes)
        if found != (one.task, one.positive, one.reason, one.classes):
            one.task, one.positive, one.reason, one.classes = found
            self.changed.add(code)

    def has_classes(self, code: int, names: Collection[str]) -> None:
        """Take names of classes of a model; of many, the first by name."""
        one = self.of(code)
        found = sorted({*one.named, *names})[:MOST_CLASSES]
        if found != one.named:
            one.named = found
            self.changed.add(code)

    def has_features(self, code: int, kinds: Mapping[str, str]) -> None:
        """Take the kinds of features in an hour; they only go from numbers towards texts."""
        one = self.of(code)
        for name, kind in kinds.items():
            known = one.features.get(name)
            if known is None or KINDS.index(known) < KINDS.index(kind):
                one.features = {**one.features, name: kind}
                self.changed.add(code)

    def refers(self, code: int, reference: Reference) -> None:
        """Take what the windows of a model are compared with."""
        one = self.of(code)
        if one.reference != reference:
            one.reference = reference
            self.changed.add(code)

    def draws(self, code: int, name: str) -> bool:
        """Note which reference of a model is published; tell if it is another than before."""
        one = self.of(code)
        if one.drawn == [name]:
            return False
        one.drawn = [name]
        self.kept.add(code)
        return True

    # ------------------------------------------------------------------ written down
    def drop(self, code: int) -> Facts | None:
        """Forget a model; return what was known of it."""
        self.changed.discard(code)
        self.kept.discard(code)
        self.due.discard(code)
        return self._known.pop(code, None)

    def changes(self) -> Iterator[tuple[int, Facts, bool]]:
        """Yield what is to be written down, and whether it is to be told, too."""
        for code in sorted(self.changed | self.kept):
            one = self.of(code)
            yield code, one, code in self.changed and one.first_seen_ms >= 0
        self.changed.clear()
        self.kept.clear()

    def restore(self, code: int, packed: Sequence[Any]) -> None:
        """Put back what is known of a model."""
        self._known[code] = msgspec.convert(packed, Facts)
