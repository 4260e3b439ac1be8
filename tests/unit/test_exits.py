"""A worker that ends itself says why, and ends."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-c", "from agents.exits import end_process; end_process('no reason')"]


def test_the_last_line_says_why_and_the_exit_code_is_70() -> None:
    done = subprocess.run(COMMAND, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 70
    assert done.stderr.endswith(" ended: no reason\n")


def test_a_log_that_nobody_reads_does_not_keep_the_process_alive() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    for size in (4_096, 1):
        with suppress(BlockingIOError):
            while True:
                os.write(writing, b"x" * size)
    os.set_blocking(writing, True)

    done = subprocess.run(COMMAND, cwd=ROOT, stderr=writing, timeout=60, check=False)
    os.close(reading)
    os.close(writing)

    assert done.returncode == 70
