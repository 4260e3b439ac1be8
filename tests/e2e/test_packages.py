"""The two wheels, as those who install them get them: `make packages`."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

# What a model server and a reader of results do, as far as it goes without a broker.
CLIENT = """
import importlib.util as u, pathlib
import driftline
from driftline import Alerts, Metrics, Publisher
from driftline.reader import Reader

assert driftline.__version__ == "0.1.0", driftline.__version__
assert (pathlib.Path(driftline.__file__).parent / "py.typed").exists()
assert u.find_spec("streams") is None
for kind in (Alerts, Metrics, Publisher):
    kind("127.0.0.1:1").close()
Reader("127.0.0.1:1", ["t"]).close()
"""
WITHOUT_THE_REST = """
import importlib.util as u, driftline

assert u.find_spec("agents") is None
try:
    driftline.replay(None)
except ModuleNotFoundError as error:
    print(error)
"""
OPENAI = "import agents; assert agents.Agent(name='a').name == 'a'"
WHOLE = """
import streams, agents.pipeline, driftline
print(driftline.replay.__module__)
"""


def run(*words: str | Path) -> str:
    done = subprocess.run(
        [str(word) for word in words], cwd="/", capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("wheels")
    pip = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder)
    run(*pip, ROOT / "client", ROOT)
    return {wheel.name.split("-")[0]: wheel for wheel in folder.iterdir()}


@pytest.fixture
def install(tmp_path: Path) -> Callable[..., Path]:
    """Install into an environment of this test alone; return its Python."""
    python = tmp_path / "venv" / "bin" / "python"
    run(sys.executable, "-m", "venv", tmp_path / "venv")

    def install(*packages: str | Path) -> Path:
        run(python, "-m", "pip", "install", "--quiet", *packages)
        return python

    return install


def test_each_package_is_in_one_wheel(wheels: dict[str, Path]) -> None:
    held = {
        name: {path.split("/")[0] for path in zipfile.ZipFile(wheel).namelist()}
        for name, wheel in wheels.items()
    }

    assert held == {
        "driftline_client": {"driftline", "driftline_client-0.1.0.dist-info"},
        "driftline": {"streams", "agents", "driftline-0.1.0.dist-info"},
    }
    with zipfile.ZipFile(wheels["driftline"]) as wheel:
        said = wheel.read("driftline-0.1.0.dist-info/METADATA").decode()
    assert "Requires-Dist: driftline-client==0.1.0" in said


def test_the_client_brings_two_packages_and_says_what_it_has_not(
    wheels: dict[str, Path], install: Callable[..., Path]
) -> None:
    python = install(wheels["driftline_client"])

    run(python, "-c", CLIENT)
    said = run(python, "-c", WITHOUT_THE_REST)

    assert "pip install driftline" in said
    listed = run(python, "-m", "pip", "list", "--format", "freeze").splitlines()
    names = {line.split("=")[0] for line in listed} - {"pip", "setuptools"}
    assert names == {"confluent-kafka", "msgspec", "driftline-client"}


@pytest.mark.parametrize("first", ["driftline-client", "openai-agents"])
def test_the_client_and_openai_agents_leave_each_other_alone(
    wheels: dict[str, Path], install: Callable[..., Path], first: str
) -> None:
    packages = [wheels["driftline_client"], "openai-agents"]
    for package in packages if first == "driftline-client" else reversed(packages):
        python = install(package)

    run(python, "-c", CLIENT)
    run(python, "-c", OPENAI)


def test_the_whole_brings_the_client(wheels: dict[str, Path], install: Callable[..., Path]) -> None:
    python = install("--find-links", wheels["driftline"].parent, wheels["driftline"])

    assert run(python, "-c", WHOLE).strip() == "driftline.backtest"
    assert "0.1.0" in run(python.parent / "driftline", "version")
