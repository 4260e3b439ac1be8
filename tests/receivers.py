"""An HTTP server that takes posts, and answers as it is told."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple


class Post(NamedTuple):
    """What came."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Receiver:
    """Answers with each status in turn, then with 200; a negative one hangs for a second.

    Attributes
    ----------
    respond
        Says what is answered to those that would get 200, and with what body.
    """

    def __init__(self) -> None:
        self.posts: list[Post] = []
        self.answers: list[int] = []
        self.refused: Sequence[bytes] = ()
        self.location = ""
        self.pause_s = 0.0
        self.url = ""
        self.respond: Callable[[Post], tuple[int, bytes]] = lambda _: (200, b"")


@contextmanager
def receiving() -> Iterator[Receiver]:
    receiver, freed = Receiver(), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.do_POST()

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            receiver.posts.append(Post(self.path, headers, body))
            status = receiver.answers.pop(0) if receiver.answers else 200
            if any(text in body for text in receiver.refused):
                status = 422
            freed.wait(receiver.pause_s)
            if status < 0:
                freed.wait(5)
                return
            answer = b""
            if status == 200:
                status, answer = receiver.respond(receiver.posts[-1])
            self.send_response(status)
            if receiver.location:
                self.send_header("Location", receiver.location)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *words: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        freed.set()
        server.shutdown()
        thread.join(10)
        server.server_close()
