"""Kill a process between any two calls of a sink and its source, and start it again.

Children are forked, so that a hundred of them take seconds: this module runs as a process of its
own, which has no threads. `python -m tests.killing FOLDER` with what to run in FOLDER/plan.py,
which has ``made(folder) -> (sink, log)``.
"""

from __future__ import annotations

import os
import pickle
import runpy
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

from tests import sinking
from tests.sinking import Log


class Killed:
    """Hands calls on, and kills the process before or after the nth of them."""

    def __init__(self, at: int) -> None:
        self.left = at

    def around(self, one: Any, name: str) -> None:
        call = getattr(one, name)

        def guarded(*arguments: Any, **named: Any) -> Any:
            self._tick()
            done = call(*arguments, **named)
            self._tick()
            return done

        setattr(one, name, guarded)

    def _tick(self) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def main(folder: Path) -> None:
    """Run until one attempt gets to the end, killing each one call later than the one before."""
    made = runpy.run_path(str(folder / "plan.py"))["made"]
    at = 0
    while True:
        at += 1
        child = os.fork()
        if child == 0:
            _attempt(made, folder, at)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status == 0:
            break
        assert os.WIFSIGNALED(status), status
    (folder / "kills").write_text(str(at - 1))


def _attempt(made: Any, folder: Path, at: int) -> None:
    sink, log = made(folder)
    stored = folder / "committed"
    log.committed = int(stored.read_text()) if stored.exists() else 0
    killed = Killed(at)
    for name in ("start", "write", "flush"):
        killed.around(sink, name)
    commit = sinking.LogReader.commit

    def kept(reader: sinking.LogReader) -> None:
        killed._tick()
        commit(reader)
        stored.write_text(str(reader.log.committed))
        killed._tick()

    sinking.LogReader.commit = kept  # type: ignore[method-assign]
    try:
        sinking.run(sink, log, folder, most=1)
    except Exception:  # noqa: BLE001 - said by a child, which must not go on as its parent
        traceback.print_exc()
        os._exit(1)
    sink.close()


def save(log: Log, folder: Path) -> None:
    """Write down a log for children to read."""
    (folder / "log.pickle").write_bytes(pickle.dumps(log))


def load(folder: Path) -> Log:
    """Read it back."""
    found = pickle.loads((folder / "log.pickle").read_bytes())
    assert isinstance(found, Log)
    return found


if __name__ == "__main__":
    main(Path(sys.argv[1]))
