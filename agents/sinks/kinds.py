"""What sinks may read: a topic, a record and the parts of its key for each kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from agents.sinks.contract import Kind, Told
from streams.actions import Action
from streams.alerts import Alert
from streams.distributions import Distribution
from streams.metrics import Metric
from streams.models_told import ModelRecord
from streams.verdicts import Verdict


class Known(NamedTuple):
    """A kind of records.

    Attributes
    ----------
    record
        What its values are.
    key
        Fields of the record that its key has, in their order, as a JSON array; of one field, it is
        the text alone.
    """

    record: type[Told]
    key: tuple[str, ...]

    def key_of(self, raw: bytes) -> dict[str, Any]:
        """Return the parts of a key by name.

        Raises
        ------
        ValueError
            If it is none of this kind.
        """
        if len(self.key) == 1:
            return {self.key[0]: raw.decode(errors="replace")}
        kinds = msgspec.structs.fields(self.record)
        of = {field.name: field.type for field in kinds}
        parts = msgspec.json.decode(raw, type=tuple[tuple(of[name] for name in self.key)])  # type: ignore[misc]
        return dict(zip(self.key, parts, strict=True))


KINDS: Mapping[Kind, Known] = {
    "metrics": Known(
        Metric, ("model", "version", "segment", "window_start_ms", "window_end_ms", "metric")
    ),
    "alerts": Known(Alert, ("alert_id",)),
    "actions": Known(Action, ("action_id",)),
    "models": Known(ModelRecord, ("model", "version")),
    "feedback": Known(Verdict, ("alert_id",)),
    "distributions": Known(
        Distribution,
        ("model", "version", "segment", "series", "feature", "role", "start_ms"),
    ),
}
"""By what the topic is called after the prefix."""
