"""Building what an engine needs: jars by Maven, a virtual environment for each Python engine.

Everything lies in `build/`, which git ignores; deleting that folder begins anew.
"""

import json
import platform
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

from benchmarks.peers.engines import BUILD, HERE, Engine, python


class BuildError(RuntimeError):
    """An engine cannot be built here; the message has the builder's last lines."""


def build(engine: Engine) -> None:
    """Build an engine; what is there already is left as it is."""
    if engine.runtime == "jvm":
        _maven(engine.project)
    elif engine.runtime == "python":
        _environment(engine)


@cache
def _maven(module: str) -> None:
    command = ["mvn", "--quiet", "--batch-mode", "--file", str(HERE / "pom.xml")]
    _run([*command, "--projects", module, "--also-make", "package"], f"Maven module {module}")


def _environment(engine: Engine) -> None:
    requirements = HERE / "python" / "requirements" / f"{engine.project}.txt"
    folder = BUILD / "venvs" / engine.project
    done = folder / "installed.txt"
    if done.exists() and done.read_text() == requirements.read_text():
        return
    what = f"virtual environment {engine.project}"
    _run([sys.executable, "-m", "venv", "--clear", str(folder)], what)
    pip = [str(python(engine)), "-m", "pip", "install", "--disable-pip-version-check", "--quiet"]
    _run([*pip, "--requirement", str(requirements)], what)
    done.write_text(requirements.read_text())


def _run(command: list[str], what: str) -> None:
    print(f"building: {what}", file=sys.stderr, flush=True)
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise BuildError(f"{what}: {command[0]} is not on the PATH") from None
    if done.returncode:
        last = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
        raise BuildError(f"{what} failed:\n{last}")


@cache
def versions(engine: Engine) -> dict[str, str]:
    """Return the versions of what was measured."""
    if engine.runtime == "jvm":
        libs = (BUILD / engine.project / "libs").glob("*.jar")
        found = dict(name_version for jar in libs if (name_version := _jar(jar)))
        return {"java": _java(), **{name: found.get(name, "") for name in engine.packages}}
    interpreter = python(engine) if engine.runtime == "python" else Path(sys.executable)
    script = (
        "import importlib.metadata as m, json, sys;"
        "print(json.dumps({name: m.version(name) for name in sys.argv[1:]}))"
    )
    command = [str(interpreter), "-c", script, *engine.packages]
    answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return {"python": platform.python_version(), **json.loads(answer)}


def _jar(path: Path) -> tuple[str, str] | None:
    match = re.fullmatch(r"(.+?)-(\d.*)", path.stem)
    return (match[1], match[2]) if match else None


def _java() -> str:
    answer = subprocess.run(["java", "-version"], capture_output=True, text=True, check=True)
    match = re.search(r'version "([^"]+)"', answer.stderr)
    return match[1] if match else ""
