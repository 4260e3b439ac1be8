"""Where the jobs run: topics on a broker, filled once, and what must come of them."""

import subprocess
import sys
import time
from collections.abc import Callable

from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from agents.local_kafka import LocalKafka
from benchmarks.peers.engines import ROOT
from benchmarks.peers.events import Load, fill
from benchmarks.peers.truth import Truth, recompute

PARTITIONS = 4
_OUTPUTS = ("outcomes", "join-state", "monitor-state", "metrics", "alerts")
_TIMEOUT_S = 20.0


class Site:
    """Input topics and what jobs make beside them.

    Attributes
    ----------
    truth : Truth
        What the input holds, and the right result.
    """

    def __init__(self, kafka: LocalKafka, load: Load) -> None:
        self.kafka, self.prefix = kafka, f"peers-{load.events}"
        self.servers = kafka.bootstrap_servers
        self._admin = AdminClient({"bootstrap.servers": self.servers, "log_level": 0})
        self.create_topics()
        fill(self.servers, self.prefix, load)
        self.truth: Truth = recompute(self.servers, self.prefix)

    def create_topics(self) -> None:
        """Create the topics of a driftline installation that are missing."""
        create = ["topics", "create", "--bootstrap-servers", self.servers]
        create += ["--prefix", self.prefix, "--partitions", str(PARTITIONS)]
        command = [sys.executable, "-m", "agents.cli", *create]
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)

    def create_output(self, topic: str) -> None:
        """Create the output topic of a job."""
        wanted = NewTopic(topic, PARTITIONS, 1, config={"retention.ms": "-1"})
        for future in self._admin.create_topics([wanted]).values():
            future.result(_TIMEOUT_S)
        _until(lambda: topic in self._topics())

    def forget_driftline(self) -> None:
        """Delete what workers made of the inputs, so that the next one begins anew."""
        self._delete({f"{self.prefix}.{name}" for name in _OUTPUTS})
        group = f"{self.prefix}-workers"
        if group in self._groups():
            self._admin.delete_consumer_groups([group])[group].result(_TIMEOUT_S)
        self.create_topics()

    def forget(self, application: str) -> None:
        """Delete the topics that a job has made: its output and the engine's own."""
        self._delete({topic for topic in self._topics() if application in topic})

    def _groups(self) -> set[str]:
        found = self._admin.list_consumer_groups().result(_TIMEOUT_S)
        return {group.group_id for group in found.valid or ()}

    def _topics(self) -> set[str]:
        return set(self._admin.list_topics(timeout=_TIMEOUT_S).topics)

    def _delete(self, topics: set[str]) -> None:
        there = sorted(topics & self._topics())
        if there:
            for future in self._admin.delete_topics(there, operation_timeout=_TIMEOUT_S).values():
                future.result(_TIMEOUT_S)
            _until(lambda: not topics & self._topics())


def _until(true: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + _TIMEOUT_S
    while not true():
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"the broker did not follow within {_TIMEOUT_S:.0f} s")
        time.sleep(0.1)
