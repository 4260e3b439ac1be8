"""An environment of its own for each tool that does not go together with ours."""

import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pandas as pd

from benchmarks.compare.data import DataSet

HERE = Path(__file__).parent
BUILD = HERE.parents[1] / "build" / "compare"  # which git ignores; deleting it begins anew
SILENT = {"NML_DISABLE_USAGE_LOGGING": "1", "DO_NOT_TRACK": "1"}  # no tool reports that it is used

_VERSIONS = (
    "import importlib.metadata as m, json, sys;"
    "print(json.dumps({name: m.version(name) for name in sys.argv[1:]}))"
)


class NotThereError(RuntimeError):
    """A tool cannot be installed or does not run here; the message has the last lines."""


def write(data: DataSet) -> None:
    """Write both halves as tables, and which column is what, for tools in other environments."""
    folder = _folder(data)
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in (("reference", data.reference), ("window", data.window)):
        flags = table.select_dtypes(bool).columns
        table.astype(dict.fromkeys(flags, int)).to_csv(folder / f"{name}.csv", index=False)
    about = {
        "task": data.task,
        "numbers": data.numbers,
        "texts": data.texts,
        "classes": data.classes,
    }
    (folder / "about.json").write_text(json.dumps(about))


def measured(tool: str, data: DataSet) -> dict[str, float]:
    """Return a tool's numbers of a data set that was written."""
    folder, script = _folder(data), HERE / f"their_{tool}.py"
    _run([str(_python(tool)), str(script), str(folder)], f"{tool} on {data.name}")
    found: dict[str, float] = json.loads((folder / f"{tool}.json").read_text())
    return found


def install(tool: str) -> None:
    """Make the environment of a tool, unless it is there."""
    requirements = HERE / "requirements" / f"{tool}.txt"
    folder = BUILD / "venvs" / tool
    done = folder / "installed.txt"
    if done.exists() and done.read_text() == requirements.read_text():
        return
    print(f"installing {tool} into {folder}; this may take a few minutes", file=sys.stderr)
    _run([sys.executable, "-m", "venv", "--clear", str(folder)], f"environment of {tool}")
    pip = [str(_python(tool)), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    _run([*pip, "--requirement", str(requirements)], f"installation of {tool}")
    done.write_text(requirements.read_text())


def their_versions(tool: str) -> dict[str, str]:
    """Return the versions of a tool, and of what it computes with."""
    names = [tool, "pandas", "numpy", "scipy", "scikit-learn"]
    answer = _run([str(_python(tool)), "-c", _VERSIONS, *names], f"versions of {tool}")
    found: dict[str, str] = json.loads(answer)
    return found


def our_versions() -> dict[str, str]:
    """Return the versions of driftline's side."""
    names = ("driftline", "numpy", "scipy", "scikit-learn")
    return {name: version(name) for name in names} | {"pandas": pd.__version__}


def _folder(data: DataSet) -> Path:
    return BUILD / "tables" / data.name


def _python(tool: str) -> Path:
    return BUILD / "venvs" / tool / "bin" / "python"


def _run(command: list[str], what: str) -> str:
    environment = os.environ | SILENT
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        last = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
        raise NotThereError(f"{what} failed:\n{last}")
    return done.stdout
