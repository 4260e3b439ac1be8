"""Three brokers that replicate everything, and what can be done to them."""

import json
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import TracebackType
from typing import NamedTuple, Self

from confluent_kafka import ElectionType, KafkaException, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    ConfigResource,
    ResourceType,
)

from agents.local_kafka import HOST, LocalKafka, new_cluster_id, resolve_jars
from tests.ports import free_ports

NODES = (1, 2, 3)
#: The transaction log's partitions; whose coordinator is whose depends on it.
TRANSACTION_PARTITIONS = 6
#: Kafka's default: so long a broker that was killed, or hangs, goes on being the leader.
SESSION_S = 9.0
_WHOLE_S = 90.0
_ANSWER_S = 10.0
_TOOL_S = 60.0
_LOOK_S = 0.25
#: Three of them share a small machine, and live for minutes: compiled fast rather than well.
_JAVA = ("-Xmx384m", "-XX:TieredStopAtLevel=1")

Place = tuple[str, int]


class Replicas(NamedTuple):
    """Who has a partition: its leader, those that are in step, and all."""

    leader: int
    in_step: frozenset[int]
    all: tuple[int, ...]

    @property
    def whole(self) -> bool:
        """Whether nobody is missing."""
        return self.leader in self.in_step and self.in_step == set(self.all)


def _properties(number: int, *, ports: Sequence[int], voters: str) -> dict[str, str]:
    """Configure a node as production would, but for sizes; topics' own settings are ours."""
    return {
        "node.id": str(number),
        "controller.quorum.voters": voters,
        "listeners": f"PLAINTEXT://{HOST}:{ports[0]},CONTROLLER://{HOST}:{ports[1]}",
        "default.replication.factor": "3",
        "offsets.topic.replication.factor": "3",
        "transaction.state.log.replication.factor": "3",
        "transaction.state.log.min.isr": "2",
        "transaction.state.log.num.partitions": str(TRANSACTION_PARTITIONS),
        "share.coordinator.state.topic.replication.factor": "3",
        "share.coordinator.state.topic.min.isr": "2",
        "broker.session.timeout.ms": str(int(SESSION_S * 1_000)),
    }


class Cluster:
    """Run three Kafkas, brokers and controllers both.

    Attributes
    ----------
    servers
        Their addresses, as users write them.
    """

    def __init__(self) -> None:
        ports = free_ports(2 * len(NODES))
        pairs = {number: ports[2 * number - 2 : 2 * number] for number in NODES}
        voters = ",".join(f"{number}@{HOST}:{pair[1]}" for number, pair in pairs.items())
        cluster_id = new_cluster_id()
        self._nodes = {
            number: LocalKafka(
                pair[0],
                properties=_properties(number, ports=pair, voters=voters),
                java_options=_JAVA,
                cluster_id=cluster_id,
            )
            for number, pair in pairs.items()
        }
        self.servers = ",".join(f"{HOST}:{pair[0]}" for pair in pairs.values())

    def __enter__(self) -> Self:
        try:
            with ThreadPoolExecutor(len(NODES)) as pool:  # none answers before there is a majority
                list(pool.map(LocalKafka.start, self._nodes.values()))
        except BaseException:
            self.__exit__(None, None, None)
            raise
        self._admin = AdminClient({"bootstrap.servers": self.servers, "log_level": 2})
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for node in self._nodes.values():
            node.stop()

    # --- who is who

    def replicas(self, wanted: Callable[[str], bool]) -> dict[Place, Replicas]:
        """Return who has the partitions of the topics that are wanted."""
        topics = self._admin.list_topics(timeout=_ANSWER_S).topics.items()
        return {
            (name, number): Replicas(found.leader, frozenset(found.isrs), tuple(found.replicas))
            for name, topic in topics
            if wanted(name)
            for number, found in topic.partitions.items()
        }

    def busiest(self, prefix: str) -> int:
        """Return the node that leads most partitions of an installation."""
        found = self.replicas(lambda name: name.startswith(prefix))
        return Counter(one.leader for one in found.values()).most_common(1)[0][0]

    def group_coordinator(self, group: str) -> int:
        """Return the node that coordinates a consumer group."""
        asked = self._admin.describe_consumer_groups([group], request_timeout=_ANSWER_S)
        return int(asked[group].result(_ANSWER_S + 1).coordinator.id)

    def transaction_coordinator(self, transactional_id: str) -> int:
        """Return the node that coordinates the transactions of a producer."""
        topic = "__transaction_state"
        place = topic, _java_hash(transactional_id) % TRANSACTION_PARTITIONS
        return self.replicas(lambda name: name == topic)[place].leader

    def in_step_at_least(self, topics: Iterable[str]) -> dict[str, str]:
        """Return how many replicas must have a record before it counts, by topic."""
        resources = [ConfigResource(ResourceType.TOPIC, name) for name in topics]
        answers = self._admin.describe_configs(resources, request_timeout=_ANSWER_S)
        return {
            resource.name: answer.result(_ANSWER_S + 1)["min.insync.replicas"].value
            for resource, answer in answers.items()
        }

    # --- what can be done

    def end(self, number: int, how: signal.Signals = signal.SIGKILL) -> None:
        """End a node."""
        self._nodes[number].end(how)

    def restart(self, number: int) -> None:
        """Start a node that has ended, on its data."""
        self._nodes[number].restart()

    @contextmanager
    def frozen(self, number: int) -> Iterator[None]:
        """Stop a node's process until the block ends."""
        os.kill(self._nodes[number].pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self._nodes[number].pid, signal.SIGCONT)

    def heal(self) -> None:
        """Let all nodes run again, and wait until they have what they missed."""
        for node in self._nodes.values():
            if not node.running:
                node.restart()
        self.wait_until_whole()

    def wait_until_whole(self) -> None:
        """Wait until every partition has a leader, and all replicas are in step.

        Raises
        ------
        TimeoutError
            If that does not come.
        """
        self._wait(lambda one, _: one.whole, lambda _: True, "in step")

    def assign(self, wanted: Mapping[Place, Sequence[int]]) -> None:
        """Give partitions to other replicas, the first of each its leader, and wait for it."""
        plan = [
            {"topic": topic, "partition": number, "replicas": list(replicas)}
            for (topic, number), replicas in wanted.items()
        ]
        file = self._nodes[1].folder / "plan.json"
        file.write_text(json.dumps({"version": 1, "partitions": plan}))
        tool = "org.apache.kafka.tools.reassign.ReassignPartitionsCommand"
        options = ["--reassignment-json-file", str(file), "--execute"]
        command = ["java", "-Xmx96m", "-XX:TieredStopAtLevel=1", "-cp", f"{resolve_jars()}/*"]
        done = subprocess.run(
            [*command, tool, "--bootstrap-server", self.servers, *options],
            capture_output=True,
            text=True,
            timeout=_TOOL_S,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        topics = {topic for topic, _ in wanted}
        self._wait(
            lambda one, place: place not in wanted or one.in_step == set(wanted[place]),
            topics.__contains__,
            "reassigned",
        )
        self.elect(list(wanted))

    def elect(self, places: Sequence[Place]) -> None:
        """Make the first replica of each partition its leader, where it is not."""
        partitions = [TopicPartition(*place) for place in places]
        self._admin.elect_leaders(ElectionType.PREFERRED, partitions).result(_ANSWER_S)

    def _wait(
        self,
        reached: Callable[[Replicas, Place], bool],
        wanted: Callable[[str], bool],
        what: str,
    ) -> None:
        deadline_s = time.monotonic() + _WHOLE_S
        while time.monotonic() < deadline_s:
            try:
                found = self.replicas(wanted)
            except KafkaException:
                found = {}
            if found and all(reached(one, place) for place, one in found.items()):
                return
            time.sleep(_LOOK_S)
        raise TimeoutError(f"not {what} within {_WHOLE_S:.0f} s: {found}")


def _java_hash(text: str) -> int:
    """Return the size of Java's `String.hashCode`: by it Kafka chooses a coordinator.

    Examples
    --------
    >>> _java_hash("worker-0")
    35352993
    """
    found = 0
    for character in text:
        found = (31 * found + ord(character)) & 0xFFFFFFFF
    return min(found, (1 << 32) - found)
