"""`driftline alerts adopt`: say that the level that an alert is about is usual from now on."""

from __future__ import annotations

from collections.abc import Sequence

from agents.feedback import found_alert, read_alerts, write
from agents.monitors_topic import time_of
from agents.printable import printable
from agents.settings import Settings
from streams.adoption_record import ADOPTED, Adoption, read_adoption, write_adoption
from streams.alerts import Alert
from streams.errors import ConfigError, RecordError
from streams.moments import time_text
from streams.topics import Topics


def adopt(settings: Settings, given: str, *, by: str, at: str | None, note: str) -> int:
    """Write orders to adopt the level of an alert, or of all alerts of an incident.

    Parameters
    ----------
    given
        The id of the alert, or as much of its beginning as no other has.
    at
        Event time from which on; `None` for now.

    Raises
    ------
    ConfigError, NoAnswerError
        If there is no such alert, it cannot be adopted, or the topic cannot be written.
    """
    effective_ms, topic = time_of(at), Topics(settings.prefix).feedback
    alerts = read_alerts(settings)
    for alert in adoptable(found_alert(alerts, given, settings), alerts):
        offset = write(settings, order(alert, by=by, note=note, effective_ms=effective_ms))
        about = alert.evidence.get("input", alert.monitor)
        said = f"{about} of {alert.model} is usual as it is, says {by}"
        print(printable(f"written: {topic}@{offset}: {said}"))
    when = time_text(effective_ms)
    print(f"it takes effect with the next ten minutes at or after {when}, event time")
    return 0


def adoptable(alert: Alert, alerts: Sequence[Alert]) -> list[Alert]:
    """Return what can be adopted of an alert, or of the alerts of an incident.

    Raises
    ------
    ConfigError
        If nothing can.
    """
    if alert.state != "firing":
        raise ConfigError(f"alert {alert.alert_id} is {alert.state}: there is nothing to adopt")
    own = [alert]
    if alert.kind == "incident":
        own = [one for one in alerts if one.incident_id == alert.alert_id]
    found = [one for one in own if one.kind == ADOPTED and one.state == "firing"]
    if not found:
        names = ", ".join(sorted({one.monitor for one in own if one.state == "firing"}))
        raise ConfigError(
            f"alert {alert.alert_id}: {names}: the limit of a rule is that of the monitors file:"
            " change it there, or give a silence"
        )
    return found


def order(alert: Alert, *, by: str, note: str, effective_ms: int) -> Adoption:
    """Return an order to adopt an alert.

    Raises
    ------
    ConfigError
        If nobody says it, or the note is too long.
    """
    if not by.strip():
        raise ConfigError("--by: say who adopts it, such as --by ann@example.com")
    given = Adoption(alert.alert_id, alert.model, by.strip(), note, effective_ms)
    try:
        return read_adoption(write_adoption(given))
    except RecordError as error:
        raise ConfigError(f"the order is refused: {error.detail}") from None
