"""How every record that driftline writes for itself begins: schema of its format, and the version.

Whatever changes in a format, these two stay the first, so that every version from now on can say
of a record that it cannot read which version wrote it: that is the one to run again. A schema is a
number that is raised with every change that an earlier build would not read right; there is one for
each format (state of the join, state of the monitor, outcomes), and none within them.
"""

from typing import Any, NamedTuple, NoReturn

import msgspec

from streams.errors import StateError

VERSION = "0.1.0"
"""The version of driftline: that of the distribution."""

_LONGEST_VERSION = 40


class Format(NamedTuple):
    """One format of records.

    Attributes
    ----------
    name
        What such a record is, for people.
    schema
        The one that this build writes.
    before
        How many schemas before it this build reads, too.

    Examples
    --------
    >>> Format("a state of the join", 4).check(4, "0.1.0")
    >>> Format("a state of the join", 4).check(5, "0.2.0")
    Traceback (most recent call last):
    ...
    streams.errors.StateError: driftline 0.2.0 wrote a state of the join in format 5, a newer one; \
this is driftline 0.1.0, which reads format 4: run driftline 0.2.0 or a later version
    """

    name: str
    schema: int
    before: int = 0

    @property
    def head(self) -> tuple[int, str]:
        """What a record begins with."""
        return self.schema, VERSION

    def check(self, schema: Any, version: Any) -> None:
        """Refuse a record of another format.

        Parameters
        ----------
        schema, version
            What it begins with; damaged, these may be anything, and are not shown then.

        Raises
        ------
        StateError
            If it is of another format; the message says what to run.
        """
        if not isinstance(schema, int) or isinstance(schema, bool):
            self.refuse()
        if self.schema - self.before <= schema <= self.schema:
            return
        newer = schema > self.schema
        known = isinstance(version, str) and 0 < len(version) <= _LONGEST_VERSION
        by = f"driftline {version}" if known and version.isprintable() else "another build"
        raise StateError(
            f"{by} wrote {self.name} in format {schema}, {'a newer' if newer else 'an older'} one;"
            f" this is driftline {VERSION}, which reads format {self.schema}: run"
            f" {by + ' or a later version' if newer else by + ' again'}"
        )

    def read(self, value: bytes) -> list[Any]:
        """Decode a record that begins with schema and version; return what follows.

        Raises
        ------
        StateError
            If it is of another format, or damaged.
        """
        try:
            record = _decode(value)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self.refuse()
        if not isinstance(record, list) or len(record) < len(self.head):
            self.refuse()
        self.check(record[0], record[1])
        return record[len(self.head) :]

    def refuse(self) -> NoReturn:
        """Refuse what is no record of this format at all."""
        raise StateError(f"it is damaged, or driftline did not write it: no {self.name[2:]}")


_decode = msgspec.msgpack.Decoder().decode
