"""How much one record may hold."""

from __future__ import annotations

import hashlib

import msgspec

EARLIEST_MS = 100_000_000_000
"""March 1973. Less is no time in milliseconds that anybody means: in seconds it lasts until the
year 5138, and a date such as 20260101 is less, too."""


class RecordLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What a record may hold at most; the same for all workers, since fates depend on it.

    Attributes
    ----------
    record_bytes
        Of a record's value; a larger one is a dead letter.
    name_bytes
        UTF-8 bytes of an id and of the names of models and versions, beyond which a record is a
        dead letter; of the names of features, segments and classes in `scores`, and of a segment's
        value, beyond which that value is left out; and of a class, beyond which a prediction or
        label counts under the hash of its text.
    features, segments, scores
        Most of them in one prediction; of more, the last by name are left out before anybody looks
        at them.
    earliest_ms
        Earliest event time; whoever knows that times are no seconds may allow earlier ones.
    """

    record_bytes: int = 1_000_000
    name_bytes: int = 256
    features: int = 1_000
    segments: int = 16
    scores: int = 1_000
    earliest_ms: int = EARLIEST_MS

    def allow(self, name: str) -> bool:
        """Tell whether a name is short enough.

        Examples
        --------
        >>> LIMITS.allow("ä" * 128), LIMITS.allow("ä" * 129)
        (True, False)
        """
        most = self.name_bytes
        return len(name) <= most and (name.isascii() or len(name.encode()) <= most)

    def class_of(self, text: str) -> str:
        """Name the class of a text: itself, or its hash where it is longer than a name.

        Examples
        --------
        >>> LIMITS.class_of("cat"), LIMITS.class_of("Dear Sir or Madam, " + 99 * "thanks, ")
        ('cat', 'text:e019f4cb50906e03bf2b4fc017a9991b')
        """
        if self.allow(text):
            return text
        return f"text:{hashlib.sha256(text.encode()).hexdigest()[:32]}"


LIMITS = RecordLimits()
"""What is allowed unless somebody says otherwise."""
