"""A broker that can be harmed, with two doors: one for those who watch, one through the proxy."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from agents.local_kafka import HOST, LocalKafka
from tests.faults.proxy import Proxy
from tests.ports import free_ports


def _properties(direct: int, proxied: int, controller: int, proxy: int) -> dict[str, str]:
    """Let clients of the second listener be told the proxy's address, never the broker's."""
    return {
        "listeners": (
            f"PLAINTEXT://{HOST}:{direct},PROXIED://{HOST}:{proxied},"
            f"CONTROLLER://{HOST}:{controller}"
        ),
        "advertised.listeners": f"PLAINTEXT://{HOST}:{direct},PROXIED://{HOST}:{proxy}",
        "listener.security.protocol.map": (
            "PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT,CONTROLLER:PLAINTEXT"
        ),
        "controller.quorum.voters": f"1@{HOST}:{controller}",
    }


@dataclass
class SmallDisk:
    """A file system in memory that can be filled; needs the right to mount.

    Raises
    ------
    PermissionError
        On entry, where mounting is not allowed.
    """

    megabytes: int
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="driftline-disk-")))

    def __enter__(self) -> Self:
        size = f"size={self.megabytes}m"
        command = ["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(self.folder)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except FileNotFoundError as error:
            raise PermissionError(str(error)) from None
        if done.returncode:
            self.folder.rmdir()
            raise PermissionError(done.stderr.strip())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        subprocess.run(["umount", "--lazy", str(self.folder)], check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def data(self) -> Path:
        """Where the broker may write."""
        return self.folder / "data"

    def fill(self) -> None:
        """Leave no byte free."""
        with (self.folder / "ballast").open("wb", buffering=0) as ballast:
            try:
                while True:
                    ballast.write(bytes(65_536))
            except OSError:
                return

    def free(self) -> None:
        """Take the ballast away."""
        (self.folder / "ballast").unlink()


class FaultyBroker:
    """Run a Kafka of our own.

    Attributes
    ----------
    servers
        The direct door, for producers and observers.
    proxied_servers
        The door through `proxy`, for workers whose network is to be bad.
    disk
        Where it keeps its data, if that can be filled.
    """

    def __init__(self, *, log_dir: Path | None = None, disk: SmallDisk | None = None) -> None:
        direct, proxied, controller, proxy = free_ports(4)
        properties = _properties(direct, proxied, controller, proxy)
        self.disk = disk
        log_dir = log_dir if disk is None else disk.data
        if log_dir is not None:
            properties["log.dirs"] = str(log_dir)
        self.kafka = LocalKafka(direct, properties=properties)
        self.proxy = Proxy(proxy, proxied)
        self.servers = f"{HOST}:{direct}"
        self.proxied_servers = f"{HOST}:{proxy}"

    def __enter__(self) -> Self:
        self.kafka.start()
        self.proxy.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.proxy.__exit__(kind, error, traceback)
        self.kafka.stop()

    def heal(self) -> None:
        """Let the network be a good one again."""
        self.proxy.heal()

    def bounce(self, number: signal.Signals, *, away_s: float) -> None:
        """End the broker, and start it again after a while, on its data."""
        self.kafka.end(number)
        time.sleep(away_s)
        self.kafka.restart()

    def wait_for_end(self, timeout_s: float) -> bool:
        """Tell whether the broker has ended by itself within so many seconds."""
        deadline_s = time.monotonic() + timeout_s
        while time.monotonic() < deadline_s:
            if psutil.Process(self.kafka.pid).status() == psutil.STATUS_ZOMBIE:
                self.kafka.wait()
                return True
            time.sleep(0.1)
        return False

    def stall(self, seconds: float) -> None:
        """Stop the process for a while: what a disk that does not answer looks like."""
        os.kill(self.kafka.pid, signal.SIGSTOP)
        try:
            time.sleep(seconds)
        finally:
            os.kill(self.kafka.pid, signal.SIGCONT)
