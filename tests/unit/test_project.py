"""The project as a package: its names, its files, its pins."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml

from agents.health import Health
from agents.local_kafka import kafka_version
from agents.settings import FIRST_PORT, check_environment
from agents.sinks.prometheus import PORT as EXPORTER_PORT
from agents.telemetry import Telemetry
from streams.topics import Topics

ROOT = Path(__file__).resolve().parents[2]
PROBES = ("startup", "liveness", "readiness")
PACKAGES = {"driftline": "driftline-client", "streams": "driftline", "agents": "driftline"}


@pytest.mark.parametrize("name", PACKAGES)
def test_no_other_distribution_owns_our_top_level_names(name: str) -> None:
    owners = set(packages_distributions().get(name, [PACKAGES[name]]))

    assert owners == {PACKAGES[name]}


@pytest.mark.parametrize("name", PACKAGES)
def test_our_top_level_names_lead_to_this_checkout(name: str, tmp_path: Path) -> None:
    code = f"import importlib.util as u; print(*u.find_spec({name!r}).submodule_search_locations)"

    path = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout.strip()

    assert Path(path) == ROOT / name


@pytest.mark.parametrize("name", PACKAGES)
def test_no_file_is_longer_than_a_reader_keeps_in_mind(name: str) -> None:
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text().splitlines())
        for path in (ROOT / name).rglob("*.py")
    }

    assert lengths
    assert [path for path, lines in lengths.items() if lines > 400] == []


@pytest.mark.parametrize("name", ["streams", "agents"])
def test_no_folder_of_tests_shadows_a_package(name: str) -> None:
    assert not [path for path in (ROOT / "tests").rglob(name) if path.is_dir()]


def test_the_two_wheels_are_of_one_version_and_the_client_needs_two_packages() -> None:
    whole, client = (
        tomllib.loads((ROOT / folder / "pyproject.toml").read_text()) for folder in (".", "client")
    )

    assert whole["project"]["version"] == client["project"]["version"]
    assert set(client["project"]["dependencies"]) < set(whole["project"]["dependencies"])
    names = [re.split("[>=]", one)[0] for one in client["project"]["dependencies"]]
    assert names == ["confluent-kafka", "msgspec"]
    assert whole["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"] == ["streams", "agents"]


def test_compose_and_maven_pin_the_same_kafka() -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())

    assert compose["services"]["kafka"]["image"] == f"apache/kafka:{kafka_version()}"


def test_compose_publishes_ports_on_the_loopback_interface_only() -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())

    ports = [port for service in compose["services"].values() for port in service.get("ports", [])]

    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_kubernetes_probes_paths_and_sets_settings_that_there_are() -> None:
    worker = yaml.safe_load((ROOT / "deploy" / "k8s" / "worker.yaml").read_text())
    (container,) = worker["spec"]["template"]["spec"]["containers"]
    health = Health(Telemetry(version="1"), topics=Topics(), host="127.0.0.1", port=0)

    probed = {container[f"{kind}Probe"]["httpGet"]["path"] for kind in PROBES}

    assert probed == set(health.probes)
    check_environment(dict.fromkeys((variable["name"] for variable in container["env"]), ""))


def test_every_make_target_explains_itself() -> None:
    makefile = (ROOT / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)

    explained = re.findall(r"^([a-z-]+):.*## .+$", makefile, re.MULTILINE)

    assert phony
    assert sorted(explained) == sorted(phony.group(1).split())


def test_prometheus_is_told_where_a_worker_of_this_host_answers_and_which_rules_there_are() -> None:
    folder = ROOT / "deploy" / "prometheus"
    configs = {
        name: yaml.safe_load((folder / name).read_text())
        for name in ("prometheus.yml", "compose.yml")
    }
    here, sinks = configs["prometheus.yml"]["scrape_configs"]
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["prometheus"]

    assert here["static_configs"] == [{"targets": [f"127.0.0.1:{FIRST_PORT}"]}]
    assert sinks["static_configs"] == [{"targets": [f"127.0.0.1:{EXPORTER_PORT}"]}]
    assert "--config.file=/etc/prometheus/compose.yml" in compose["command"]
    for config in configs.values():
        jobs = [job["job_name"] for job in config["scrape_configs"]]
        assert jobs == ["driftline", "driftline-sinks"]  # as the rules have the first
        assert all((folder / name).exists() for name in config["rule_files"])
