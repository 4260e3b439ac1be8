"""What docker-compose.yml starts is what there is: commands, settings, ports, files.

Docker itself is not asked: images are not pulled, and nothing is started.
"""

from __future__ import annotations

import json
import re
import subprocess
from typing import Any

import pytest
import typer
import yaml

from agents.cli import app
from agents.settings import check_environment, resolve
from agents.sinks import catalogue
from tests import debian
from tests.pages import ROOT

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: one for name, one in SERVICES.items() if one["image"].startswith("driftline:")}
SINKS = {name: one for name, one in OURS.items() if one["command"][0] == "sink"}
EPHEMERAL = {"topics"}
OFF_KAFKA = {"web"}
PROMETHEUS = yaml.safe_load((ROOT / "deploy" / "prometheus" / "compose.yml").read_text())


def environment(service: dict[str, Any]) -> dict[str, str]:
    given: dict[str, str] = service.get("environment", {})
    return {name: value for name, value in given.items() if name.startswith("DRIFTLINE_")}


def parsed(words: list[str]) -> dict[str, Any]:
    """Parse a command as the command line does, without running it."""
    node: Any = typer.main.get_command(app)
    while hasattr(node, "get_command"):
        name, *words = words
        found = node.get_command(None, name)
        assert found is not None, f"there is no command {name!r}"
        node = found
    parameters: dict[str, Any] = node.make_context(node.name, words).params
    return parameters


@pytest.mark.parametrize("name", OURS)
def test_every_command_is_one_of_the_command_line_with_settings_that_there_are(name: str) -> None:
    given = environment(OURS[name])

    parameters = parsed(list(OURS[name]["command"]))

    check_environment(given)
    if name in OFF_KAFKA:
        assert set(given) == {"DRIFTLINE_HISTORY", "DRIFTLINE_WEB_TOKEN"}
        return
    settings = resolve({"bootstrap_servers": parameters["bootstrap_servers"]}, environ=given)
    assert settings.bootstrap_servers == "kafka:19092"


def test_a_command_that_there_is_not_would_be_found() -> None:
    with pytest.raises(AssertionError, match="'sqll'"):
        parsed(["sink", "sqll"])
    with pytest.raises(Exception, match="No such option: --interva"):
        parsed(["sink", "alertmanager", "http://a", "--interva", "1s"])
    with pytest.raises(Exception, match="Missing parameter: target"):
        parsed(["sink", "alertmanager"])


def test_options_of_sinks_are_accepted_by_them() -> None:
    for service in SINKS.values():
        parameters = parsed(list(service["command"]))
        sink = catalogue.find(service["command"][1])
        assert sink is not None
        own = {name: parameters[name] for name in sink.options.__struct_fields__}
        sink(sink.options(**own)).close()  # type: ignore[call-arg]


def test_who_waits_for_somebody_healthy_waits_for_somebody_who_says_so() -> None:
    for name, service in SERVICES.items():
        assert ("healthcheck" in service) != (name in EPHEMERAL), name
        for other, wanted in service.get("depends_on", {}).items():
            ends = wanted["condition"] == "service_completed_successfully"
            assert ends == (other in EPHEMERAL), (name, other)


def test_passwords_come_from_the_environment_and_who_only_reads_has_another() -> None:
    writes = "${DRIFTLINE_DB_PASSWORD:-driftline}"
    reads = "${DRIFTLINE_DB_READER_PASSWORD:-driftline-reader}"

    given = {
        name: {value for key, value in service.get("environment", {}).items() if "PASSWORD" in key}
        for name, service in SERVICES.items()
    }

    wanted = {"sink-sql": {writes}, "postgres": {writes, reads}, "web": {reads}, "grafana": {reads}}
    assert {name: some for name, some in given.items() if some} == wanted
    for service in SERVICES.values():
        assert not re.search(r"://\w+:[^@/]+@", json.dumps(service))


def test_addresses_lead_to_services_that_are_there() -> None:
    text = json.dumps({name: one.get("environment", {}) for name, one in OURS.items()})
    text += json.dumps([one["command"] for one in OURS.values()])

    hosts = set(re.findall(r"(?://(?:\w+@)?|\")([a-z-]+)(?::\d+|/driftline)", text))

    assert {"kafka", "postgres", "alertmanager"} <= hosts <= SERVICES.keys()


def test_prometheus_scrapes_every_sink_where_it_answers_and_tells_the_alertmanager() -> None:
    _, sinks = PROMETHEUS["scrape_configs"]
    [alerting] = PROMETHEUS["alerting"]["alertmanagers"]

    ports = {name: one["environment"]["DRIFTLINE_METRICS_PORT"] for name, one in SINKS.items()}

    assert sinks["static_configs"] == [{"targets": [f"{n}:{port}" for n, port in ports.items()]}]
    assert all(one["environment"]["DRIFTLINE_METRICS_HOST"] == "0.0.0.0" for one in SINKS.values())
    for name, one in SINKS.items():
        assert f"http://127.0.0.1:{ports[name]}/readyz" in one["healthcheck"]["test"][-1]
    assert alerting["static_configs"] == [{"targets": ["alertmanager:9093"]}]


def test_folders_that_are_mounted_have_the_files_that_are_named() -> None:
    for name in ("prometheus", "alertmanager"):
        [mounted] = [one for one in SERVICES[name]["volumes"] if one.startswith("./")]
        folder, inside, mode = mounted.split(":")
        [file] = [
            word.partition("=")[2] for word in SERVICES[name]["command"] if "--config.file" in word
        ]
        assert (ROOT / folder / file.removeprefix(f"{inside}/")).is_file()
        assert mode == "ro"
    for name in ("grafana", "postgres"):
        for one in SERVICES[name]["volumes"]:
            folder, _, mode = [*one.split(":"), ""][:3]
            assert not folder.startswith(".") or (any((ROOT / folder).iterdir()) and mode == "ro")
    named = {one.split(":")[0] for s in SERVICES.values() for one in s.get("volumes", [])}
    assert {one for one in named if not one.startswith(".")} == set(COMPOSE["volumes"])


def test_grafana_finds_its_data_sources_and_dashboards_where_they_are() -> None:
    folder = ROOT / "deploy" / "grafana" / "provisioning"
    [provider] = yaml.safe_load((folder / "dashboards" / "driftline.yml").read_text())["providers"]
    found = yaml.safe_load((folder / "datasources" / "driftline.yml").read_text())["datasources"]
    settings = SERVICES["grafana"]["environment"]
    mounted = dict(one.split(":")[:2] for one in SERVICES["grafana"]["volumes"])

    inside = provider["options"]["path"]

    assert mounted["./deploy/grafana/dashboards"] == inside
    assert mounted["./deploy/grafana/provisioning"] == "/etc/grafana/provisioning"
    assert settings["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"] == f"{inside}/fleet.json"
    assert (ROOT / "deploy" / "grafana" / "dashboards" / "fleet.json").is_file()
    assert settings["GF_SERVER_ENFORCE_DOMAIN"] == "true"  # against DNS rebinding
    assert settings["GF_SERVER_DOMAIN"] in SERVICES["grafana"]["ports"][0]
    hosts = {re.split("[:/]+", one["url"])[-2] for one in found}
    assert hosts == {"postgres", "prometheus"} <= SERVICES.keys()
    password = found[0]["secureJsonData"]["password"].removeprefix("$")
    reader = (ROOT / "deploy" / "postgresql" / "reader.sql").read_text()
    assert password in settings
    assert f"\\getenv password {password}\n" in reader
    assert f"CREATE ROLE {found[0]['user']} " in reader


def test_the_image_has_what_the_history_needs() -> None:
    dockerfile = (ROOT / "deploy" / "Dockerfile").read_text()

    assert "'.[postgresql]'" in dockerfile


def test_the_configuration_of_alertmanager_is_accepted_by_it() -> None:
    checker = debian.program("amtool")
    file = ROOT / "deploy" / "alertmanager" / "alertmanager.yml"

    done = subprocess.run(
        [checker, "check-config", str(file)], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
