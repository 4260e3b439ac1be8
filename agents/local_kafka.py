"""A real Kafka on this machine, without containers: Java, and server jars from Maven.

For development and tests only. The broker listens on the loopback interface, is its own KRaft
controller, keeps its data in a temporary folder and loses it when it stops, unless it was given a
folder for them.

``python -m agents.local_kafka --port 9092`` runs one in the foreground.
"""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from agents.kafka_jars import (
    LocalKafkaError,
    cache_dir,
    java_command,
    kafka_version,
    missing_tools,
    resolve_jars,
)
from agents.kafka_storage import format_storage, known_cluster_id, new_cluster_id

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType
    from typing import Self

__all__ = [
    "HOST",
    "LocalKafka",
    "LocalKafkaError",
    "cache_dir",
    "kafka_version",
    "missing_tools",
    "new_cluster_id",
    "resolve_jars",
]

HOST = "127.0.0.1"
STARTS = 3  # a free port may be taken by someone else before Kafka binds it
START_SECONDS = 60
LONGEST_MS = 2**63 - 1

# What a single throw-away node needs, and what the tests rely on.
PROPERTIES: Mapping[str, str] = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    # one node: nothing to replicate to
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    # small and quick to start
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.num.partitions": "1",
    "log.cleaner.dedupe.buffer.size": "16777216",
    "num.network.threads": "2",
    "num.io.threads": "4",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    # a topic that nobody created is a mistake to be seen
    "auto.create.topics.enable": "false",
    # 10 MB values are among the poison that the tests send
    "message.max.bytes": "12582912",
    "replica.fetch.max.bytes": "12582912",
    # records carry event times, from any year: never refused, never deleted for their age
    "log.message.timestamp.before.max.ms": str(LONGEST_MS),
    "log.message.timestamp.after.max.ms": str(LONGEST_MS),
    "log.retention.ms": "-1",
}


class LocalKafka:
    """Run a one-node Kafka for as long as the ``with`` block lasts.

    The broker dies with this process, however that ends.

    Parameters
    ----------
    port
        Where to listen on 127.0.0.1; 0 takes a free port.
    properties
        Server properties that add to or replace ``PROPERTIES``.
    java_options
        Of the broker; they come after ours, so that a heap size here wins.
    cluster_id
        What several nodes of one cluster have in common; None makes one up.
    data
        A folder that keeps the data when the broker stops, for the next to go on with; None takes
        a temporary one, which is deleted.

    Attributes
    ----------
    bootstrap_servers : str
        ``127.0.0.1:<port>`` while the broker runs.
    pid : int
        Process id of the broker's Java.

    Raises
    ------
    LocalKafkaError
        On entry, if Java or Maven is missing, the jars cannot be had, or Kafka does not start.
    """

    def __init__(
        self,
        port: int = 0,
        *,
        properties: Mapping[str, str] | None = None,
        java_options: Sequence[str] = (),
        cluster_id: str | None = None,
        data: Path | None = None,
    ) -> None:
        self._wanted_port = port
        self._properties = dict(properties or {})
        self._java_options = java_options
        self._kept = data
        self._folder: Path | None = None
        self._server: subprocess.Popen[bytes] | None = None
        self._watchdog: subprocess.Popen[bytes] | None = None
        self._cluster_id = cluster_id or new_cluster_id()
        self.bootstrap_servers = ""

    @property
    def pid(self) -> int:
        """Give the process id of the broker; an error if it was never started."""
        if self._server is None:
            raise LocalKafkaError("the local Kafka does not run")
        return self._server.pid

    @property
    def running(self) -> bool:
        """Whether there is a broker that has not ended."""
        return self._server is not None and self._server.poll() is None

    @property
    def folder(self) -> Path:
        """Where the broker keeps its data, in ``data``; an error if it was never started."""
        if self._folder is None:
            raise LocalKafkaError("the local Kafka does not run")
        return self._folder

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start the broker and wait until it answers; one that runs is left as it is."""
        if self._server is not None:
            return
        libs = resolve_jars()
        for attempts_left in reversed(range(STARTS)):
            try:
                self._start_once(libs)
            except _PortTakenError:
                self.stop()
                if self._wanted_port or not attempts_left:
                    raise
            except BaseException:
                self.stop()
                raise
            else:
                return

    def stop(self) -> None:
        """End the broker and delete its data, unless they are kept; stopping twice does nothing."""
        if self._server is not None:
            if self._kept is not None:
                self._server.terminate()
                with suppress(subprocess.TimeoutExpired):
                    self._server.wait(START_SECONDS)
            self._server.kill()
            self._server.wait()
        self._end_watchdog()
        if self._folder is not None and self._kept is None:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._server = self._folder = None
        self.bootstrap_servers = ""

    def _end_watchdog(self) -> None:
        if self._watchdog is None:
            return
        self._watchdog.kill()
        self._watchdog.wait()
        if self._watchdog.stdin is not None:
            self._watchdog.stdin.close()
        self._watchdog = None

    def end(self, number: signal.Signals = signal.SIGKILL) -> int:
        """End the broker as a fault would, and keep its data; return its exit status."""
        if self._server is None:
            raise LocalKafkaError("the local Kafka does not run")
        self._server.send_signal(number)
        return self._server.wait(START_SECONDS)

    def restart(self) -> None:
        """Start a broker that has ended again, on the data that it left and at the same address.

        Raises
        ------
        LocalKafkaError
            If it still runs, or does not come back.
        """
        if self._server is None or self._server.poll() is None:
            raise LocalKafkaError("only a broker that has ended can be restarted")
        assert self._folder is not None
        self._end_watchdog()
        self._launch(resolve_jars(), self.bootstrap_servers)

    def wait(self) -> int:
        """Block until the broker's process has ended; return its exit status."""
        if self._server is None:
            raise LocalKafkaError("the local Kafka does not run")
        return self._server.wait()

    def _start_once(self, libs: Path) -> None:
        port = self._wanted_port or _free_port()
        self._folder = self._kept or Path(tempfile.mkdtemp(prefix="driftline-kafka-"))
        self._folder.mkdir(parents=True, exist_ok=True)
        config = self._folder / "server.properties"
        config.write_text(_server_properties(self._folder, port=port, extra=self._properties))
        if (known := known_cluster_id(self._folder)) is not None:
            self._cluster_id = known
        else:
            format_storage(libs, config, cluster_id=self._cluster_id)
        self._launch(libs, f"{HOST}:{port}")

    def _launch(self, libs: Path, address: str) -> None:
        assert self._folder is not None
        config, log = self._folder / "server.properties", self._folder / "server.log"
        with log.open("ab") as output:
            self._server = subprocess.Popen(
                [*java_command(libs), *self._java_options, "kafka.Kafka", str(config)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for us; we then stop the broker
            )
        deleted = self._folder if self._kept is None else None
        self._watchdog = _watch(self._server.pid, deleted=deleted)
        self._await_answer(address, cluster_id=self._cluster_id, log=log)
        self.bootstrap_servers = address

    def _await_answer(self, address: str, *, cluster_id: str, log: Path) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._server is None or self._server.poll() is not None:
                raise _start_error(log)
            answer = _ask_cluster_id(address) if _listens(address) else None
            if answer == cluster_id:
                return
            if answer is not None:
                raise _PortTakenError(f"another Kafka listens at {address}")
            time.sleep(0.1)
        raise LocalKafkaError(f"Kafka did not answer within {START_SECONDS} s:\n{_tail(log)}")


class _PortTakenError(LocalKafkaError):
    """The port was in use when Kafka tried to bind it."""


def _server_properties(folder: Path, *, port: int, extra: Mapping[str, str]) -> str:
    controller = f"{HOST}:{_free_port(other_than=port)}"
    where = {
        "listeners": f"PLAINTEXT://{HOST}:{port},CONTROLLER://{controller}",
        "advertised.listeners": f"PLAINTEXT://{HOST}:{port}",
        "controller.quorum.voters": f"1@{controller}",
        "log.dirs": str(folder / "data"),
    }
    merged = {**PROPERTIES, **where, **extra}
    return "".join(f"{key}={value}\n" for key, value in merged.items())


def _watch(pid: int, *, deleted: Path | None) -> subprocess.Popen[bytes]:
    """Start a process that ends the broker and deletes its data once this process is gone.

    It blocks on a pipe whose other end only this process holds. That end closes even after a
    kill -9, which no exit handler would see.
    """
    script = 'read -r _; if [ -n "$1" ]; then kill -9 "$0"; rm -rf "$1"; else kill "$0"; fi'
    return subprocess.Popen(
        ["/bin/sh", "-c", script, str(pid), str(deleted or "")],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _free_port(*, other_than: int = 0) -> int:
    port = other_than
    while port == other_than:
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            port = int(probe.getsockname()[1])
    return port


def _listens(address: str) -> bool:
    # Asked before a Kafka client is made, which would log every refused connection.
    host, _, port = address.rpartition(":")
    with suppress(OSError), socket.create_connection((host, int(port)), timeout=1):
        return True
    return False


def _ask_cluster_id(address: str) -> str | None:
    admin = AdminClient({"bootstrap.servers": address, "log_level": 0})
    with suppress(KafkaException):
        metadata = admin.list_topics(timeout=5)
        if metadata.brokers:
            return str(metadata.cluster_id)
    return None


def _start_error(log: Path) -> LocalKafkaError:
    text = _tail(log)
    if "Address already in use" in text or "BindException" in text:
        return _PortTakenError(f"Kafka's port is in use by another process:\n{text}")
    return LocalKafkaError(f"Kafka ended while it started:\n{text}")


def _tail(log: Path, *, lines: int = 30) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


def run(
    port: Annotated[int, typer.Option(help="Where to listen on 127.0.0.1; 0: a free port.")] = 9092,
    data: Annotated[
        Path | None, typer.Option(help="A folder that keeps the data. Default: none is kept.")
    ] = None,
) -> None:
    """Run a real Kafka in the foreground until Ctrl-C; it forgets everything without --data."""
    # SIGINT too: a shell lets its background jobs ignore it.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        typer.echo(f"Starting Kafka {kafka_version()} (the first time downloads 54 MB of jars) …")
        with LocalKafka(port, data=data and data.expanduser().absolute()) as kafka:
            fate = f"keeps its data in {data}" if data else "forgets everything when it stops"
            typer.echo(f"Kafka answers at {kafka.bootstrap_servers} and {fate}. Ctrl-C stops it.")
            status = kafka.wait()
    except KeyboardInterrupt:
        typer.echo(f"Kafka stopped; its data is {f'in {data}' if data else 'deleted'}.")
    except LocalKafkaError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    else:
        typer.echo(f"Kafka ended by itself, with status {status}.", err=True)
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(run)
