"""An MLflow tracking server: a real one, and one in memory that answers what the sink asks."""

from __future__ import annotations

import json
import posixpath
import re
import subprocess
import sys
import urllib.parse
import urllib.request
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from agents.local_kafka import HOST
from tests import debian
from tests.pages import ROOT
from tests.ports import free_ports
from tests.receivers import Post, receiving

_API = "/api/2.0/mlflow/"
_PYTHON = ROOT / "build" / "venvs" / "mlflow" / "bin" / "python"
_VERSION = "3.17.2"


class Value(NamedTuple):
    """What was logged of a metric."""

    timestamp: int
    step: int
    value: float


class Memory:
    """Answers as MLflow does, to what comes by POST."""

    def __init__(self) -> None:
        self.url = self.experiment = ""
        self.experiments: dict[str, dict[str, str]] = {}
        self.tags: dict[str, dict[str, str]] = {}
        self.logged: dict[str, dict[str, list[Value]]] = {}
        self.registered: dict[tuple[str, str], dict[str, str]] = {}
        self.aliases: dict[tuple[str, str], str] = {}

    def __call__(self, post: Post) -> tuple[int, bytes]:
        path, _, query = post.path.removeprefix(_API).partition("?")
        call = path.replace("/", "_").replace("-", "_") + ("_asked" if query else "")
        told = dict(urllib.parse.parse_qsl(query)) if query else post.json
        try:
            return 200, json.dumps(getattr(self, f"_{call}")(told)).encode()
        except Refused as error:
            return error.status, json.dumps({"error_code": error.code}).encode()

    def _experiments_search(self, asked: Any) -> Any:
        name = asked["filter"].removeprefix("name = '").removesuffix("'")
        return {"experiments": [self._experiment(name)] if name in self.experiments else []}

    def _experiment(self, name: str) -> Any:
        tags = [{"key": key, "value": value} for key, value in self.experiments[name].items()]
        return {"experiment_id": name, "tags": tags}

    def _experiments_create(self, asked: Any) -> Any:
        self.experiments[asked["name"]] = {}
        return {"experiment_id": asked["name"]}

    def _experiments_set_experiment_tag(self, asked: Any) -> Any:
        self.experiments[asked["experiment_id"]][asked["key"]] = asked["value"]
        return {}

    def _runs_search(self, asked: Any) -> Any:
        [(name, wanted)] = re.findall("tags.`(.+?)` = '(.+?)'", asked["filter"])
        found = [run for run, tags in self.tags.items() if tags[name] == wanted]
        return {"runs": [{"info": {"run_id": run}} for run in found]}

    def _runs_create(self, asked: Any) -> Any:
        run = f"r{len(self.tags)}"
        self.tags[run] = {tag["key"]: tag["value"] for tag in asked["tags"]}
        self.logged[run] = defaultdict(list)
        return {"run": {"info": {"run_id": run}}}

    def _runs_log_batch(self, asked: Any) -> Any:
        if len(asked["metrics"]) > 1_000:
            raise Refused(400, "INVALID_PARAMETER_VALUE")
        for one in asked["metrics"]:
            name = one["key"]
            plain = re.fullmatch(r"[/\w.\- :]{1,250}", name)
            if not plain or posixpath.normpath(name) != name or name.startswith(("/", ".")):
                raise Refused(400, "INVALID_PARAMETER_VALUE")
        for one in asked["metrics"]:
            value = Value(one["timestamp"], one["step"], one["value"])
            if value not in self.logged[asked["run_id"]][one["key"]]:
                self.logged[asked["run_id"]][one["key"]].append(value)
        return {}

    def _model_versions_set_tag(self, asked: Any) -> Any:
        if not asked["version"].isdecimal():
            raise Refused(400, "INVALID_PARAMETER_VALUE")
        if (asked["name"], asked["version"]) not in self.registered:
            raise Refused(404, "RESOURCE_DOES_NOT_EXIST")
        self.registered[asked["name"], asked["version"]][asked["key"]] = asked["value"]
        return {}

    def _registered_models_alias_asked(self, asked: Any) -> Any:
        if (asked["name"], asked["alias"]) not in self.aliases:
            raise Refused(400, "INVALID_PARAMETER_VALUE")
        return {"model_version": {"version": self.aliases[asked["name"], asked["alias"]]}}

    def _registered_models_alias(self, asked: Any) -> Any:
        if (asked["name"], asked["version"]) not in self.registered:
            raise Refused(404, "RESOURCE_DOES_NOT_EXIST")
        self.aliases[asked["name"], asked["alias"]] = asked["version"]
        return {}

    def _model_versions_search_asked(self, asked: Any) -> Any:
        name = re.fullmatch("name=(['\"])(.*)\\1", asked["filter"])
        assert name is not None
        versions = [version for model, version in self.registered if model == name[2]]
        return {"model_versions": [{"version": version} for version in sorted(versions)]}

    def register(self, name: str, versions: int = 1) -> None:
        self.registered |= {(name, str(number + 1)): {} for number in range(versions)}

    def set_alias(self, name: str, alias: str, version: str) -> None:
        self.aliases[name, alias] = version

    def alias_of(self, name: str, alias: str) -> str:
        return self.aliases[name, alias]

    def tags_of(self, name: str) -> dict[str, str]:
        return dict(self.registered[name, "1"])

    def runs(self) -> dict[str, dict[str, list[Value]]]:
        """Return what was logged by run, whose name is what it is about."""
        return {tags["mlflow.runName"]: self.logged[run] for run, tags in self.tags.items()}


class Refused(Exception):
    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status, self.code = status, code


class Real:
    """A server that is asked over HTTP."""

    def __init__(self, url: str) -> None:
        self.url, self.experiment = url, ""

    def register(self, name: str, versions: int = 1) -> None:
        self._ask("registered-models/create", body={"name": name})
        for _ in range(versions):
            self._ask("model-versions/create", body={"name": name, "source": "s3://none/model"})

    def set_alias(self, name: str, alias: str, version: str) -> None:
        told = {"name": name, "alias": alias, "version": version}
        self._ask("registered-models/alias", body=told)

    def alias_of(self, name: str, alias: str) -> str:
        found = self._ask("registered-models/alias", name=name, alias=alias)
        return str(found["model_version"]["version"])

    def tags_of(self, name: str) -> dict[str, str]:
        found = self._ask("model-versions/get", name=name, version="1")["model_version"]
        return {tag["key"]: tag["value"] for tag in found.get("tags", ())}

    def runs(self) -> dict[str, dict[str, list[Value]]]:
        experiment = self._ask("experiments/get-by-name", experiment_name=self.experiment)
        number = experiment["experiment"]["experiment_id"]
        runs = self._ask("runs/search", body={"experiment_ids": [number]})["runs"]
        return {
            run["info"]["run_name"]: {
                one["key"]: self._history(run["info"]["run_id"], one["key"])
                for one in run["data"]["metrics"]
            }
            for run in runs
        }

    def _history(self, run: str, key: str) -> list[Value]:
        found = self._ask("metrics/get-history", run_id=run, metric_key=key)["metrics"]
        return [Value(int(one["timestamp"]), int(one["step"]), one["value"]) for one in found]

    def _ask(self, call: str, body: Any = None, **query: str) -> Any:
        url = f"{self.url}{_API}{call}?{urllib.parse.urlencode(query)}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read())


@contextmanager
def in_memory() -> Iterator[Memory]:
    with receiving() as receiver:
        memory = Memory()
        receiver.respond, memory.url = memory, receiver.url
        yield memory


@contextmanager
def real(folder: Path) -> Iterator[Real]:
    """Run an MLflow, which is installed into an environment of its own: 90 packages, 850 MB."""
    if not _PYTHON.exists():
        venv = _PYTHON.parents[1]
        subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
        pip = [str(_PYTHON), "-m", "pip", "install", "--quiet", f"mlflow=={_VERSION}"]
        subprocess.run(pip, check=True)
    [port] = free_ports(1)
    store = f"sqlite:///{folder}/mlflow.db"
    command = [str(_PYTHON), "-m", "mlflow", "server", "--host", HOST, "--port", str(port)]
    command += ["--backend-store-uri", store, "--workers", "1"]
    with (folder / "mlflow.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
    url = f"http://{HOST}:{port}"
    try:
        # It makes its tables first, which takes a minute on a slow machine.
        debian.wait_until(lambda: _answers(url), what="MLflow does not answer", deadline_s=240)
        yield Real(url)
    finally:
        process.terminate()
        process.wait(30)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
