"""Run the page until SIGTERM or Ctrl-C."""

from __future__ import annotations

import asyncio
import errno
import secrets
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from aiohttp import web

from agents.exits import say
from agents.web.answering import Answering
from agents.web.filling import Filling
from agents.web.following import Following, News
from agents.web.guard import Guard, is_loopback
from agents.web.history import History
from agents.web.judging import Judging, Write
from agents.web.server import Site
from agents.web.told import Told
from streams.errors import ConfigError

FIRST_PORT, PORTS = 8390, 20
"""Where the page is that was not told where: the first of these that is free."""

_SHUTDOWN_S = 2.0
_BACKLOG, _AT_ONCE = 128, 8


class Address(NamedTuple):
    """Where the page is, and who may see it.

    Attributes
    ----------
    port
        None: the first of some that is free; 0: the system chooses.
    names
        By which it is reached.
    token
        None: none on the loopback interface, elsewhere a new one.
    """

    host: str = "127.0.0.1"
    port: int | None = None
    names: tuple[str, ...] = ()
    token: str | None = None


class Running(NamedTuple):
    """A page that is served.

    Attributes
    ----------
    link
        Opens it in a browser, the token included.
    """

    link: str
    port: int
    following: Following


@contextmanager
def serving(
    history: History,
    address: Address,
    *,
    note: Callable[[], str | None] = lambda: None,
    told: Callable[[], Told] | None = None,
    judge: Write | None = None,
) -> Iterator[Running]:
    """Serve from threads of its own for as long as the block lasts.

    Parameters
    ----------
    note
        Says what is wrong with what writes the history.
    told
        Returns what workers tell; None where no brokers are known.
    judge
        Writes verdicts on alerts; None likewise.

    Raises
    ------
    ConfigError
        If it cannot listen there, or a token is needed and short.
    """
    token = address.token
    if token is None and not is_loopback(address.host):
        token = secrets.token_urlsafe(32)
    guard = Guard(host=address.host, names=address.names, token=token)
    listening = _listen(address)
    port = listening.getsockname()[1]
    following = Following(history, tell=lambda _: site.tell())
    filling = Filling(history, following.settled, tell=lambda: site.tell())  # noqa: PLW0108
    site = Site(
        guard=guard,
        answer=Answering(history, following, told=told, later=filling.ask),
        news=lambda: _noted(following.news._replace(series=filling.filled), note()),
        judge=Judging(history, judge),
    )
    following.start()
    filling.start()
    server = _Serving(site, listening)
    try:
        yield Running(_link(address.host, port, token), port, following)
    finally:
        server.stop()
        filling.stop()
        following.stop()


def run_page(
    history: History,
    address: Address,
    *,
    note: Callable[[], str | None] = lambda: None,
    told: Callable[[], Told] | None = None,
    judge: Write | None = None,
) -> None:
    """Serve until told to stop; prints where."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with serving(history, address, note=note, told=told, judge=judge) as running:
        # With a token it is a secret, and in a container what is printed is in a log.
        print(printed(running.link, address), flush=True)
        say(f"web starts: port={running.port} history={history.shown}")
        stop.wait()
    say("web stopped")


class _Serving:
    """An event loop in a thread."""

    def __init__(self, site: Site, listening: socket.socket) -> None:
        self._site, self._socket = site, listening
        self._loop = asyncio.new_event_loop()
        self._stopped = asyncio.Event()
        self._up = threading.Event()
        self._thread = threading.Thread(target=self._run, name="driftline-web", daemon=True)
        self._thread.start()
        self._up.wait()

    def stop(self) -> None:
        """End what is open, and wait for it."""
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        app = self._site.application()
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=_SHUTDOWN_S)
        await runner.setup()
        assert runner.server is not None
        # A few at a time: of a hundred that are taken at once, none is there yet to be closed.
        server = await self._loop.create_server(
            self._site.door.made_by(runner.server), sock=self._socket, backlog=_AT_ONCE
        )
        self._socket.listen(_BACKLOG)
        self._up.set()
        await self._stopped.wait()
        server.close()
        await runner.cleanup()


def printed(link: str, address: Address) -> str:
    """Return a link without a token that somebody has set, who knows it.

    Examples
    --------
    >>> printed("http://a:1/login?token=s", Address(token="s"))
    'http://a:1/login?token=$DRIFTLINE_WEB_TOKEN'
    >>> printed("http://a:1/login?token=made", Address())
    'http://a:1/login?token=made'
    """
    given = address.token
    return link if given is None else f"{link.removesuffix(given)}$DRIFTLINE_WEB_TOKEN"


def _noted(news: News, note: str | None) -> News:
    return news if note is None else news._replace(away=note)


def _listen(address: Address) -> socket.socket:
    ports = range(FIRST_PORT, FIRST_PORT + PORTS) if address.port is None else (address.port,)
    for port in ports:
        try:
            family, *_, place = socket.getaddrinfo(
                address.host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
            return socket.create_server(place[:2], family=family, backlog=_BACKLOG)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or port == ports[-1]:
                reason = error.strerror or error
                raise ConfigError(f"{address.host}:{port} cannot be used: {reason}") from None
    raise AssertionError


def _link(host: str, port: int, token: str | None) -> str:
    shown = socket.gethostname() if host in ("0.0.0.0", "::") else host  # noqa: S104
    shown = f"[{shown}]" if ":" in shown else shown
    return f"http://{shown}:{port}/" + (f"login?token={token}" if token else "")
