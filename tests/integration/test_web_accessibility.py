"""On every screen, light or dark, wide or narrow: axe-core finds nothing, and nothing moves."""

from __future__ import annotations

import asyncio
import json
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from agents.web.screens import CATALOGUE
from tests import webs
from tests.browser import Browser, browser
from tests.debian import program
from tests.sinking import MINUTE_MS, START_MS, Log, action, metric

AXE = "axe-core@4.14.1"
LOOKS = [(width, dark) for width in (1400, 390) for dark in (False, True)]
VIEWS = (*((name, "") for name in CATALOGUE), ("alerts", "state=all&alert=a0"))

_MOVED = """
const moved = [];
new PerformanceObserver((list) => moved.push(...list.getEntries().map((one) => one.value)))
  .observe({ type: "layout-shift", buffered: true });
"""
"""Notes whatever changes its place after it was shown."""


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the script, from npm."""
    folder = tmp_path_factory.mktemp("axe")
    subprocess.run([program("npm"), "pack", "--silent", AXE], cwd=folder, check=True)
    (packed,) = folder.glob("*.tgz")
    with tarfile.open(packed) as found:
        script = found.extractfile("package/axe.min.js")
        assert script is not None
        return script.read().decode()


def a_log() -> Log:
    """Return what leaves no screen empty."""
    log = webs.a_log("fraud", *webs.NASTY)
    log.add(action(alert_id="a0"))
    for number in range(webs.WINDOWS):
        at = START_MS + number * MINUTE_MS
        own = {"window_start_ms": at, "window_end_ms": at + MINUTE_MS}
        parts = ({"metric": "psi:age", "low": 0.2}, {"metric": "missing_rate:age"},
                 {"metric": "accuracy", "segment": "country=de"},
                 {"metric": "predictions", "segment": "country=de"},
                 {"metric": "cpu_utilization", "model": "host:a", "version": ""})  # fmt: skip
        log.add(*(metric(1, **{**own, **part}) for part in parts), at_ms=at + MINUTE_MS)
    numbers = {"edges": [1.0, 2.0, 3.0], "counts": [50, 50]}
    for series, feature in (("feature", "age"), ("score", "")):
        for role in ("reference", "window"):
            webs.told(log, role, START_MS, series=series, feature=feature, **numbers)
    return log


async def _findings(page: Browser, address: str, axe: str) -> list[Any]:
    found: list[Any] = []
    for name, query in VIEWS:
        await page.go("about:blank")
        await page.go(f"{address}#/{name}?{query or 'model=fraud' * ('model' in _asks(name))}")
        await page.until(f"performance.getEntriesByName('drawn:{name}').length")
        await page.run(f"{axe};1")
        said = await page.run("axe.run().then(found => JSON.stringify(found.violations))")
        for one in json.loads(said):
            nodes = [node["html"] for node in one["nodes"]]
            found.append((name, one["id"], one["impact"], nodes))
        assert await page.run("document.documentElement.scrollWidth <= innerWidth"), name
        assert await page.run("moved") == [], name
    return found


def _asks(name: str) -> tuple[str, ...]:
    return CATALOGUE[name].asks.__struct_fields__


@pytest.mark.long
@pytest.mark.parametrize(("width", "dark"), LOOKS)
def test_axe_finds_nothing_on_any_screen_and_nothing_moves(
    axe: str, tmp_path: Path, width: int, dark: bool
) -> None:
    async def look(address: str) -> list[Any]:
        async with browser() as page:
            await page.size(width, 900, dark=dark)
            await page.call("Page.addScriptToEvaluateOnNewDocument", source=_MOVED)
            found = await _findings(page, address, axe)
            assert page.complaints == []
            return found

    with webs.page(webs.write(a_log(), tmp_path)) as running:
        assert asyncio.run(look(running.link)) == []
