"""Tell people by whatever apprise knows: mail, SMS, chat, about a hundred services."""

from __future__ import annotations

import logging
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from agents.sinks.contract import AwayError, Clock, option
from agents.sinks.notifying import Notifier, Summary, ownership, runbook, title
from agents.sinks.posting import secret_in
from agents.sinks.webhook import example_alert
from streams.alerts import Alert
from streams.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

_KINDS: Mapping[str, str] = {"critical": "failure", "warning": "warning"}


class AppriseOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Whom apprise tells."""

    target: Annotated[
        str,
        option("A file with a URL of apprise, such as mailto://…; it has passwords.", "FILE"),
    ]
    test: Annotated[bool, option("Send one test alert that is resolved already, and end.")] = False


class Apprise(Notifier):
    """Tell people of alerts by mail, SMS or chat: whatever apprise knows (appriseit.com).

    Needs: pip install 'driftline[apprise]'. What is older than an hour comes as one summary.
    apprise does not say why a message was not taken: it is tried again for ever.
    """

    name = "apprise"
    options = AppriseOptions
    examples = ("driftline sink apprise mail-url", "driftline sink apprise mail-url --test")

    def __init__(self, options: AppriseOptions, *, clock: Clock | None = None) -> None:
        super().__init__(clock=clock)
        if find_spec("apprise") is None:
            raise ConfigError("apprise needs: pip install 'driftline[apprise]'")
        import apprise  # noqa: PLC0415 - an extra

        # It logs URLs, which have passwords.
        logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)
        made: Any = apprise.Apprise()
        self._apprise = made
        if not made.add(secret_in(options.target, option="FILE") or ""):
            raise ConfigError(f"FILE: {options.target!r} has no URL that apprise understands")

    def tell(self, alert: Alert) -> None:
        """Tell of one alert."""
        over = alert.state != "firing"
        kind = "success" if over else _KINDS.get(alert.severity, "info")
        more = [*ownership(alert), runbook(alert)]
        self._notify(title(alert), title(alert), *filter(None, more), kind=kind)

    def summarise(self, summary: Summary) -> None:
        """Tell of many."""
        kind = _KINDS.get(summary.severity, "info")
        self._notify(summary.text, *summary.lines, kind=kind)

    def test(self) -> None:
        """Tell of an alert that is about nothing."""
        self.tell(example_alert(self._now_ms()))

    def _notify(self, head: str, *lines: str, kind: str) -> None:
        body = "\n".join(lines) or head
        if not self._apprise.notify(title=head, body=body, notify_type=kind, body_format="text"):
            raise AwayError("the message was not taken; is the URL right?")
