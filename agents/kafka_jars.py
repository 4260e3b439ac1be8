"""The jars of a Kafka server: which version, where they are kept, and how they get there."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from xml.etree import ElementTree

POM = Path(__file__).resolve().parent.parent / "deploy" / "kafka" / "pom.xml"


class LocalKafkaError(RuntimeError):
    """A local Kafka cannot run here; the message says what is missing or went wrong."""


def missing_tools() -> list[str]:
    """Name the programs that a local Kafka needs and that are not on the ``PATH``."""
    return [tool for tool in ("java", "mvn") if shutil.which(tool) is None]


def kafka_version() -> str:
    """Read the version of the Kafka server that ``deploy/kafka/pom.xml`` pins."""
    if not POM.exists():
        raise LocalKafkaError(f"{POM} is missing: a local Kafka runs from a checkout only")
    version = ElementTree.parse(POM).findtext(".//{*}kafka.version")  # noqa: S314 - our own file
    if not version:
        raise LocalKafkaError(f"{POM} has no property kafka.version")
    return version


def cache_dir() -> Path:
    """Name the folder that holds the server jars, whether or not it exists.

    ``DRIFTLINE_CACHE_DIR`` replaces ``~/.cache/driftline``.
    """
    root = os.environ.get("DRIFTLINE_CACHE_DIR") or "~/.cache/driftline"
    return Path(root).expanduser() / f"kafka-{kafka_version()}"


def resolve_jars() -> Path:
    """Download the server jars unless they are cached; return their folder.

    Several processes may do so at once: the folder appears complete or not at all.

    Raises
    ------
    LocalKafkaError
        If Java or Maven is missing, or Maven fails.
    """
    missing = missing_tools()
    if missing:
        raise LocalKafkaError(
            f"a local Kafka needs {' and '.join(missing)} on the PATH: install a JDK (17 or "
            "later) and Maven, or set DRIFTLINE_BOOTSTRAP_SERVERS to a broker that runs"
        )
    target = cache_dir()
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix="fetch-") as folder:
        jars = Path(folder) / "jars"
        _copy_dependencies(jars)
        try:
            jars.rename(target)
        except OSError:  # another process was faster
            if not target.is_dir():
                raise
    return target


def _copy_dependencies(jars: Path) -> None:
    command = ["mvn", "--quiet", "--batch-mode", "--file", str(POM), "dependency:copy-dependencies"]
    options = [f"-DoutputDirectory={jars}", "-DincludeScope=runtime"]
    done = subprocess.run(
        [*command, *options], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode or not any(jars.glob("kafka_*.jar")):
        raise LocalKafkaError(f"Maven could not fetch Kafka:\n{done.stdout}{done.stderr}")


def java_command(libs: Path) -> list[str]:
    """Return the beginning of a command that runs something in the jars."""
    # The heap starts small: most brokers here live for seconds and carry little.
    return ["java", "-Xms128m", "-Xmx1g", "-XX:+UseSerialGC", "-cp", f"{libs}/*"]
