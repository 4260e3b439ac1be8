"""Post alerts to a URL, signed as Standard Webhooks are."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import time
from collections.abc import Sequence
from typing import Annotated, Any

import msgspec

from agents.exits import say
from agents.printable import printable
from agents.sinks.contract import Clock, Kind, RefusedError, Target, Upsert, option
from agents.sinks.notifying import ACTIONS, INCIDENTS, Notifier, Summary, iso
from agents.sinks.posting import Poster, secret_in
from agents.sinks.templates import TEMPLATES
from streams.actions import Action
from streams.alerts import Alert, alert_id
from streams.errors import ConfigError
from streams.nearest import nearest

OLD_ACTION_MS = 86_400_000
"""What was asked for so long ago is not to be done any more."""

_PREFIX = "whsec_"
_NAME = re.compile(r"[A-Za-z0-9._-]{1,200}")


class WebhookOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Where alerts are posted, and how they are written."""

    target: Target
    template: Annotated[
        str, option("How alerts are written: plain, slack, pagerduty or teams.", "NAME")
    ] = "plain"
    secret_file: Annotated[
        str | None, option("Has the secret, whsec_…, by which posts are signed.", "FILE")
    ] = None
    authorization_file: Annotated[
        str | None, option("Has what the Authorization header says, such as Bearer ….", "FILE")
    ] = None
    key_file: Annotated[str | None, option("Has the routing key of PagerDuty.", "FILE")] = None
    notify: Annotated[
        str,
        option(
            "What is told of: incidents, the alerts in them, all of both, or actions: what alerts "
            "ask for.",
            "WHAT",
        ),
    ] = INCIDENTS
    allow_private: Annotated[
        bool, option("Also post to addresses that are not of the public internet.")
    ] = False
    test: Annotated[bool, option("Post one test alert that is resolved already, and end.")] = False


class Webhook(Notifier):
    """Post incidents to a URL as they begin, get worse and end; what is old, as one summary.

    Posts are signed as Standard Webhooks are, if there is a secret; `webhook-id` is the same if one
    is repeated. A receiver that does not answer, or answers 5xx or 429, is tried again; what it
    refuses with another 4xx goes to the dead letters. Redirects are not followed.
    """

    name = "webhook"
    options = WebhookOptions
    examples = (
        "driftline sink webhook https://example.com/hook --secret-file secret",
        "driftline sink webhook https://hooks.slack.com/services/… --template slack",
        "driftline sink webhook https://events.pagerduty.com/v2/enqueue --template pagerduty "
        "--key-file key",
        "driftline sink webhook https://example.com/retrain --notify actions --secret-file secret",
        "driftline sink webhook http://localhost:8080/ --allow-private --test",
    )

    def __init__(self, options: WebhookOptions, *, clock: Clock | None = None) -> None:
        self._of_actions = options.notify == ACTIONS
        super().__init__(notify=INCIDENTS if self._of_actions else options.notify, clock=clock)
        if self._of_actions and options.template != "plain":
            raise ConfigError(
                "--notify actions: programs take these as they are, with --template plain"
            )
        if options.template not in TEMPLATES:
            raise ConfigError(
                f"--template: {options.template!r}: no such template"
                f"{nearest(options.template, TEMPLATES)}"
            )
        self._template = TEMPLATES[options.template]
        key = secret_in(options.key_file, option="--key-file")
        if self._template.needs_key and key is None:
            raise ConfigError(f"--template {options.template} needs --key-file")
        self._key = key or ""
        self._secret = _secret(secret_in(options.secret_file, option="--secret-file"))
        self._poster = Poster(
            options.target,
            authorization=secret_in(options.authorization_file, option="--authorization-file"),
            allow_private=options.allow_private,
        )

    @property
    def wanted(self) -> tuple[Kind, ...]:
        """Alerts, or what they ask for."""
        return ("actions",) if self._of_actions else self.reads

    def write(self, upserts: Sequence[Upsert]) -> None:
        """Post alerts as they are told of; actions one by one, but for those that are too old."""
        if not self._of_actions:
            super().write(upserts)
            return
        for upsert in upserts:
            place, action = upsert[1:4], upsert.record
            if place in self._told or not isinstance(action, Action):
                continue
            if action.at_ms < self._now_ms() - OLD_ACTION_MS:
                say(f"too old, and not posted: {printable(action.action_id)} of {action.at_ms}")
                continue
            told = {"type": f"action.{action.action}", "timestamp": iso(action.at_ms)}
            try:
                self._post(action.action_id, {**told, "data": action})
            except RefusedError as error:
                raise RefusedError(error.reason, error.detail, upsert=upsert) from None
            self._told.add(place)

    def tell(self, alert: Alert) -> None:
        """Post one alert."""
        self._post(f"{alert.alert_id}-{alert.revision}", self._template.alert(alert, self._key))

    def summarise(self, summary: Summary) -> None:
        """Post one summary."""
        self._post(summary.name, self._template.summary(summary, self._key))

    def test(self) -> None:
        """Post one alert that is about nothing."""
        self.tell(example_alert(self._now_ms()))

    def _post(self, name: str, message: dict[str, Any]) -> None:
        body = msgspec.json.encode(message)
        # What is no text of a header comes from whoever may write to the topic.
        told = name if _NAME.fullmatch(name) else alert_id(name)
        headers = {"webhook-id": told, "webhook-timestamp": str(int(time.time()))}
        if self._secret is not None:
            headers["webhook-signature"] = signature(headers, body, secret=self._secret)
        self._poster.post(body, headers)


def signature(headers: dict[str, str], body: bytes, *, secret: bytes) -> str:
    """Sign a post as Standard Webhooks has it.

    Examples
    --------
    >>> headers = {"webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek", "webhook-timestamp": "1614265330"}
    >>> secret = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    >>> signature(headers, b'{"test": 2432232314}', secret=secret)
    'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE='
    """
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    return f"v1,{base64.b64encode(hmac.digest(secret, signed, hashlib.sha256)).decode()}"


def example_alert(now_ms: int) -> Alert:
    """Return an alert that says that notifications arrive."""
    return Alert(
        alert_id=alert_id("test", now_ms),
        state="resolved",
        model="driftline",
        version="",
        segment="",
        monitor="test",
        kind="pipeline",
        severity="info",
        at_ms=now_ms,
        value=None,
        threshold=None,
        direction="changed",
        detector="test",
        message="this is a test; alerts arrive here",
        revision=0,
        evidence={},
    )


def _secret(text: str | None) -> bytes | None:
    if text is None:
        return None
    try:
        return base64.b64decode(text.removeprefix(_PREFIX), validate=True)
    except binascii.Error:
        raise ConfigError(
            "--secret-file: the secret is not whsec_ and base64; make one with: echo"
            " whsec_$(openssl rand -base64 32)"
        ) from None
