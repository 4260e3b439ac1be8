"""Models whose state has outgrown a record: they are set aside, so that all others go on.

A broker refuses a record that is too large, and with it the transaction. What is refused once is
refused after every restart: five predictions with a thousand features of long names each stopped
all workers for good. So the state of a model that does not fit is deleted and a note of its name is
kept in its place; what comes of the model from then on is counted and left out. Its last metrics
stay as they were, alerts that fire are resolved. A version is a model of its own.
"""

import msgspec

LARGEST_STATE_BYTES = 4_000_000
"""A little below what the topics that driftline creates take."""


class Quarantined(msgspec.Struct, array_like=True, frozen=True):
    """Why a model version is set aside.

    Attributes
    ----------
    kind, size_bytes
        What of its state did not fit, and how large that was.
    limit_bytes
        What would have fitted.
    at_ms
        Event-time clock then.
    """

    model: str
    version: str
    kind: str
    size_bytes: int
    limit_bytes: int
    at_ms: int

    def __str__(self) -> str:
        name = f"model {self.model!r}" + (f", version {self.version!r}," if self.version else "")
        return (
            f"{name} is set aside: its {_KINDS.get(self.kind, self.kind)} would take"
            f" {self.size_bytes:,} bytes, a record of the state {self.limit_bytes:,} at most; send"
            " fewer or shorter names of features, segments and classes, under another version"
        )


_KINDS = {
    "predictions": "counts of predictions of one pane",
    "outcomes": "counts of labels of one pane",
    "classes": "names of classes",
    "rule": "counts of one pane of its rules",
    "reference": "reference of its rules",
    "firing": "alerts that fire",
    "lanes": "drift detectors",
    "shown": "classes and numbers",
}
