"""Move an alias in MLflow's registry as actions ask: to the version before, or to another.

Rules of this file:

* An alias is only moved back from the version that the action is about: one that has been moved
  meanwhile, by a person or by the same action before a crash, stays where it is.
* What the registry does not have is said, and nothing is done.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal
from urllib.parse import urlencode

import msgspec

from agents.exits import say
from agents.printable import printable
from agents.sinks.posting import Answer, Poster, judge
from streams.actions import Action
from streams.errors import ConfigError

OLD_MS = 86_400_000
"""What was asked for so long ago is not done any more."""

_MOST_VERSIONS = 100
_ANSWER_BYTES = 1 << 20
_UNKNOWN = frozenset({"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"})
_ALIAS = "registered-models/alias"


class Aliases:
    """Moves one alias of registered models.

    Parameters
    ----------
    url
        Of the REST API, with a slash at its end.
    alias
        What it is called.
    """

    def __init__(self, url: str, alias: str, *, authorization: str | None) -> None:
        self._url, self._alias, self._authorization = url, alias, authorization
        self._deeds: Mapping[str, Callable[[Action], str | None]] = {
            "rollback": self._before,
            "promote": _promoted,
        }

    def take(self, action: Action, *, now_ms: int) -> None:
        """Do what an action asks for, if it is about aliases, and not too old."""
        if action.action not in self._deeds:
            return
        what = f"{action.action} {action.action_id} of {action.model}/{action.version}"
        if action.at_ms < now_ms - OLD_MS:
            say(f"too old, and not done: {printable(what)}")
            return
        to = self._deeds[action.action](action)
        if to is None:
            say(f"nothing to move {printable(self._alias)} to: {printable(what)}")
            return
        told = {"name": action.model, "alias": self._alias, "version": to}
        done = self._ask(_ALIAS, told, method="POST") is not None
        said = f"{self._alias} is {to} now" if done else f"the registry has no version {to}"
        say(printable(f"{said}: {what}: {action.message}"))

    def _before(self, action: Action) -> str | None:
        """Return the version to go back to; `None` if the alias is not where it would leave."""
        asked = {"name": action.model, "alias": self._alias}
        found = self._ask(_ALIAS, asked, method="GET")
        if found is None or found["model_version"]["version"] != action.version:
            return None
        if "to" in action.parameters:
            return str(action.parameters["to"])
        quote = '"' if "'" in action.model else "'"
        asked = {
            "filter": f"name={quote}{action.model}{quote}",
            "order_by": "version_number DESC",
            "max_results": str(_MOST_VERSIONS),
        }
        every = (self._ask("model-versions/search", asked, method="GET") or {}).get(
            "model_versions", []
        )
        older = [int(one["version"]) for one in every if int(one["version"]) < int(action.version)]
        return str(max(older)) if older else None

    def _ask(
        self, call: str, told: Mapping[str, str], *, method: Literal["GET", "POST"]
    ) -> dict[str, Any] | None:
        """Return what MLflow says; `None` where it has not what was asked for."""
        url = self._url + call
        if method == "GET":
            url += f"?{urlencode(told)}"
        poster = Poster(
            url,
            authorization=self._authorization,
            allow_private=True,
            answer_bytes=_ANSWER_BYTES,
        )
        answer = poster.ask(msgspec.json.encode(told), method=method)
        if _code(answer) in _UNKNOWN:
            return None
        judge(answer.status, poster.said(answer))
        try:
            return msgspec.json.decode(answer.body or b"{}", type=dict[str, Any])
        except msgspec.DecodeError:
            raise ConfigError(f"{poster.host} does not answer as MLflow does") from None


def _promoted(action: Action) -> str | None:
    return str(action.parameters.get("version", action.version)) or None


def _code(answer: Answer) -> str:
    try:
        return str(msgspec.json.decode(answer.body, type=dict[str, Any]).get("error_code", ""))
    except msgspec.DecodeError:
        return ""
