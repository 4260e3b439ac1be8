"""`driftline demo` from end to end: a broker in the process, a real worker beside it."""

import io
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from itertools import takewhile
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import msgspec
import psutil
import pytest
from rich.console import Console

from agents.demo import Summary, run_demo
from agents.demo_model import MODEL
from agents.demo_oracle import METRICS
from tests.unit.test_report import read

ROOT = Path(__file__).parents[2]
RUN = "import sys; from agents.demo import run_demo; sys.exit(run_demo())"


def test_every_number_is_right_and_the_change_is_noticed() -> None:
    output = io.StringIO()
    started_s = time.monotonic()

    code = run_demo(seconds=15, json_output=True, console=Console(file=output))

    summary = msgspec.json.decode(output.getvalue(), type=Summary)
    assert summary.differing == ()
    assert summary.false_alarms == ()
    assert summary.compared == 30 * len(METRICS) + 1
    assert summary.delay_s is not None
    assert 0 < summary.delay_s < 600  # the scan looks at ten minutes
    assert code == 0
    assert time.monotonic() - started_s < 120


@pytest.mark.skipif(sys.platform == "win32", reason="a process there cannot be sent Ctrl-C alone")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "kill"])
def test_an_interrupt_ends_the_demo_and_its_worker(number: signal.Signals) -> None:
    demo = subprocess.Popen(
        [sys.executable, "-c", RUN],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert demo.stdout is not None
    try:
        for line in demo.stdout:  # the head of the columns: traffic has begun, the worker is there
            if line.startswith("window"):
                break
        workers = psutil.Process(demo.pid).children(recursive=True)

        demo.send_signal(number)
        said, _ = demo.communicate(timeout=90)
    finally:
        demo.kill()

    assert demo.returncode == 130, said
    assert "Traceback" not in said
    assert workers
    assert not [worker for worker in workers if worker.is_running()]


@pytest.mark.skipif(sys.platform == "win32", reason="a process there cannot be sent Ctrl-C alone")
def test_the_page_shows_the_model_leaves_a_report_and_stays_until_it_is_told_to_end(
    tmp_path: Path,
) -> None:
    code = RUN.replace("run_demo()", "run_demo(seconds=12, stay=True)")
    demo = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    assert demo.stdout is not None
    try:
        said = list(takewhile(lambda line: not line.startswith("The page stays at"), demo.stdout))
        (link,) = (line.removeprefix("Look at it: ").strip() for line in said if "Look at" in line)
        with urllib.request.urlopen(f"{link}api/fleet", timeout=30) as answer:
            fleet = json.load(answer)
        with urllib.request.urlopen(f"{link}api/pipeline", timeout=30) as answer:
            pipeline = json.load(answer)

        demo.send_signal(signal.SIGINT)
        demo.communicate(timeout=90)
    finally:
        demo.kill()

    assert [row[0] for row in fleet["panels"]["models"]["rows"]] == [MODEL]
    assert pipeline["facts"]["told"] == {"workers": 1, "wrong": None}
    told = ("workers", "fates", "letters", "costs")
    assert all(pipeline["panels"][name]["rows"] for name in told)
    assert any("all as it must be" in line for line in said)
    (report,) = (line.partition(" any browser: ")[2].strip() for line in said if "open it" in line)
    views = read(Path(url2pathname(urlsplit(report).path)))["views"]
    assert {MODEL} == {one["parameters"]["model"] for one in views if one["screen"] == "model"}
    assert demo.returncode == 0
