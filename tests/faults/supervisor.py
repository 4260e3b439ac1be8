"""Worker processes under a supervisor: who ends by himself is started again at once."""

import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from tests import oracle

EXIT_UNEXPECTED = 70
#: Says that starting again changes nothing, so no worker may say it here; the suite starts it
#: again nevertheless, to see what becomes of the numbers.
EXIT_CONFIG = 2
_KILLED = -signal.SIGKILL
_POLL_S = 0.02
_HANDOVER_S = 30.0
#: A worker that ends itself more often in one run does not recover.
RESTARTS = 200

Command = Callable[[int], Sequence[str]]


class Slot:
    """One place for a worker; the processes in it follow each other."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.process: subprocess.Popen[bytes] | None = None
        self.wanted = True


class Supervisor:
    """Keep workers running.

    Parameters
    ----------
    command
        The command line of the worker in a slot. May be replaced while workers run: the next
        start takes the new one.
    log
        Where all workers write.

    Attributes
    ----------
    exits
        How often processes ended with which code, those that were told to end included.
    problems
        What no worker may do: end with another code than 70, hang when told to stop.
    """

    def __init__(self, command: Command, log: Path) -> None:
        self.command = command
        self.exits: Counter[int] = Counter()
        self.problems: list[str] = []
        self.restarts = 0
        self._log = log.open("ab")
        self._path = log
        self._slots: list[Slot] = []
        self._lock = threading.RLock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    @property
    def slots(self) -> list[Slot]:
        """Where workers are wanted."""
        return [slot for slot in self._slots if slot.wanted]

    @property
    def said(self) -> str:
        """What all workers wrote."""
        return self._path.read_text(errors="replace")

    def scale(self, count: int) -> None:
        """Start workers, or end some politely, until there are `count`."""
        for _ in range(count - len(self.slots)):
            self.add()
        for slot in self.slots[count:]:
            self.end(slot)

    def add(self) -> Slot:
        """Start one more worker."""
        with self._lock:
            slot = Slot(len(self._slots))
            self._launch(slot)
            self._slots.append(slot)
        return slot

    def end(self, slot: Slot) -> float:
        """Tell a worker to stop; return how many seconds it took."""
        with self._lock:
            slot.wanted = False
        process = slot.process
        assert process is not None
        started_s = time.monotonic()
        process.send_signal(signal.SIGCONT)
        process.terminate()
        try:
            code = process.wait(_HANDOVER_S)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
            self.problems.append(f"a worker did not stop within {_HANDOVER_S:.0f} s of SIGTERM")
        self.exits[code] += 1
        # One that fails just then ends as it would otherwise, and one that only starts just ends.
        if code not in (0, EXIT_UNEXPECTED, _KILLED, -signal.SIGTERM):
            self.problems.append(f"a worker that was told to stop exited with {code}")
        return time.monotonic() - started_s

    def signal(self, slot: Slot, number: signal.Signals) -> int:
        """Send a signal to the process that runs in a slot now; return its id."""
        with self._lock:
            process = slot.process
            assert process is not None
            if process.poll() is None:
                process.send_signal(number)
            return process.pid

    def frozen(self) -> list[Slot]:
        """Return the slots whose process is stopped."""
        return [slot for slot in self.slots if slot.process and _is_stopped(slot.process.pid)]

    def stop(self) -> None:
        """Kill everything."""
        self._stopping.set()
        self._thread.join()
        for slot in self._slots:
            assert slot.process is not None
            slot.process.kill()
            slot.process.wait()
        self._log.close()

    def _launch(self, slot: Slot) -> None:
        slot.process = subprocess.Popen(
            list(self.command(slot.number)), cwd=oracle.ROOT, stdout=self._log, stderr=self._log
        )

    def _watch(self) -> None:
        while not self._stopping.wait(_POLL_S):
            with self._lock:
                for slot in self.slots:
                    code = slot.process.poll() if slot.process else None
                    if code is not None:
                        self._ended(slot, code)

    def _ended(self, slot: Slot, code: int) -> None:
        self.exits[code] += 1
        if code not in (EXIT_UNEXPECTED, _KILLED):
            self.problems.append(f"a worker exited with {code}")
        if code not in (EXIT_UNEXPECTED, _KILLED, EXIT_CONFIG):
            slot.wanted = False
        elif self.restarts >= RESTARTS:
            self.problems.append(f"restarted {RESTARTS} times: it does not recover")
            slot.wanted = False
        else:
            self.restarts += 1
            self._launch(slot)


def _is_stopped(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] == "T"
