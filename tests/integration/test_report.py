"""A report opened from disk, in a headless Chromium."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from agents.report.make import of_history
from tests import webs
from tests.browser import Browser, browser
from tests.unit.test_replay import replay
from tests.unit.test_report import COLUMNS, HOUR_MS, a_table, panel, read


async def _through(file: Path) -> tuple[Browser, list[str]]:
    """Open every view, and return what each says."""
    said = []
    async with browser() as page:
        await page.go(file.as_uri())
        await page.until("document.querySelector('main h1')")
        for number in range(len(read(file)["views"])):
            await page.run(f"location.hash = {number}")
            await page.until(f"location.hash === '#{number}' && document.querySelector('main h1')")
            said.append(await page.run("document.querySelector('main').innerText"))
        assert await page.run("document.querySelectorAll('img, iframe').length") == 0
        return page, said


def test_every_view_is_drawn_without_a_request_or_a_complaint(tmp_path: Path) -> None:
    file = tmp_path / "r.html"
    log = webs.a_log("fraud", *webs.NASTY)
    of_history(webs.write(log, tmp_path), file, models=(), at_ms=None, range_ms=HOUR_MS)

    page, said = asyncio.run(_through(file))

    assert page.complaints == []
    assert {one.partition("#")[0] for one in page.requests} == {file.as_uri()}
    assert not [text for text in said if "could not be drawn" in text]
    fleet = said[0]
    assert "<img src=x onerror=alert(1)>" in fleet  # as text
    assert r"\x1b[31mred\x9b2J" in fleet


def test_a_replayed_table_opens_with_its_numbers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "r.html"
    replay(a_table(tmp_path), columns=COLUMNS, report=file)
    capsys.readouterr()

    async def look() -> list[str]:
        async with browser() as page:
            await page.go(file.as_uri())
            await page.until("document.querySelector('td.name a')")
            await page.run("document.querySelector('td.name a').click()")
            await page.until("document.querySelector('path.line.final')")
            await page.run("[...document.querySelectorAll('nav a')].at(-1).click()")
            await page.until("document.querySelector('h1').textContent === 'Recording'")
            cells = "[...document.querySelectorAll('section[aria-label=\"{}\"] tbody td')]"
            texts = ".map(cell => cell.textContent)"
            found = await page.run(cells.format("What became of records") + texts)
            assert page.complaints == []
            return found  # type: ignore[no-any-return]

    cells = asyncio.run(look())
    page, said = asyncio.run(_through(file))

    assert page.complaints == []
    texts = "\n".join(said)
    assert {name for name in ("<b>", "<i>f", "<u>k=<s>0", "<u>k=<s>1") if name in texts} == {
        "<b>",
        "<i>f",
        "<u>k=<s>0",
        "<u>k=<s>1",
    }
    assert "could not be drawn" not in texts

    rows = panel(read(file), "pipeline", "fates")
    assert cells[0::3] == [row["fate"] for row in rows]
    assert cells[1::3] == [str(row["records"]) for row in rows]
