"""The HTTP server answers whoever asks, whatever others do to it."""

from __future__ import annotations

import http.client
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Barrier, Event, Thread
from typing import Any

import psutil
import pytest

from agents.http_server import LIMITS, HttpServer, Page
from tests import oracle

UNFINISHED = b"GET /metrics HTTP/1.1\r\nHost: x\r\nX-a: "
HURRIED = LIMITS._replace(pause_s=0.0)


@contextmanager
def serving(
    probes: dict[str, Any] | None = None, pages: dict[str, Page] | None = None, **limits: float
) -> Iterator[HttpServer]:
    known = pages or {}
    server = HttpServer(
        host="127.0.0.1",
        port=0,
        probes={"/livez": lambda: None, **(probes or {})},
        pages=lambda path, _: ("text/plain", known[path]) if path in known else None,
        limits=HURRIED._replace(**limits),  # type: ignore[arg-type]
    )
    try:
        yield server
    finally:
        server.stop()


def ask(port: int, path: str, *, method: str = "GET") -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request(method, path)
    answer = connection.getresponse()
    said = answer.read().decode()
    connection.close()
    return answer.status, said


@contextmanager
def hanging(port: int, count: int, *, send: bytes = UNFINISHED) -> Iterator[list[socket.socket]]:
    """Connections that never finish what they ask."""
    opened = []
    for _ in range(count):
        opened.append(socket.create_connection(("127.0.0.1", port), timeout=30))
        with suppress(OSError):  # it gave way already
            opened[-1].sendall(send)
    try:
        yield opened
    finally:
        for one in opened:
            one.close()


def test_what_is_asked_is_found_by_path_and_nothing_else_is() -> None:
    with serving({"/bad": lambda: "it is bad"}, {"/page": lambda: b"text"}) as server:
        answers = {path: ask(server.port, path) for path in ("/livez", "/bad", "/page", "/other")}
        posted = ask(server.port, "/page", method="POST")
        head = ask(server.port, "/page", method="HEAD")

    assert answers["/livez"] == (200, "ok\n")
    assert answers["/bad"] == (503, "it is bad\n")
    assert answers["/page"] == (200, "text")
    assert answers["/other"] == (404, "nothing is answered at /other\n")
    assert posted == (405, "only GET and HEAD are answered\n")
    assert head == (200, "")


@pytest.mark.parametrize(
    "send", [UNFINISHED, b"", b"POST /page HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n"]
)
def test_connections_that_never_finish_keep_neither_descriptors_nor_others_from_an_answer(
    send: bytes,
) -> None:
    """With a thread and a descriptor for each, 218 of these ended a worker that had 256."""
    with serving() as server:
        before = psutil.Process().num_fds()

        with hanging(server.port, 150, send=send) as opened:
            answer = ask(server.port, "/livez")
            descriptors = psutil.Process().num_fds() - before - len(opened)

    assert answer == (200, "ok\n")
    assert descriptors <= LIMITS.connections


@pytest.mark.parametrize(
    ("send", "limits"),
    [(UNFINISHED, {"ask_s": 0.1}), (b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n", {"end_s": 0.1})],
    ids=["asking", "in all"],
)
def test_a_connection_ends_when_its_time_is_over(send: bytes, limits: dict[str, float]) -> None:
    goes_on = Event()

    def slow() -> bytes:
        goes_on.wait(30)
        return b""

    with (
        serving(pages={"/slow": slow}, **limits) as server,
        hanging(server.port, 1, send=send) as [client],
    ):
        said = b""
        with suppress(ConnectionResetError):
            said = client.recv(100)
        goes_on.set()

    assert said == b""


def test_a_client_that_reads_nothing_is_given_up() -> None:
    large = b"x" * (32 << 20)
    asks = b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n"
    with serving(pages={"/large": lambda: large}, end_s=0.2) as server:
        before = psutil.Process().num_fds()
        with hanging(server.port, 1, send=asks) as [client]:
            received = len(client.recv(1))
            while psutil.Process().num_fds() > before + 1:
                time.sleep(0.05)
            with suppress(ConnectionResetError):
                while some := client.recv(1 << 20):
                    received += len(some)

    assert received < len(large)


def test_a_page_is_made_once_for_all_who_ask_meanwhile_and_probes_do_not_wait_for_it() -> None:
    made, goes_on, begun = [], Event(), Event()

    def page() -> bytes:
        made.append(1)
        begun.set()
        goes_on.wait(30)
        return b"done"

    with serving(pages={"/page": page}, fresh_s=60) as server:
        answers: list[tuple[int, str]] = []
        together = Barrier(20)

        def client() -> None:
            together.wait()
            answers.append(ask(server.port, "/page"))

        clients = [Thread(target=client) for _ in range(20)]
        for one in clients:
            one.start()
        begun.wait(30)
        probed = ask(server.port, "/livez")
        goes_on.set()
        for one in clients:
            one.join()

    assert probed == (200, "ok\n")
    assert answers == [(200, "done")] * 20
    assert made == [1]


def test_a_page_that_has_aged_is_made_anew() -> None:
    numbers = iter(range(10))
    with serving(pages={"/n": lambda: b"%d" % next(numbers)}, fresh_s=0.0) as server:
        answers = [ask(server.port, "/n")[1] for _ in range(3)]

    assert answers == ["0", "1", "2"]


def test_a_page_that_fails_is_told_to_who_asks_and_the_next_is_answered() -> None:
    def broken() -> bytes:
        raise KeyError("model")

    def late() -> bytes:
        raise TimeoutError

    with serving(pages={"/broken": broken, "/late": late}) as server:
        answers = [ask(server.port, path) for path in ("/broken", "/late", "/livez")]

    assert answers == [
        (500, "KeyError: 'model'\n"),
        (503, "the event loop does not answer\n"),
        (200, "ok\n"),
    ]


def test_nonsense_is_refused_without_a_word_in_the_log(capfd: pytest.CaptureFixture[str]) -> None:
    with serving() as server:
        for nonsense in (b"\x16\x03\x01\x00\xff\x00", b"GET\r\n\r\n", b"GET / HTTP/9\r\n\r\n"):
            with hanging(server.port, 1, send=nonsense) as [client], suppress(OSError):
                client.recv(1_000)
        answer = ask(server.port, "/livez")

    assert answer == (200, "ok\n")
    assert capfd.readouterr() == ("", "")


WITHOUT_DESCRIPTORS = """
import os, resource, sys
from agents.http_server import LIMITS, HttpServer
server = HttpServer(host="127.0.0.1", port=0, probes={"/livez": lambda: None},
                    pages=lambda *_: None, limits=LIMITS._replace(connections=1000))
taken = [os.open("/dev/null", os.O_RDONLY) for _ in range(3)]
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (max(taken) + 1, hard))
print(server.port, flush=True)
sys.stdin.readline()
os.close(taken[0])
sys.stdin.readline()
"""


def test_it_goes_on_once_there_are_descriptors_again() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", WITHOUT_DESCRIPTORS],
        cwd=oracle.ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    port = int(process.stdout.readline())

    with pytest.raises(OSError, match="timed out"):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/livez", timeout=1)
    process.stdin.write("\n")
    process.stdin.flush()
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/livez", timeout=30) as answer:
        said = answer.read()
    process.communicate("\n")

    assert said == b"ok\n"
    assert process.returncode == 0


def test_stopping_frees_the_port_though_clients_hang_and_a_page_is_being_made() -> None:
    goes_on = Event()

    def slow() -> bytes:
        goes_on.wait(30)
        return b""

    asks = b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n"
    with serving(pages={"/slow": slow}) as server, hanging(server.port, 3, send=asks):
        ask(server.port, "/livez")

        server.stop()
        server.stop()

        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.1", server.port), timeout=5)
        goes_on.set()
