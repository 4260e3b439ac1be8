"""What alerts that begin ask for, at most so often of one model.

Alerts are handed over in the order in which incidents have them, which does not depend on how
records are cut into steps.
"""

from collections.abc import Iterable, Iterator, Mapping

from streams.actions import Action, action_of
from streams.alerts import Alert
from streams.consequences import Consequence, asked

_DAY_MS = 24 * 3_600_000


class Acting:
    """When models may be asked again to do the same, of a partition.

    Attributes
    ----------
    changed
        Names of models of which it is not written down as it is.
    """

    def __init__(self) -> None:
        self._until_ms: dict[str, dict[str, int]] = {}
        self.changed: set[str] = set()
        self._day = -1

    def of(
        self, alerts: Iterable[Alert], then: Mapping[tuple[str, int], Iterable[Consequence]]
    ) -> Iterator[Action]:
        """Yield what alerts ask for.

        Parameters
        ----------
        then
            By the ids and revisions of those that have begun, or whose silence is over.
        """
        for alert in alerts:
            rests = self._until_ms.get(alert.model, {})
            for one in asked(then.get((alert.alert_id, alert.revision), ()), alert):
                if alert.at_ms >= rests.get(one.action, 0):
                    rests[one.action] = alert.at_ms + one.cooldown_ms
                    self._until_ms[alert.model] = rests
                    self.changed.add(alert.model)
                    yield action_of(alert, one)

    def changes(self, clock_ms: int) -> Iterator[tuple[str, dict[str, int] | None]]:
        """Yield by model what has changed; models that may do all again are let go of.

        Parameters
        ----------
        clock_ms
            The watermark; no alert begins a day before it.
        """
        if (day := clock_ms // _DAY_MS) != self._day:
            self._day = day
            gone = [m for m, of in self._until_ms.items() if max(of.values()) <= clock_ms - _DAY_MS]
            for model in gone:
                del self._until_ms[model]
            self.changed.update(gone)
        for model in sorted(self.changed):
            rests = self._until_ms.get(model)
            yield model, None if rests is None else dict(sorted(rests.items()))
        self.changed.clear()

    def restore(self, model: str, packed: Mapping[str, int] | None) -> None:
        """Put back what `changes` yielded."""
        self._until_ms.pop(model, None)
        if packed:
            self._until_ms[model] = dict(packed)
