"""The watchdog outlives what the worker that it watches has run out of."""

from __future__ import annotations

import subprocess
import sys

from tests import oracle

WITHOUT_DESCRIPTORS = """
import asyncio, os, resource, threading, time
from agents.health import Health
from agents.settings import Settings
from agents.telemetry import Telemetry
from agents.watchdog import Watchdog
from streams.topics import Topics

loop = asyncio.new_event_loop()
threading.Thread(target=loop.run_forever, daemon=True).start()
health = Health(Telemetry(version="1"), topics=Topics(), host="127.0.0.1", port=0)
settings = Settings(bootstrap_servers="127.0.0.1:1", stall_ms=4_000)
watchdog = Watchdog(settings, health=health)
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (os.dup(0) + 1, hard))
asked = threading.Event()

def inputs():
    asked.set()
    return [("predictions", 0)]

watchdog.start(loop, inputs=inputs)
with watchdog.busy("a commit"):
    asked.wait(30)
    time.sleep(1.0)
print("says", watchdog.complaint(), flush=True)
os._exit(0)
"""


def test_a_worker_without_descriptors_is_watched_all_the_same() -> None:
    """It read the memory in use from a file, could not open it, and ended the worker for that."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_DESCRIPTORS],
        cwd=oracle.ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.returncode, done.stdout) == (0, "says None\n"), done.stderr
