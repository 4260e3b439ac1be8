"""The worker of the demo: as in production, but for the broker."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from agents.demo_model import PREFIX

_STOP_S = 5.0
_STDERR_LINES = 20


class WorkerEndedError(RuntimeError):
    """The worker is gone; the message holds the last of what it said."""


class WorkerProcess:
    """A worker as it runs in production, but for the broker: a process of its own.

    It is stopped on leaving the ``with`` block, in whatever way.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command

    def __enter__(self) -> WorkerProcess:
        self._output: IO[bytes] = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=self._output,
            env=_worker_environment(),
            # Otherwise Ctrl-C in the terminal would reach it before the demo has said good-bye.
            start_new_session=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._output.close()

    @property
    def exit_code(self) -> int | None:
        """Return how it ended, or None while it runs."""
        return self._process.poll()

    def check(self) -> None:
        """Raise if it is gone, with the last of what it said."""
        code = self.exit_code
        if code is not None:
            raise WorkerEndedError(f"the worker ended with exit code {code}, saying\n{self.tail()}")

    def tail(self) -> str:
        """Return the last lines it wrote. Only once it is gone: seeking moves its own end, too."""
        self._output.seek(0)
        lines = self._output.read().decode(errors="replace").splitlines()
        return "\n".join(lines[-_STDERR_LINES:]) or "(none)"


def worker_command(bootstrap_servers: str) -> list[str]:
    """Spell the command that starts the worker on the embedded broker."""
    return [
        *(sys.executable, "-m", "agents.cli", "worker"),
        *("--bootstrap-servers", bootstrap_servers, "--embedded", "--prefix", PREFIX),
        *("--window", "1m", "--horizon", "1h", "--metrics-port", "0"),
        # A minute of traffic passes in less than a second.
        *("--metrics-linger", "100ms", "--metrics-refresh", "500ms"),
        *("--monitors", str(Path(__file__).with_name("demo_monitors.yaml"))),
    ]


def _worker_environment() -> dict[str, str]:
    # The user's own settings are for the user's own worker.
    return {name: value for name, value in os.environ.items() if not name.startswith("DRIFTLINE_")}
