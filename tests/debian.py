"""Prometheus and Alertmanager, from the programs that Debian has."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from agents.local_kafka import HOST
from tests.brokers import on_ci
from tests.ports import free_ports

DEADLINE_S = 60.0


class Served(NamedTuple):
    """A program that answers HTTP."""

    url: str

    def ask(self, path: str, **parameters: str) -> Any:
        query = f"?{urllib.parse.urlencode(parameters)}" if parameters else ""
        with urllib.request.urlopen(f"{self.url}{path}{query}", timeout=10) as answer:
            return json.loads(answer.read())


def program(*names: str) -> str:
    """Find a program by one of its names; where there is none, skip on a laptop, fail on CI."""
    for name in names:
        if (found := shutil.which(name)) is not None:
            return found
    message = f"{names[0]} is not installed: apt-get install {names[0]}"
    if on_ci():
        pytest.fail(f"CI needs it: {message}")
    pytest.skip(message)


def wait_until(reached: Callable[[], bool], *, what: str, deadline_s: float = DEADLINE_S) -> None:
    ends_s = time.monotonic() + deadline_s
    while not reached():
        assert time.monotonic() < ends_s, what
        time.sleep(0.05)


@contextmanager
def _running(command: Sequence[str], folder: Path, url: str) -> Iterator[Served]:
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
    try:
        wait_until(lambda: _is_ready(url), what=(folder / "log").read_text()[-2000:])
        yield Served(url)
    finally:
        process.terminate()
        process.wait(30)


def _is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/-/ready", timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


@contextmanager
def run_alertmanager(folder: Path, *, receiver_url: str) -> Iterator[Served]:
    """Run an Alertmanager that tells a receiver of every alert at once."""
    [port] = free_ports(1)
    route = {"receiver": "test", "group_by": ["..."], "group_wait": "0s", "group_interval": "1s"}
    receivers = [{"name": "test", "webhook_configs": [{"url": receiver_url}]}]
    (folder / "config.yml").write_text(json.dumps({"route": route, "receivers": receivers}))
    command = [
        program("prometheus-alertmanager", "alertmanager"),
        "--config.file=config.yml",
        "--storage.path=data",
        f"--web.listen-address={HOST}:{port}",
        "--cluster.listen-address=",
    ]
    with _running(command, folder, f"http://{HOST}:{port}") as served:
        yield served


@contextmanager
def run_prometheus(
    folder: Path, *, target: str, names: Sequence[str] = ("driftline-sinks",)
) -> Iterator[Served]:
    """Run a Prometheus that scrapes a target every second, once for each name of a job."""
    [port] = free_ports(1)
    jobs = [{"job_name": name, "static_configs": [{"targets": [target]}]} for name in names]
    every = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    (folder / "config.yml").write_text(json.dumps({"global": every, "scrape_configs": jobs}))
    command = [
        program("prometheus"),
        "--config.file=config.yml",
        "--storage.tsdb.path=data",
        f"--web.listen-address={HOST}:{port}",
    ]
    with _running(command, folder, f"http://{HOST}:{port}") as served:
        yield served
