"""Serve the page: files, answers, CSV, and what is new.

Rules of this file:

* Databases are asked on threads, never on the loop: whoever waits holds up nobody else.
* Every answer has the headers of `guard`, errors too.
* An error of the history is told to the page, which shows it and asks again.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import msgspec
from aiohttp import web

from agents.exits import say
from agents.sinks.contract import AwayError, RefusedError
from agents.web.answering import Answering, as_csv
from agents.web.door import Door
from agents.web.following import News
from agents.web.guard import COOKIE, HEADERS, Guard, Refusal
from agents.web.judging import Judging, is_json
from agents.web.screens import CATALOGUE
from streams.errors import ConfigError

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

STATIC = Path(__file__).with_name("static")
_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
}
_THREADS = 4
_MOST_LISTENERS = 64
_BEAT_S = 15.0
_SAID_CHARS = 300
_SHORT_BYTES = 1_000


class File(NamedTuple):
    """A file of the page."""

    body: bytes
    content_type: str
    tag: str


class Site:
    """The page of one history.

    Parameters
    ----------
    news
        Returns how far the history is.
    judge
        Takes verdicts.

    Attributes
    ----------
    door
        Lets in connections that may ask.
    """

    def __init__(
        self, *, guard: Guard, answer: Answering, news: Callable[[], News], judge: Judging
    ) -> None:
        self._guard, self._answer, self._news, self._judge = guard, answer, news, judge
        self.door = Door()
        self._files = _files(STATIC)
        self._threads = ThreadPoolExecutor(_THREADS, "driftline-answer")
        # Brokers that are away hold up verdicts for half a minute each, and nobody else.
        self._writer = ThreadPoolExecutor(1, "driftline-verdict")
        self._listeners: set[asyncio.Event] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    def application(self) -> web.Application:
        """Return what a server runs."""
        app = web.Application(middlewares=[self._guarded], client_max_size=65_536)
        app.on_startup.append(self._begin)
        app.on_shutdown.append(self._end)
        app.add_routes(
            [
                web.get("/", partial(self._file, name="index.html")),
                web.get("/static/{name}", self._file),
                web.get("/login", self._login),
                web.get("/screens", self._screens),
                web.get("/api/{screen}", self._api),
                web.get("/csv/{screen}/{panel}", self._csv),
                web.post("/verdicts", self._verdicts),
                web.get("/events", self._events, allow_head=False),
            ]
        )
        return app

    def tell(self) -> None:
        """Wake those who listen; any thread may call it."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        for event in self._listeners:
            event.set()

    async def _begin(self, _: web.Application) -> None:
        self._loop = asyncio.get_running_loop()

    async def _end(self, _: web.Application) -> None:
        self._loop = None
        self._wake()
        for pool in (self._threads, self._writer):
            pool.shutdown(wait=False, cancel_futures=True)

    # ------------------------------------------------------------------ who may ask
    @web.middleware
    async def _guarded(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        refusal = self._guard.refuses_place(request.headers)
        if refusal is None and request.path != "/login":
            refusal = self._guard.refuses_person(request.headers, request.cookies.get(COOKIE))
        if refusal is not None:
            return _refused(refusal)
        if request.path != "/login":
            self.door.let_in(request.protocol)
        try:
            response = await handler(request)
        except web.HTTPException as error:
            response = _refused(Refusal(error.status, error.reason))
        if not response.prepared:
            response.headers.update(HEADERS)
        return response

    async def _login(self, request: web.Request) -> web.StreamResponse:
        if not self._guard.takes(request.query.get("token", "")):
            return _refused(Refusal(HTTPStatus.FORBIDDEN, "this is not the link of this server"))
        response = web.Response(status=HTTPStatus.SEE_OTHER, headers={"Location": "/"})
        response.set_cookie(
            COOKIE,
            self._guard.cookie or "",
            httponly=True,
            samesite="Lax",
            secure=request.headers.get("X-Forwarded-Proto", request.scheme) == "https",
            path="/",
        )
        return response

    # ------------------------------------------------------------------ what is answered
    async def _file(self, request: web.Request, name: str | None = None) -> web.StreamResponse:
        found = self._files.get(name or request.match_info["name"])
        if found is None:
            raise web.HTTPNotFound
        headers = {"ETag": f'"{found.tag}"', "Cache-Control": "no-cache"}
        if found.tag in request.headers.get("If-None-Match", ""):
            return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
        response = web.Response(
            body=found.body, content_type=found.content_type, charset="utf-8", headers=headers
        )
        response.enable_compression()
        return response

    async def _screens(self, _: web.Request) -> web.StreamResponse:
        titles = [
            (screen.name, screen.title, screen.asks.__struct_fields__)
            for screen in CATALOGUE.values()
        ]
        return _json(HTTPStatus.OK, titles)

    async def _api(self, request: web.Request) -> web.StreamResponse:
        return await self._answered(
            request, lambda answer: _json(HTTPStatus.OK, answer), haste=True
        )

    async def _csv(self, request: web.Request) -> web.StreamResponse:
        screen, name = request.match_info["screen"], request.match_info["panel"]

        def written(answer: Any) -> web.Response:
            if name not in answer.panels:
                return _json(HTTPStatus.NOT_FOUND, {"missing": "there is no such panel"})
            file = quote(f"driftline-{screen}-{name}.csv")
            headers = {"Content-Disposition": f"attachment; filename={file}"}
            text = as_csv(answer.panels[name])
            return web.Response(text=text, content_type="text/csv", headers=headers)

        return await self._answered(request, written)

    async def _answered(
        self,
        request: web.Request,
        write: Callable[[Any], web.Response],
        *,
        haste: bool = False,
    ) -> web.StreamResponse:
        asked = request.match_info["screen"], dict(request.query)
        pack = "gzip" in request.headers.get("Accept-Encoding", "").lower()

        def work() -> web.Response:
            began_s = time.thread_time()
            response = self._work(*asked, write, haste=haste)
            if pack:
                _pack(response)
            took_ms = (time.thread_time() - began_s) * 1_000
            response.headers["Server-Timing"] = f"cpu;dur={took_ms:.1f}"
            return response

        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def _work(
        self,
        screen: str,
        parameters: Mapping[str, str],
        write: Callable[[Any], web.Response],
        *,
        haste: bool,
    ) -> web.Response:
        if screen not in CATALOGUE:
            return _json(HTTPStatus.NOT_FOUND, {"missing": "there is no such screen"})
        try:
            return write(self._answer(screen, parameters, haste=haste))
        except Exception as error:  # noqa: BLE001 - told to who asks: topics may have had anything
            return _failed(f"screen {screen}", error)

    async def _verdicts(self, request: web.Request) -> web.StreamResponse:
        if not is_json(request.headers):
            raise web.HTTPUnsupportedMediaType
        work = partial(self._judged, await request.read())
        return await asyncio.get_running_loop().run_in_executor(self._writer, work)

    def _judged(self, body: bytes) -> web.Response:
        try:
            return _json(HTTPStatus.OK, self._judge(body))
        except Exception as error:  # noqa: BLE001 - told to who has judged
            return _failed("a verdict", error)

    # ------------------------------------------------------------------ what is new
    async def _events(self, request: web.Request) -> web.StreamResponse:
        if len(self._listeners) >= _MOST_LISTENERS:
            raise web.HTTPServiceUnavailable
        response = web.StreamResponse(headers={**HEADERS, "Cache-Control": "no-store"})
        response.content_type = "text/event-stream"
        await response.prepare(request)
        event = asyncio.Event()
        self._listeners.add(event)
        try:
            while self._loop is not None:
                news = msgspec.json.encode(self._news()._asdict())
                await response.write(b"data: " + news + b"\n\n")
                await _rung(event)
        except ConnectionResetError:
            pass  # whoever listened has gone
        finally:
            self._listeners.discard(event)
        return response


async def _rung(event: asyncio.Event) -> None:
    """Wait until there is news, or for a moment, after which those that are gone are found out."""
    try:
        await asyncio.wait_for(event.wait(), _BEAT_S)
    except TimeoutError:
        return
    event.clear()


def _files(folder: Path) -> dict[str, File]:
    found = {}
    for path in sorted(folder.iterdir()):
        if (kind := _TYPES.get(path.suffix)) is not None:
            body = path.read_bytes()
            found[path.name] = File(body, kind, hashlib.sha256(body).hexdigest()[:16])
    return found


def _pack(response: web.Response) -> None:
    """Compress what is long, in a fifth of the time that takes a tenth less."""
    body = response.body
    if isinstance(body, bytes) and len(body) > _SHORT_BYTES:
        response.body = gzip.compress(body, compresslevel=1, mtime=0)
        response.headers["Content-Encoding"] = "gzip"
    response.headers["Vary"] = "Accept-Encoding"


def _json(status: HTTPStatus, value: Any) -> web.Response:
    return web.Response(
        status=status,
        body=msgspec.json.encode(value),
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )


def _failed(what: str, error: Exception) -> web.Response:
    """Say what became of a question: whose fault it is, to whom it is of use."""
    status, told = HTTPStatus.INTERNAL_SERVER_ERROR, {}
    match error:
        case msgspec.MsgspecError():
            status, told = HTTPStatus.BAD_REQUEST, {"wrong": str(error)}
        case RefusedError():
            status, told = HTTPStatus.BAD_REQUEST, {"wrong": error.detail}
        case LookupError() if type(error) is LookupError:
            status, told = HTTPStatus.NOT_FOUND, {"missing": str(error.args[0])}
        case AwayError() | ConfigError():
            status, told = HTTPStatus.SERVICE_UNAVAILABLE, {"away": str(error)}
        case _:
            say(f"{what} failed: {type(error).__name__}: {error}"[:_SAID_CHARS])
            told = {"wrong": f"{what} failed: {type(error).__name__}; see the log of this server"}
    return _json(status, told)


def _refused(refusal: Refusal) -> web.Response:
    return web.Response(status=refusal.status, text=f"{refusal.text}\n", headers=HEADERS)
