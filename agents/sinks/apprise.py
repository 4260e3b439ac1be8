"""Tell people by whatever apprise knows: mail, SMS, chat, about a hundred services."""

from __future__ import annotations

import logging
import re
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from agents.sinks.contract import AwayError, Clock, RefusedError, option
from agents.sinks.notifying import (
    INCIDENTS,
    OLD_MS,
    Notifier,
    Notify,
    Summary,
    ownership,
    runbook,
    title,
)
from agents.sinks.posting import judge, secret_in
from agents.sinks.webhook import example_alert
from streams.alerts import Alert
from streams.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

# As its services log it.
_STATUS = re.compile(r"\berror=([3-5][0-9]{2})\b")
_KINDS: Mapping[str, str] = {"critical": "failure", "warning": "warning"}


class AppriseOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Whom apprise tells."""

    target: Annotated[
        str,
        option("A file with a URL of apprise, such as mailto://…; it has passwords.", "FILE"),
    ]
    notify: Notify = INCIDENTS
    test: Annotated[bool, option("Send one test alert that is resolved already, and end.")] = False


class Apprise(Notifier):
    """Tell people of incidents by mail, SMS or chat: whatever apprise knows (appriseit.com).

    Needs: pip install 'driftline[apprise]'. What is older than an hour comes as one summary.
    What a service answers counts as for `driftline sink webhook`. Where apprise does not say why a
    message was not taken, it is tried again for an hour, and goes to the dead letters then.
    """

    name = "apprise"
    options = AppriseOptions
    examples = ("driftline sink apprise mail-url", "driftline sink apprise mail-url --test")

    def __init__(self, options: AppriseOptions, *, clock: Clock | None = None) -> None:
        super().__init__(notify=options.notify, clock=clock)
        if find_spec("apprise") is None:
            raise ConfigError("apprise needs: pip install 'driftline[apprise]'")
        import apprise  # noqa: PLC0415 - an extra

        self._said = _Said()
        self._failed: tuple[str, int] | None = None
        made: Any = apprise.Apprise()
        self._apprise = made
        if not made.add(secret_in(options.target, option="FILE") or ""):
            raise ConfigError(f"FILE: {options.target!r} has no URL that apprise understands")

    def tell(self, alert: Alert) -> None:
        """Tell of one alert."""
        over = alert.state != "firing"
        kind = "success" if over else _KINDS.get(alert.severity, "info")
        more = [*ownership(alert), runbook(alert)]
        self._say(title(alert), title(alert), *filter(None, more), kind=kind)

    def summarise(self, summary: Summary) -> None:
        """Tell of many."""
        kind = _KINDS.get(summary.severity, "info")
        self._say(summary.text, *summary.lines, kind=kind)

    def test(self) -> None:
        """Tell of an alert that is about nothing."""
        self.tell(example_alert(self._now_ms()))

    def _say(self, head: str, *lines: str, kind: str) -> None:
        body = "\n".join(lines) or head
        with self._said:
            taken = self._apprise.notify(
                title=head, body=body, notify_type=kind, body_format="text"
            )
        if not taken:
            if self._said.status is not None:
                judge(self._said.status, f"the service answers {self._said.status}")
            if not self._said.unreachable:
                self._give_up(head)
            raise AwayError("the message was not taken; is the URL right?")
        self._failed = None

    def _give_up(self, head: str) -> None:
        """Refuse a message that was not taken for an hour, and nobody knows why."""
        now_ms = self._now_ms()
        if self._failed is None or self._failed[0] != head:
            self._failed = head, now_ms
        if now_ms - self._failed[1] >= OLD_MS:
            self._failed = None
            raise RefusedError("not_taken", "not taken for an hour; apprise does not say why")


class _Said(logging.Handler):
    """Listen to what apprise logs of a message, and let nobody see it: its URLs have passwords.

    Attributes
    ----------
    status
        With which HTTP status the message was not taken; None if that is not known.
    unreachable
        Whether there was no answer.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.status: int | None = None
        self.unreachable = False
        logger = logging.getLogger("apprise")
        logger.setLevel(logging.WARNING)
        logger.propagate = False

    def __enter__(self) -> None:
        self.status, self.unreachable = None, False
        logging.getLogger("apprise").addHandler(self)

    def __exit__(self, *_: object) -> None:
        logging.getLogger("apprise").removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Take note of a reason."""
        said = record.getMessage()
        if (found := _STATUS.search(said)) is not None:
            self.status = int(found[1])
        self.unreachable |= "onnection error" in said
