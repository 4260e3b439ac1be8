"""The folder of a Kafka server: which cluster it belongs to, and how it is made."""

from __future__ import annotations

import subprocess
import uuid
from base64 import urlsafe_b64encode
from pathlib import Path

from agents.kafka_jars import LocalKafkaError, java_command


def new_cluster_id() -> str:
    """Make a Kafka UUID, 22 characters, of which the first is never an option's dash."""
    return "k" + urlsafe_b64encode(uuid.uuid4().bytes).decode()[1:22]


def format_storage(libs: Path, config: Path, *, cluster_id: str) -> None:
    """Make the folder of a new node ready for its first start."""
    tool = ["kafka.tools.StorageTool", "format", "-t", cluster_id, "-c", str(config)]
    done = subprocess.run(
        [*java_command(libs), *tool],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise LocalKafkaError(f"Kafka's storage tool failed:\n{done.stdout}{done.stderr}")


def known_cluster_id(folder: Path) -> str | None:
    """Read which cluster the data in a folder are of; None if there are none yet."""
    file = folder / "data" / "meta.properties"
    if not file.exists():
        return None
    lines = dict(line.partition("=")[::2] for line in file.read_text().splitlines())
    return lines.get("cluster.id")
