"""Post to a URL that somebody configured, and to nowhere else.

Rules of this file:

* The name is resolved here, and the address that was judged is the one that is connected to: a name
  that answers otherwise the second time gains nothing.
* Addresses that are not of the public internet are refused unless they are allowed: a URL must not
  reach what only this host may reach.
* Redirects are not followed.
* Nothing of the URL but its host is shown: webhooks have secrets in the path.
"""

from __future__ import annotations

import base64
import http.client
import ipaddress
import socket
import ssl
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

from agents.sinks.contract import AwayError, RefusedError
from streams.errors import ConfigError

TIMEOUT_S = 10.0
_ANSWER_BYTES = 65_536
_LATER = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})
_BY_A_PERSON = frozenset(
    {
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.FORBIDDEN,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.METHOD_NOT_ALLOWED,
        HTTPStatus.PROXY_AUTHENTICATION_REQUIRED,
        HTTPStatus.GONE,
    }
)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class Answer(NamedTuple):
    """What a server said."""

    status: int
    body: bytes


class Poster:
    """Post JSON to one URL.

    Parameters
    ----------
    url
        With ``user:password@`` for basic authentication.
    authorization
        What the header of this name says.
    allow_private
        Whether addresses that are not public may be connected to.
    answer_bytes
        So much of an answer is read.

    Raises
    ------
    ConfigError
        If the URL is none of HTTP.
    """

    def __init__(
        self,
        url: str,
        *,
        authorization: str | None = None,
        allow_private: bool,
        timeout_s: float = TIMEOUT_S,
        answer_bytes: int = _ANSWER_BYTES,
    ) -> None:
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            parts, port = SplitResult("", "", "", "", ""), None
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError("the URL is none of HTTP; write one such as https://HOST/PATH")
        self.host = parts.hostname
        self._secure = parts.scheme == "https"
        self._port = port or (443 if self._secure else 80)
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._allow_private, self._timeout_s = allow_private, timeout_s
        self._answer_bytes = answer_bytes
        self._headers = {"Content-Type": "application/json", "User-Agent": "driftline"}
        if authorization is not None:
            self._headers["Authorization"] = authorization
        elif parts.username is not None:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
            self._headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"

    def post(self, body: bytes, headers: Mapping[str, str] | None = None) -> bytes:
        """Post, and return what the server answers once it has taken it.

        Raises
        ------
        AwayError
            If it does not answer, or may take it later.
        RefusedError
            If it will never take this body.
        ConfigError
            If it takes nothing at all from us.
        """
        answer = self.ask(body, headers)
        judge(answer.status, self.said(answer))
        return answer.body

    def ask(
        self, body: bytes, headers: Mapping[str, str] | None = None, *, method: str = "POST"
    ) -> Answer:
        """Post, and return what the server answers, whatever that means; GET has no body.

        Raises
        ------
        AwayError
            If it does not answer.
        ConfigError
            If its address is not one that may be connected to.
        """
        connection = self._connection(self._address())
        try:
            sent = None if method == "GET" else body
            connection.request(method, self._path, sent, {**self._headers, **(headers or {})})
            response = connection.getresponse()
            return Answer(response.status, response.read(self._answer_bytes))
        except (OSError, http.client.HTTPException) as error:
            raise AwayError(f"{self.host}: {_said(error)}") from None
        finally:
            connection.close()

    def said(self, answer: Answer) -> str:
        """Say an answer to people, on one line."""
        text = " ".join(answer.body.decode(errors="replace").split())[:200]
        said = f"{self.host} answers {answer.status}"
        return f"{said} ({text})" if text else said

    def _address(self) -> str:
        try:
            found = socket.getaddrinfo(self.host, self._port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise AwayError(f"{self.host}: {_said(error)}") from None
        addresses = [str(one[4][0]) for one in found]
        private = [one for one in addresses if not is_public(one)]
        if private and not self._allow_private:
            raise ConfigError(
                f"{self.host} is {private[0]}, which is no public address; if that is meant, add"
                " --allow-private"
            )
        return addresses[0]

    def _connection(self, address: str) -> http.client.HTTPConnection:
        if self._secure:
            return _Secure(self.host, self._port, address, timeout_s=self._timeout_s)
        return _Plain(self.host, self._port, address, timeout_s=self._timeout_s)


def judge(status: int, said: str) -> None:
    """Say by its status what an answer means to a notification.

    Parameters
    ----------
    said
        For people: who answers what.

    Raises
    ------
    AwayError
        If it may be taken later.
    RefusedError
        If it will never be taken.
    ConfigError
        If nothing at all is taken from us.
    """
    if status < HTTPStatus.MULTIPLE_CHOICES:
        return
    if status < HTTPStatus.BAD_REQUEST:
        raise AwayError(f"{said}: redirects are not followed; name the new URL")
    if status in _BY_A_PERSON:
        raise ConfigError(f"{said}; are the URL and its secret right?")
    if status in _LATER or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise AwayError(said)
    raise RefusedError(f"http_{status}", said)


class _Plain(http.client.HTTPConnection):
    """Connects to an address, and names the host."""

    def __init__(self, host: str, port: int, address: str, *, timeout_s: float) -> None:
        super().__init__(host, port, timeout=timeout_s)
        self._address, self._timeout_s = address, timeout_s

    def connect(self) -> None:
        self.sock = socket.create_connection((self._address, self.port), self._timeout_s)


class _Secure(_Plain):
    """Also checks that the certificate is the host's."""

    def connect(self) -> None:
        super().connect()
        context = ssl.create_default_context()
        self.sock = context.wrap_socket(self.sock, server_hostname=self.host)


def is_public(address: str) -> bool:
    """Tell whether an address is of the public internet, whatever form it has.

    Examples
    --------
    >>> is_public("93.184.215.14"), is_public("2606:4700::1")
    (True, True)
    >>> [is_public(one) for one in ("127.0.0.1", "10.1.2.3", "169.254.169.254", "::1", "fe80::1")]
    [False, False, False, False, False]
    >>> [is_public(one) for one in ("::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "::")]
    [False, False, False, False]
    """
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour
        if found in _NAT64:
            inner = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
    return found.is_global and not found.is_multicast


def secret_in(path: str | None, *, option: str) -> str | None:
    """Read a secret from a file; None if there is none.

    Raises
    ------
    ConfigError
        If the file cannot be read, or is empty.
    """
    if path is None:
        return None
    try:
        found = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is no text"
        raise ConfigError(f"{option}: {path!r} cannot be read: {reason}") from None
    if not found or not found.isprintable():
        raise ConfigError(f"{option}: {path!r} must have one line, which is the secret")
    return found


def _said(error: Exception) -> str:
    return str(error) or type(error).__name__
