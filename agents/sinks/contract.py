"""What a sink is: a class with `write`, `flush` and `close`, and what it is handed.

Rules of this contract, which one test holds for all sinks:

* What `flush` has returned for is safe: offsets are committed after it, never before.
* A call may be repeated with the same upserts after an error or a crash. A sink that keeps offsets
  itself (`start`) does so in the transaction of its records, and then has every record once.
* Upserts of one key come in their order.
* `AwayError` means: try again later, the same. `RefusedError`: never this record. `ConfigError`:
  a person must act, and the process ends.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, NamedTuple, TypeAlias, get_args

import msgspec

from streams.actions import Action
from streams.alerts import Alert
from streams.distributions import Distribution
from streams.errors import DriftlineError
from streams.metrics import Metric
from streams.models_told import ModelRecord
from streams.verdicts import Verdict

if TYPE_CHECKING:
    from prometheus_client.registry import Collector

    from driftline.places import Gap, Place

Kind: TypeAlias = Literal["metrics", "alerts", "actions", "models", "distributions", "feedback"]
"""What records are about, and what their topic is called after the prefix."""

Told: TypeAlias = Metric | Alert | Action | ModelRecord | Distribution | Verdict
EVERYTHING: tuple[Kind, ...] = get_args(Kind)

Clock: TypeAlias = Callable[[], int]
"""Returns the wall time in milliseconds."""

Identify: TypeAlias = Callable[[], Mapping[str, str]]
"""Asks for the ids of the topics, by name, without those that brokers do not tell."""


class AwayError(DriftlineError):
    """The target does not answer, or not now; the message says why, without secrets."""


class RefusedError(DriftlineError):
    """The target takes everything but this: nothing was written of it.

    Parameters
    ----------
    reason
        A slug, which becomes a label.
    detail
        For people, without secrets.
    upsert
        Which one; None if it is one of all that were handed over, of which none is written then.
    upserts
        Of `flush`: those that were refused together.
    """

    def __init__(
        self,
        reason: str,
        detail: str,
        *,
        upsert: Upsert | None = None,
        upserts: Sequence[Upsert] = (),
    ) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail
        self.upsert, self.upserts = upsert, upserts


class Upsert(NamedTuple):
    """The new value of a key.

    Attributes
    ----------
    record
        None if the key is deleted.
    key, value
        As they are on the topic.
    timestamp_ms
        Of the record: when it became visible.
    """

    kind: Kind
    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes
    value: bytes | None
    record: Told | None


class NoOptions(msgspec.Struct, frozen=True, kw_only=True):
    """A sink that cannot be told anything."""


def option(text: str, metavar: str | None = None) -> msgspec.Meta:
    """Describe a field of a sink's options for ``--help``."""
    return msgspec.Meta(description=text, extra={"metavar": metavar})


Target = Annotated[str, option("Where to.", "TARGET")]


class Sink:
    """What every sink derives from; its constructor takes `options` and connects to nothing.

    Attributes
    ----------
    name
        What it is called on the command line.
    reads
        Which topics it is handed, where no option says otherwise.
    options
        A `msgspec.Struct`: each field is an option of the command, a field `target` its argument.
    port
        Where it answers that was not told where; None: the first of some that is free.
    at_once
        How many upserts `write` is handed at most; it should take a minute at most.
    examples
        Command lines for ``--help``, whose text is the docstring of the class.
    """

    name: ClassVar[str]
    reads: ClassVar[tuple[Kind, ...]] = ("metrics", "alerts")
    options: ClassVar[type[msgspec.Struct]] = NoOptions
    port: ClassVar[int | None] = None
    at_once: ClassVar[int] = 10_000
    examples: ClassVar[tuple[str, ...]] = ()

    _ids: Identify = staticmethod(dict)

    @property
    def wanted(self) -> tuple[Kind, ...]:
        """Which topics it is handed with the options that it has."""
        return self.reads

    def identify(self, ids: Identify) -> None:
        """Take what tells whether topics are still the same; called once, before `start`."""
        self._ids = ids

    def start(self) -> Mapping[Place, int] | Literal["group", "beginning"]:
        """Connect, and say where to begin.

        Returns
        -------
        Mapping of Place to int
            The next offsets, which the target keeps; other partitions begin at their beginning.
        "group"
            The consumer group keeps them.
        "beginning"
            Nobody keeps them: all is read at every start.

        Raises
        ------
        ConfigError
            If a person must act: wrong credentials, an unknown schema.
        AwayError
            If the target does not answer; this is called again then.
        """
        return "group"

    def test(self) -> None:
        """Send something that says that it is a test; for sinks with an option `test`."""
        raise NotImplementedError

    def write(self, upserts: Sequence[Upsert]) -> None:
        """Take upserts, which need not be safe before `flush`."""
        raise NotImplementedError

    def flush(self) -> None:
        """Make safe what was written; called at least once a second, also without anything new.

        Raises
        ------
        RefusedError
            With `upserts`: these are never taken, and the rest is safe.
        """

    def caught_up(self) -> None:
        """Take note that all that was on the topics has been handed over; called once."""

    def missing(self, gap: Gap) -> None:
        """Take note of records that were gone from a topic before they were read."""

    def collectors(self) -> Sequence[Collector]:
        """Return what Prometheus is told beside how the sink is."""
        return ()

    def close(self) -> None:
        """Let go of the target; nothing is made safe by it."""
