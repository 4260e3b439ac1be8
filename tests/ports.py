"""Free ports for programs that must be told theirs before they start."""

import os
import random
import socket

from agents.local_kafka import HOST

#: Below the ports that the system gives away by itself, so that none of these is taken meanwhile.
FIRST, LAST = 12_000, 31_999
PIECES = 16


def free_ports(count: int) -> list[int]:
    """Return so many ports on which nobody listens.

    Processes that run tests side by side choose from different pieces of the range.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    size = (LAST + 1 - FIRST) // PIECES
    start = FIRST + worker % PIECES * size
    found: list[int] = []
    for port in random.sample(range(start, start + size), size):
        if _is_free(port):
            found.append(port)
        if len(found) == count:
            return found
    raise RuntimeError(f"{len(found)} ports are free from {start} on, not {count}")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As Kafka binds: connections that have just been closed do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True
