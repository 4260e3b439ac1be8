"""What Kubernetes is given: valid, without privileges, with settings and commands that there are.

No cluster is asked. Where kubectl is, it puts the parts together; otherwise only these are checked.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import typer
import yaml

from agents.cli import app
from agents.history import database
from agents.settings import check_environment
from streams.topics import Topics
from tests.pages import ROOT

FOLDER = ROOT / "deploy" / "k8s"
_VERSIONS = ("1.28", "1.32", "1.36")
_OURS_ALONE = {"DRIFTLINE_WEB_TOKEN", database.VARIABLE}


def documents() -> list[dict[str, Any]]:
    found = []
    for path in sorted(FOLDER.glob("*.yaml")):
        if path.name not in ("kustomization.yaml", "restricted.yaml"):
            found += list(yaml.safe_load_all(path.read_text()))
    return found


DOCUMENTS = documents()
DEPLOYMENTS = {one["metadata"]["name"]: one for one in DOCUMENTS if one["kind"] == "Deployment"}


@cache
def built(*components: str) -> list[dict[str, Any]]:
    """Return what kustomize makes of it all."""
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")
    command = ["kubectl", "kustomize", str(FOLDER)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def named(found: list[dict[str, Any]], kind: str) -> dict[str, dict[str, Any]]:
    return {one["metadata"]["name"]: one for one in found if one["kind"] == kind}


def parsed(words: list[str]) -> Any:
    node: Any = typer.main.get_command(app)
    while hasattr(node, "get_command"):
        name, *words = words
        node = node.get_command(None, name)
        assert node is not None, f"there is no command {name!r}"
    return node.make_context(node.name, words)


@pytest.mark.parametrize("version", _VERSIONS)
def test_every_part_is_what_the_schemas_of_kubernetes_say(version: str) -> None:
    for one in DOCUMENTS:
        kubernetes_validate.validate(one, version, strict=True)


@pytest.mark.parametrize("version", _VERSIONS)
def test_all_of_it_together_is_what_the_schemas_say(version: str) -> None:
    for one in built():
        kubernetes_validate.validate(one, version, strict=True)


def test_a_field_that_there_is_not_would_be_found() -> None:
    wrong = json.loads(json.dumps(DEPLOYMENTS["driftline-worker"]))
    wrong["spec"]["template"]["spec"]["topologySpread"] = []

    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, _VERSIONS[-1], strict=True)


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_commands_and_settings_are_those_that_there_are(name: str) -> None:
    [container] = DEPLOYMENTS[name]["spec"]["template"]["spec"]["containers"]

    parsed(list(container["args"]))

    given = {one["name"]: one.get("value", "") for one in container["env"]}
    check_environment({key: "" for key in given if key.startswith("DRIFTLINE_")})
    ports = {one["name"]: one["containerPort"] for one in container["ports"]}
    probed = [container[probe] for probe in container if probe.endswith("Probe")]
    assert all((one.get("httpGet") or one["tcpSocket"])["port"] in ports for one in probed)
    if "metrics" in ports:
        template = DEPLOYMENTS[name]["spec"]["template"]["metadata"]
        assert template["annotations"]["prometheus.io/port"] == str(ports["metrics"])
        assert given["DRIFTLINE_METRICS_PORT"] == str(ports["metrics"])
        assert given["DRIFTLINE_METRICS_HOST"] == "0.0.0.0"


def test_settings_that_are_shared_are_those_that_there_are() -> None:
    generated = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())["configMapGenerator"]

    names = {line.partition("=")[0] for one in generated for line in one["literals"]}

    check_environment(dict.fromkeys(names, ""))
    assert names == {"DRIFTLINE_BOOTSTRAP_SERVERS", database.VARIABLE}
    used = {
        source["configMapRef"]["name"]
        for one in DEPLOYMENTS.values()
        for source in one["spec"]["template"]["spec"]["containers"][0]["envFrom"]
    }
    assert used == {one["name"] for one in generated}


def test_no_pod_has_more_rights_than_it_needs() -> None:
    for one in named(built(), "Deployment").values():
        pod = one["spec"]["template"]["spec"]
        [container] = pod["containers"]
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["limits"]["memory"]
        assert all("emptyDir" in volume for volume in pod.get("volumes", []))
    text = json.dumps(built())
    assert "hostPath" not in text
    assert not {"Role", "ClusterRole", "RoleBinding"} & {one["kind"] for one in built()}


def test_no_password_stands_in_a_file() -> None:
    for path in FOLDER.rglob("*.yaml"):
        text = path.read_text()
        assert "kind: Secret" not in text
        assert ":secret@" not in text
    for one in DEPLOYMENTS.values():
        for variable in one["spec"]["template"]["spec"]["containers"][0]["env"]:
            if variable["name"] in ("PGPASSWORD", "DRIFTLINE_WEB_TOKEN"):
                assert "secretKeyRef" in variable["valueFrom"]


def test_whoever_may_be_asked_or_may_ask_is_named() -> None:
    """Each policy selects pods that there are, and opens ports that they have."""
    pods = {
        name: one["spec"]["template"]["metadata"]["labels"] for name, one in DEPLOYMENTS.items()
    }
    reached: dict[str, set[object]] = {name: set() for name in pods}
    for policy in named(DOCUMENTS, "NetworkPolicy").values():
        spec = policy["spec"]
        chosen = [name for name, labels in pods.items() if _selects(spec["podSelector"], labels)]
        assert chosen
        for rule in spec.get("egress", []):
            for name in chosen:
                reached[name] |= {port["port"] for port in rule["ports"]}
        for rule in spec.get("ingress", []):
            for name in chosen:
                [container] = DEPLOYMENTS[name]["spec"]["template"]["spec"]["containers"]
                there = {one["name"] for one in container["ports"]}
                assert {port["port"] for port in rule["ports"]} <= there

    assert reached == {
        "driftline-worker": {53, 9092},
        "driftline-sink-sql": {53, 9092, 5432},
        "driftline-sink-prometheus": {53, 9092},
        "driftline-sink-alertmanager": {53, 9092, 9093},
        "driftline-web": {53, 5432},
    }


def _selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    for one in selector.get("matchExpressions", []):
        if (labels.get(one["key"]) in one["values"]) != (one["operator"] == "In"):
            return False
    return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())


def test_services_and_budgets_select_pods_that_there_are() -> None:
    pods = [one["spec"]["template"]["metadata"]["labels"] for one in DEPLOYMENTS.values()]
    for one in DOCUMENTS:
        if one["kind"] in ("Service", "PodDisruptionBudget"):
            selector = one["spec"]["selector"]
            wanted = selector.get("matchLabels", selector)
            assert any(wanted.items() <= labels.items() for labels in pods)


def test_a_scaler_goes_by_the_lag_of_the_workers_on_their_inputs(tmp_path: Path) -> None:
    [made] = yaml.safe_load_all((FOLDER / "autoscaled" / "scaled-object.yaml").read_text())
    shared = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())["configMapGenerator"][0]
    topics = Topics()

    told = [trigger["metadata"] for trigger in made["spec"]["triggers"]]

    assert made["spec"]["scaleTargetRef"]["name"] in DEPLOYMENTS
    assert {one["topic"] for one in told} == {topics.predictions, topics.labels}
    assert {one["consumerGroup"] for one in told} == {f"{topics.prefix}-workers"}
    assert {f"DRIFTLINE_BOOTSTRAP_SERVERS={one['bootstrapServers']}" for one in told} == {
        shared["literals"][0]
    }
    assert all(one["lagThreshold"].isdecimal() for one in told)


def test_with_the_scaler_nobody_else_says_how_many_workers_there_are(tmp_path: Path) -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")
    shutil.copytree(FOLDER, tmp_path / "k8s")
    file = tmp_path / "k8s" / "kustomization.yaml"
    file.write_text(file.read_text().replace("# components:", "components:"))

    command = ["kubectl", "kustomize", str(tmp_path / "k8s")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)

    found = list(yaml.safe_load_all(done.stdout))
    worker = named(found, "Deployment")["driftline-worker"]
    assert "replicas" not in worker["spec"]
    assert named(found, "ScaledObject")["driftline-worker"]["metadata"]["namespace"] == "driftline"
