"""A worker that dies, freezes or cheats on demand: ``driftline worker`` with faults built in.

    python -m tests.faults.crashing_worker --crash-at produced=0.05 -- worker --prefix p …

``--crash-at POINT=PROBABILITY`` kills the process there (SIGKILL), ``--freeze-at`` stops it
(SIGSTOP), each time it comes by, with that probability; ``POINT=20`` does so once, at a random one
of the first 20 times. Points:

* ``begin``, ``produced``, ``offsets``, ``committing``, ``committed``: the stations of a
  transaction; at ``produced`` its records are in the log, at ``offsets`` the group's, too,
* ``opening``: while a state log is read,
* ``delete_records``: before and after records of a log are deleted,
* any callable, ``package.module:Class.method``: before it, or after it.

``--log-bytes N`` gives state logs so little room that they are swept and cut all the time.
``--broken NAME`` makes a mutant, to prove that the suite can fail; see `mutants`.
All but the last kind of point are in confluent-kafka: the product is not touched.
"""

import argparse
import importlib
import os
import random
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from functools import partial, wraps
from typing import Any

import confluent_kafka

_FLUSH_S = 10.0
_MOMENT_S = 0.02


class Faults:
    """What happens where, and how likely."""

    def __init__(self, crashes: Mapping[str, float], freezes: Mapping[str, float]) -> None:
        self._chances = {signal.SIGKILL: dict(crashes), signal.SIGSTOP: dict(freezes)}
        self._random = random.Random(os.urandom(8))
        self._left: dict[tuple[signal.Signals, str], int] = {}

    @property
    def callables(self) -> list[str]:
        """The points that name a callable."""
        return [point for chances in self._chances.values() for point in chances if ":" in point]

    def draw(self, point: str) -> signal.Signals | None:
        """Decide what happens at a point this time."""
        for number, chances in self._chances.items():
            chance = chances.get(point, 0.0)
            if chance < 1.0:
                if self._random.random() < chance:
                    return number
                continue
            left = self._left.setdefault((number, point), self._random.randint(1, int(chance)))
            self._left[number, point] = left - 1
            if left == 1:
                return number
        return None

    def reach(self, point: str) -> None:
        """Let happen what is to happen here."""
        if (number := self.draw(point)) is not None:
            strike(point, number)


def strike(point: str, number: signal.Signals) -> None:
    """Send this process a signal, and say so."""
    os.write(2, f"{'crash' if number == signal.SIGKILL else 'freeze'} at {point}\n".encode())
    os.kill(os.getpid(), number)


def install(faults: Faults) -> None:
    """Put the points into the client library; before the product imports it."""
    confluent_kafka.Producer = _producer(faults)  # type: ignore[misc]
    confluent_kafka.Consumer = _consumer(faults)  # type: ignore[misc]
    wrap("confluent_kafka.admin:AdminClient.delete_records", faults, point="delete_records")
    for path in faults.callables:
        wrap(path, faults, point=path)


def _producer(faults: Faults) -> type[confluent_kafka.Producer]:
    class Producer(confluent_kafka.Producer):
        def begin_transaction(self, *arguments: Any) -> None:
            super().begin_transaction(*arguments)
            faults.reach("begin")

        def send_offsets_to_transaction(self, *arguments: Any) -> None:
            self._strike("produced")
            super().send_offsets_to_transaction(*arguments)
            self._strike("offsets")

        def commit_transaction(self, *arguments: Any) -> None:
            if (number := faults.draw("committing")) is not None:
                moment_s = random.uniform(0.0, _MOMENT_S)
                threading.Timer(moment_s, strike, ("committing", number)).start()
            super().commit_transaction(*arguments)
            faults.reach("committed")

        def _strike(self, point: str) -> None:
            if (number := faults.draw(point)) is not None:
                self.flush(_FLUSH_S)
                strike(point, number)

    return Producer


def _consumer(faults: Faults) -> type[confluent_kafka.Consumer]:
    class Consumer(confluent_kafka.Consumer):
        def __init__(self, config: Mapping[str, Any], *arguments: Any, **more: Any) -> None:
            super().__init__(config, *arguments, **more)  # type: ignore[arg-type]
            self._reads_state = str(config["group.id"]).endswith("-state")

        def consume(self, *arguments: Any) -> Any:
            messages = super().consume(*arguments)
            if self._reads_state and messages:
                faults.reach("opening")
            return messages

    return Consumer


def wrap(path: str, faults: Faults, *, point: str) -> None:
    """Make a callable a point; `path` is ``package.module:Class.method``."""
    module, _, names = path.partition(":")
    *owners, name = names.split(".")
    owner = importlib.import_module(module)
    for step in owners:
        owner = getattr(owner, step)
    original: Callable[..., Any] = getattr(owner, name)

    @wraps(original)
    def wrapped(*arguments: Any, **more: Any) -> Any:
        faults.reach(point)
        result = original(*arguments, **more)
        faults.reach(point)
        return result

    setattr(owner, name, wrapped)


def shorten_logs(log_bytes: int) -> None:
    """Let the join sweep over its state each time its log has grown so little."""
    from streams import join, topology  # noqa: PLC0415 - after `install`

    topology.Join = partial(join.Join, log_bytes=log_bytes)  # type: ignore[assignment,misc]


def _chance(text: str) -> tuple[str, float]:
    point, _, chance = text.rpartition("=")
    return point, float(chance)


def main() -> None:
    """Take our options from the front of the command line, and run the product on the rest."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--crash-at", action="append", type=_chance, default=[])
    parser.add_argument("--freeze-at", action="append", type=_chance, default=[])
    parser.add_argument("--broken")
    parser.add_argument("--log-bytes", type=int)
    end = sys.argv.index("--")
    options = parser.parse_args(sys.argv[1:end])
    sys.argv[1:] = sys.argv[end + 1 :]
    install(Faults(dict(options.crash_at), dict(options.freeze_at)))
    if options.log_bytes:
        shorten_logs(options.log_bytes)
    if options.broken:
        from tests.faults.mutants import MUTANTS  # noqa: PLC0415

        MUTANTS[options.broken]()
    from agents.cli import main as driftline  # noqa: PLC0415

    driftline()


if __name__ == "__main__":
    main()
