"""How a worker speaks, and how it ends when something is wrong."""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from typing import NoReturn

EXIT_CONFIG = 2
"""The configuration is bad; starting again changes nothing."""

EXIT_UNEXPECTED = 70
"""Something failed that must not be repaired in place; a supervisor starts the worker again."""

_LAST_WORDS_S = 2.0


def say(text: str) -> None:
    """Write one line to standard error, from any thread.

    Faust redirects ``sys.stderr`` into its log, hence the file descriptor.
    """
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    os.write(2, f"{stamp} driftline[{os.getpid()}] {text}\n".encode(errors="replace"))


def end_process(why: str) -> NoReturn:
    """End the process at once, without any clean-up.

    State, outputs and offsets are in Kafka, committed together; whatever is in memory may be wrong
    after a failure, and must not be written by a clean-up that means well.
    """
    # A full pipe that nobody reads would keep the process alive while it says why it ends.
    anyway = threading.Timer(_LAST_WORDS_S, os._exit, (EXIT_UNEXPECTED,))
    anyway.daemon = True
    with suppress(RuntimeError):  # no thread is to be had any more
        anyway.start()
    say(f"ended: {why}")
    os._exit(EXIT_UNEXPECTED)


def describe(error: BaseException) -> str:
    """Name an error and what it says."""
    return f"{type(error).__name__}: {error}"
