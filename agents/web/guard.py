"""Who may ask, and what a browser may do with what it gets.

Rules of this file:

* `Host` is checked: a page of somebody else whose name leads here (DNS rebinding) reads nothing.
* `Origin` is checked where there is one, and what a browser says of where a request comes from.
* Anywhere but on the loopback interface a token is needed. A link brings it once, then a cookie
  has it, which scripts cannot read; programs send it as `Authorization: Bearer`.
* The browser runs and loads only what this server sends as files of its own.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
from collections.abc import Mapping
from typing import NamedTuple

from streams.errors import ConfigError

COOKIE = "driftline"
LEAST_TOKEN = 16

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';"
        " img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}

_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_HOST = re.compile(r"(?:\[(?P<v6>[0-9a-f:.]+)\]|(?P<name>[a-z0-9._-]+))(?::[0-9]{1,5})?")


_LINKED = ("navigate", "document")
"""Mode and destination of a request for which somebody follows a link."""


class Refusal(NamedTuple):
    """Why a request is not answered."""

    status: int
    text: str


class Guard:
    """Judge requests.

    Parameters
    ----------
    host
        Where the server listens.
    names
        By which it is reached; addresses need not be named.
    token
        None: none is asked for.

    Raises
    ------
    ConfigError
        If there is no token where one is needed, or it is short.
    """

    def __init__(self, *, host: str, names: tuple[str, ...] = (), token: str | None = None) -> None:
        self._loopback = is_loopback(host)
        if not self._loopback and token is None:
            raise ConfigError(f"--host {host}: others can reach it there, which needs a token")
        if token is not None and len(token) < LEAST_TOKEN:
            raise ConfigError(f"the token has {len(token)} characters; use {LEAST_TOKEN} or more")
        self._names = frozenset(name.lower() for name in names)
        self._token = token
        self.cookie = None if token is None else _digest(token)

    def refuses_place(self, headers: Mapping[str, str]) -> Refusal | None:
        """Refuse what was not meant for this server, or comes from a page of somebody else."""
        host = headers.get("Host", "").lower()
        if not self._is_ours(host):
            return Refusal(
                421, "this name is not known here; start driftline web with --name NAME to use it"
            )
        origin = headers.get("Origin")
        if origin is not None and origin.lower() not in (f"http://{host}", f"https://{host}"):
            return Refusal(403, "another page asks")
        # A link from elsewhere may lead here; nothing else may: a frame navigates, too, and a page
        # with a thousand of them would keep this server busy.
        foreign = headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin")
        how = headers.get("Sec-Fetch-Mode"), headers.get("Sec-Fetch-Dest")
        if foreign and how != _LINKED:
            return Refusal(403, "another page asks")
        return None

    def refuses_person(self, headers: Mapping[str, str], cookie: str | None) -> Refusal | None:
        """Refuse who has no token, where one is needed."""
        if self.cookie is None:
            return None
        if cookie is not None and _same(cookie, self.cookie):
            return None
        kind, _, given = headers.get("Authorization", "").partition(" ")
        if kind.lower() == "bearer" and self.takes(given):
            return None
        return Refusal(401, "open the link that driftline web printed when it started")

    def takes(self, token: str) -> bool:
        """Tell whether it is the token, in a time that says nothing about it."""
        return self._token is not None and _same(_digest(token), _digest(self._token))

    def _is_ours(self, host: str) -> bool:
        found = _HOST.fullmatch(host)
        if found is None:
            return False
        name = found["v6"] or found["name"]
        if name in self._names or name in _LOOPBACK_NAMES:
            return True
        return not self._loopback and _is_address(name)


def is_loopback(host: str) -> bool:
    """Tell whether only this machine reaches what listens there.

    Examples
    --------
    >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    if host == "localhost":
        return True
    return _is_address(host) and ipaddress.ip_address(host).is_loopback


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _digest(token: str) -> str:
    return hashlib.sha256(b"driftline web\0" + token.encode(errors="surrogateescape")).hexdigest()


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(errors="surrogateescape"), other.encode())
