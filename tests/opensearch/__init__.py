"""A real OpenSearch from the jars that Maven has, without Docker."""

from __future__ import annotations

import json
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from agents.local_kafka import HOST
from tests import debian
from tests.pages import ROOT
from tests.ports import free_ports

_HERE = Path(__file__).parent
_JARS = ROOT / "build" / "opensearch"


class OpenSearch:
    """One node."""

    def __init__(self, url: str) -> None:
        self.url = url

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        kind = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.url}{path}", data, kind, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read())

    def found(self, index: str, query: str = "*") -> dict[str, dict[str, Any]]:
        """Return the documents that a query finds, by their names."""
        self.ask("POST", "/_refresh")
        hits = self.ask("GET", f"/{index}/_search?size=100&q={query}")["hits"]["hits"]
        return {hit["_id"]: hit["_source"] for hit in hits}


@contextmanager
def running(folder: Path) -> Iterator[OpenSearch]:
    """Run a node whose files are in a folder."""
    java, maven = debian.program("java"), debian.program("mvn")
    if not _JARS.is_dir():
        copy = [maven, "-q", "-B", "-f", str(_HERE / "pom.xml"), "dependency:copy-dependencies"]
        subprocess.run([*copy, f"-DoutputDirectory={_JARS}"], check=True)
    http, transport = free_ports(2)
    command = [java, "-Xmx512m", "-cp", f"{_JARS}/*", str(_HERE / "Single.java")]
    command += [str(folder), str(http), str(transport)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
    node = OpenSearch(f"http://{HOST}:{http}")
    try:
        what = "OpenSearch does not answer"
        debian.wait_until(lambda: _answers(node), what=what, deadline_s=180)
        yield node
    finally:
        process.terminate()
        process.wait(30)


def _answers(node: OpenSearch) -> bool:
    try:
        health: str = node.ask("GET", "/_cluster/health")["status"]
    except (urllib.error.URLError, OSError):
        return False
    return health != "red"
