"""Answer probes, Prometheus and `driftline status` over HTTP, and withstand whoever else asks.

Rules of this file:

* It has a thread and an event loop of its own: a worker that stalls still answers its probes.
* A connection is for one request, and has a time to say what it wants and a time to be done with.
  Of as many as are allowed, the oldest that has not asked yet gives way to a new one. With a thread
  for each and no limits, 218 connections that never finished asking took all of 256 descriptors,
  and the worker ended, since Kafka's clients had none left.
* Connections are taken with a pause after each. Eight clients that asked as fast as they could took
  half of the interpreter's time.
* What takes time is made on a few other threads, one at a time of a kind, for all who ask
  meanwhile; probes never wait for that.
* What is answered is data, by path; this file knows no metrics, models or Kafka.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeAlias

from aiohttp import web
from aiohttp.web_request import BaseRequest

Probe: TypeAlias = Callable[[], str | None]
"""Says what is wrong, or None; at once, since all others wait for it."""

Page: TypeAlias = Callable[[], bytes]
"""Returns what is answered; raises `RuntimeError` or `TimeoutError` if it cannot now."""

Pages: TypeAlias = Callable[[str, str], tuple[str, Page] | None]
"""Finds a page and its content type by path and by what the client accepts."""

_BACKLOG = 128
_PAGE_THREADS = 4
_RETRY_S = 0.5
_SWEEP_S = 0.25
_STOP_S = 5.0
# What clients send wrong is theirs to know; anybody could fill the log with it.
_SILENT = logging.getLogger(f"{__name__}.clients")
_SILENT.disabled = True


class Limits(NamedTuple):
    """What clients may take.

    Attributes
    ----------
    connections
        How many may be open.
    ask_s, end_s
        How long one may take to ask, and in all.
    pause_s
        After each that is taken.
    fresh_s
        A page is made anew once it is older than this.
    """

    connections: int = 32
    ask_s: float = 5.0
    end_s: float = 15.0
    pause_s: float = 0.005
    fresh_s: float = 0.2


LIMITS = Limits()


class _Connection:
    """One that is open."""

    def __init__(self, now_s: float) -> None:
        self.opened_s = now_s
        self.asked = False


class _Making(NamedTuple):
    """A page that is being made, or was."""

    since_s: float
    answer: asyncio.Task[web.Response]


class HttpServer:
    """Listen, and answer on a thread that does not keep the process alive.

    Parameters
    ----------
    port
        Where to listen; 0 lets the system choose.
    probes
        By path: 200 if nothing is wrong, else 503 and what it is. More may be added later.

    Attributes
    ----------
    port : int
        Where it listens.

    Raises
    ------
    OSError
        If the address cannot be used, such as a port that is taken.
    """

    def __init__(
        self,
        *,
        host: str,
        port: int,
        probes: Mapping[str, Probe],
        pages: Pages,
        limits: Limits = LIMITS,
    ) -> None:
        self._probes = probes
        self._pages = pages
        self._limits = limits
        self._socket = _listen(host, port)
        self.port: int = self._socket.getsockname()[1]
        self._open: dict[asyncio.BaseTransport, _Connection] = {}
        self._made: dict[tuple[str, str], _Making] = {}
        self._makers = ThreadPoolExecutor(_PAGE_THREADS, "driftline-pages")
        self._stopped = asyncio.Event()
        # Not uvloop's: it takes connections that nobody has asked it to take.
        self._runner = asyncio.Runner(loop_factory=asyncio.SelectorEventLoop)
        self._loop = self._runner.get_loop()
        self._thread = threading.Thread(target=self._run, name="driftline-http", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop listening and free the port; calling it again does nothing."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopped.set)
            self._thread.join(_STOP_S)

    # --- everything below runs on the thread

    def _run(self) -> None:
        with self._runner as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        async with asyncio.TaskGroup() as group:
            tasks = group.create_task(self._accept()), group.create_task(self._sweep())
            await self._stopped.wait()
            for task in tasks:
                task.cancel()
        self._socket.close()
        self._makers.shutdown(wait=False, cancel_futures=True)
        for transport in list(self._open):
            self._end(transport)

    async def _accept(self) -> None:
        server = web.Server(
            self._answer,
            access_log=None,
            logger=_SILENT,
            keepalive_timeout=self._limits.ask_s,
            lingering_time=0,
        )
        while True:
            await self._take(server)
            await asyncio.sleep(self._limits.pause_s)

    async def _take(self, server: web.Server) -> None:
        try:
            accepted, _ = await self._loop.sock_accept(self._socket)
        except OSError:  # no descriptor is left, or the client has gone already
            await asyncio.sleep(_RETRY_S)
            return
        self._make_room()
        transport, _ = await self._loop.connect_accepted_socket(server, accepted)
        self._open[transport] = _Connection(self._loop.time())

    def _make_room(self) -> None:
        self._forget_closed()
        while len(self._open) >= self._limits.connections:
            waiting = (transport for transport, one in self._open.items() if not one.asked)
            self._end(next(waiting, next(iter(self._open))))

    def _forget_closed(self) -> None:
        for transport in list(self._open):
            # One that is closing keeps its descriptor as long as there is something to send.
            if transport.get_extra_info("socket").fileno() < 0:
                del self._open[transport]

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_S)
            self._forget_closed()
            now_s = self._loop.time()
            for transport, one in list(self._open.items()):
                may_take_s = self._limits.end_s if one.asked else self._limits.ask_s
                if now_s - one.opened_s > may_take_s:
                    self._end(transport)

    def _end(self, transport: asyncio.BaseTransport) -> None:
        del self._open[transport]
        assert isinstance(transport, asyncio.WriteTransport)
        transport.abort()

    async def _answer(self, request: BaseRequest) -> web.StreamResponse:
        if request.transport in self._open:
            self._open[request.transport].asked = True
        response = await self._find(request)
        response.force_close()
        return response

    async def _find(self, request: BaseRequest) -> web.Response:
        if request.method not in ("GET", "HEAD"):
            return _text("only GET and HEAD are answered", status=405)
        if (probe := self._probes.get(request.path)) is not None:
            wrong = probe()
            return _text(wrong or "ok", status=200 if wrong is None else 503)
        found = self._pages(request.path, request.headers.get("Accept", ""))
        if found is None:
            return _text(f"nothing is answered at {request.path}", status=404)
        content_type, page = found
        made = await self._fresh((request.path, content_type), page)
        response = web.Response(body=made.body, status=made.status, headers=made.headers)
        response.enable_compression()
        return response

    async def _fresh(self, key: tuple[str, str], page: Page) -> web.Response:
        making, now_s = self._made.get(key), self._loop.time()
        if making is None or (
            making.answer.done() and now_s - making.since_s > self._limits.fresh_s
        ):
            task = self._loop.create_task(self._make(page, content_type=key[1]))
            making = self._made[key] = _Making(now_s, task)
        return await asyncio.shield(making.answer)

    async def _make(self, page: Page, *, content_type: str) -> web.Response:
        try:
            body = await self._loop.run_in_executor(self._makers, page)
        except (RuntimeError, TimeoutError) as error:
            return _text(str(error) or "the event loop does not answer", status=503)
        except Exception as error:  # noqa: BLE001 - to be told to who asks; the worker goes on
            return _text(f"{type(error).__name__}: {error}", status=500)
        return web.Response(body=body, headers={"Content-Type": content_type})


def _listen(host: str, port: int) -> socket.socket:
    family, _, _, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    try:
        listening = socket.create_server(address[:2], family=family, backlog=_BACKLOG)
    except OSError as error:  # says the address, too, which the caller has already
        raise OSError(error.errno, os.strerror(error.errno or 0)) from None
    listening.setblocking(False)
    return listening


def _text(text: str, *, status: int) -> web.Response:
    return web.Response(text=f"{text}\n", status=status)
