"""The record of a model: what it is taken for, what it sends, and what it is compared with."""

import msgspec

NUMBER, CATEGORY, TEXT = "number", "category", "text"
KINDS = NUMBER, CATEGORY, TEXT
"""Kinds of features, in the order in which a feature may go from one to another."""


class ModelRecord(msgspec.Struct, frozen=True):
    """A model version, as its records have shown it.

    Attributes
    ----------
    task
        What it is judged to be: `binary`, `probability` (binary, but predictions are chances and
        no classes), `multiclass`, `regression` or `text`; empty until it has had labels.
    positive
        The positive class among two; else empty.
    reason
        Why it is judged so; `it is told so` where `monitors.yaml` says it.
    classes
        Names of the two classes, or of those that were predicted or true in an hour.
    features
        Kinds of features by name, once there was an hour with enough predictions: `number`,
        `category`, or `text`, which is of so many different values that they are no categories.
    numbers, categories, texts
        How many of them are of each kind.
    first_seen_ms
        When the first pane with a prediction of it begins, the shortest time that is counted apart.
    last_seen_ms
        Likewise of the last pane in a new hour: it grows once an hour.
    reference
        What its windows are compared with; empty for nothing yet.
    reference_version
        Version whose reference it goes by; `None` for its own, or where it is of no version.
    reference_since_ms
        From when on that is complete; -1 where that is not how a version began.
    reference_rows
        On how many predictions it rests; 0 where nobody knows.
    """

    model: str
    version: str
    task: str
    positive: str
    reason: str
    classes: list[str]
    features: dict[str, str]
    numbers: int
    categories: int
    texts: int
    first_seen_ms: int
    last_seen_ms: int
    reference: str
    reference_version: str | None
    reference_since_ms: int
    reference_rows: int


def model_key(model: str, version: str) -> bytes:
    """Return the key of a model's record.

    Examples
    --------
    >>> model_key("fraud", "2")
    b'["fraud","2"]'
    """
    return encode([model, version])


encode = msgspec.json.Encoder().encode
