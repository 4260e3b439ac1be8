"""How a worker speaks, and how it ends when something is wrong."""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from typing import NoReturn

from agents.printable import printable
from streams.errors import ConfigError, DriftlineError, NoAnswerError, StateError

EXIT_CONFIG = 2
"""The configuration is bad; starting again changes nothing."""

EXIT_NOTHING_USABLE = 3
"""A recording was replayed, but every record of it is a dead letter."""

EXIT_ALARMS_DIFFER = 4
"""Other monitors raise more other alarms over a recording than they may."""

EXIT_UNEXPECTED = 70
"""Something failed that must not be repaired in place; a supervisor starts the worker again."""

_LAST_WORDS_S = 2.0


def say(text: str) -> None:
    """Write one line to standard error, from any thread, whatever is in it.

    Faust redirects ``sys.stderr`` into its log, hence the file descriptor.
    """
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    os.write(2, f"{stamp} driftline[{os.getpid()}] {printable(text)}\n".encode())


def exit_code(error: BaseException) -> int:
    """Return the exit code of a process that ends on an error: whether starting again may help.

    Examples
    --------
    >>> exit_code(ConfigError("no such topic")), exit_code(StateError("of another version"))
    (2, 2)
    >>> exit_code(NoAnswerError("the broker is away")), exit_code(ValueError("a mistake of ours"))
    (70, 70)
    """
    hopeless = isinstance(error, ConfigError | StateError) and not isinstance(error, NoAnswerError)
    return EXIT_CONFIG if hopeless else EXIT_UNEXPECTED


def end_process(why: str, *, code: int = EXIT_UNEXPECTED) -> NoReturn:
    """End the process at once, without any clean-up.

    State, outputs and offsets are in Kafka, committed together; whatever is in memory may be wrong
    after a failure, and must not be written by a clean-up that means well.
    """
    # A full pipe that nobody reads would keep the process alive while it says why it ends.
    anyway = threading.Timer(_LAST_WORDS_S, os._exit, (code,))
    anyway.daemon = True
    with suppress(RuntimeError):  # no thread is to be had any more
        anyway.start()
    say(f"ended: {why}")
    os._exit(code)


def describe(error: BaseException) -> str:
    """Say what an error says, and name it, unless it is one that was raised for people to read."""
    if isinstance(error, DriftlineError):
        return str(error)
    return f"{type(error).__name__}: {error}"
