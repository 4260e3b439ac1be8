"""The page as people see it, in a headless Chromium."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from agents.web import known
from tests import webs
from tests.browser import Browser, browser
from tests.sinking import MINUTE_MS, START_MS, Log, action, metric

MODELS = ("fraud", *webs.NASTY)


async def _through(page: Browser, address: str) -> None:
    await page.go(address)
    await page.until("document.querySelectorAll('tbody tr').length === 9")
    assert "still being read" not in await page.run("document.body.innerText")
    names = await page.run("[...document.querySelectorAll('td.name a')].map(a => a.textContent)")
    assert "<img src=x onerror=alert(1)>" in names  # as text
    assert r"\x1b[31mred\x9b2J" in names
    assert await page.run("document.querySelectorAll('img, iframe').length") == 0
    for model in MODELS:
        await page.run(
            "[...document.querySelectorAll('td.name a')].find(a =>"
            f" new URLSearchParams(a.hash.split('?')[1]).get('model') === {json.dumps(model)})"
            ".click()"
        )
        await page.until(
            "document.querySelector('path.line.final') && document.querySelector('path.line.open')"
            " && document.querySelector('path.band') && document.querySelector('rect.provisional')"
            " && document.querySelector('path.mark.critical')"
        )
        await page.run("document.querySelector('.back').click()")
        await page.until("document.querySelectorAll('tbody tr').length === 9")
    await page.run("document.querySelector('nav a[href*=alerts]').click()")
    await page.until("document.querySelectorAll('rect.mark.firing').length === 9")
    await page.run("document.querySelector('td.text a').click()")
    await page.until(
        "document.querySelector('path.mark.critical') && document.querySelector('path.line')"
    )
    asked = await page.run("document.querySelector('section[aria-label*=asked] tbody').innerText")
    assert "retrain" in asked
    assert '{"to":"<b>"}' in asked


def test_from_fleet_to_every_model_without_a_complaint_or_a_request_elsewhere(
    tmp_path: Path,
) -> None:
    log = webs.a_log(*MODELS)
    for number in range(len(MODELS)):
        asked = {"action_id": f"c{number}", "parameters": {"to": "<b>"}}
        log.add(action(alert_id=f"a{number}", **asked))
    url = webs.write(log, tmp_path)

    async def look(address: str) -> Browser:
        async with browser() as page:
            await _through(page, address)
            return page

    with webs.page(url) as running:
        page = asyncio.run(look(running.link))

    assert page.complaints == []
    hosts = {one.split("/")[2] for one in page.requests if not one.startswith(("data:", "about:"))}
    assert hosts == {f"127.0.0.1:{running.port}"}


def test_an_earlier_time_is_in_the_address_and_shows_less(tmp_path: Path) -> None:
    url = webs.write(webs.a_log("fraud"), tmp_path)
    then = START_MS + 4 * MINUTE_MS

    async def look(address: str) -> None:
        async with browser() as page:
            await page.go(f"{address}#/model?model=fraud&at={then}")
            await page.until("document.querySelector('path.line.final')")
            assert await page.run("document.querySelector('.mark.critical')") is None
            await page.run("document.querySelector('#time .past').click()")
            await page.until("document.querySelector('path.mark.critical')")
            assert "at=" not in await page.run("location.hash")

    with webs.page(url) as running:
        asyncio.run(look(running.link))


def test_who_types_is_not_disturbed_by_what_comes(tmp_path: Path) -> None:
    log = webs.a_log("fraud", "churn")
    url = webs.write(log, tmp_path)

    async def look(address: str, more: object) -> None:
        async with browser() as page:
            await page.go(address)
            await page.until("document.querySelectorAll('tbody tr').length === 2")
            await page.run("document.querySelector('input[type=search]').focus()")
            await page.call("Input.insertText", text="n")
            await page.until("document.querySelectorAll('tbody tr').length === 1")
            assert callable(more)
            await asyncio.to_thread(more)
            await page.until("document.querySelectorAll('tbody tr').length === 2")
            found = await page.run("[document.activeElement.value, document.activeElement.type]")
            assert found == ["n", "search"]

    def more() -> None:
        new = webs.a_log("new")
        for entry in new.entries:
            log.put(entry.topic, entry.key, entry.value, entry.timestamp_ms)
        webs.write(log, tmp_path)

    with webs.page(url) as running:
        asyncio.run(look(running.link, more))


def test_pages_that_were_left_hold_no_connection(tmp_path: Path) -> None:
    url = webs.write(webs.a_log("fraud"), tmp_path)

    async def look(address: str) -> None:
        async with browser() as page:
            for _ in range(9):  # a browser has six connections to a server
                await page.go("about:blank")
                await page.go(address)
                await page.until("document.querySelectorAll('tbody tr').length === 1")

    with webs.page(url) as running:
        asyncio.run(look(running.link))


def test_a_history_that_is_away_is_said_and_the_page_goes_on_by_itself(tmp_path: Path) -> None:
    url = str(tmp_path / "history.db")

    async def look(address: str) -> None:
        async with browser() as page:
            await page.go(address)
            await page.until("!notice.hidden && notice.textContent.includes('no history')")
            await asyncio.to_thread(webs.write, webs.a_log("fraud"), tmp_path)
            await page.until("document.querySelectorAll('tbody tr').length === 1")
            await page.until("notice.hidden")

    with webs.page(url) as running:
        asyncio.run(look(running.link))


def test_a_line_goes_on_where_one_window_of_several_is_drawn(tmp_path: Path) -> None:
    log = Log()
    for number in range(700):
        if number % 350 < 340:  # the rest is a gap
            at = START_MS + number * MINUTE_MS
            own = {"window_start_ms": at, "window_end_ms": at + MINUTE_MS, "final": True}
            names = ("predictions", "coverage", "mean:f", "missing_rate:f")
            log.add(*(metric(metric=name, **own) for name in names))

    async def look(address: str) -> list[list[int]]:
        async with browser() as page:
            found = []
            for screen, title in (("model", "Labelled"), ("features", "Mean")):
                await page.go("about:blank")  # or else nothing would be loaded
                await page.go(f"{address}#/{screen}?model=fraud")
                panel = f"section[aria-label={title}]"
                await page.until(f"document.querySelector('{panel} path.line')")
                count = "document.querySelectorAll('{} {}').length"
                shapes = ("path.line", "circle.dot")
                said = await page.run(f"document.querySelector('{panel}').innerText")
                assert "one window of every 3" in said
                found.append([await page.run(count.format(panel, shape)) for shape in shapes])
            return found

    with webs.page(webs.write(log, tmp_path)) as running:
        assert asyncio.run(look(running.link)) == [[2, 0], [2, 0]]


def test_a_sample_is_shown_until_all_is_read_at_an_earlier_time_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known, "MOST_READ", 100)
    log, windows = Log(), 700
    for number in range(windows):
        at = START_MS + number * MINUTE_MS
        log.add(metric(window_start_ms=at, window_end_ms=at + MINUTE_MS), at_ms=at)
    then = START_MS + windows * MINUTE_MS

    async def look(address: str) -> list[int]:
        async with browser() as page:
            await page.go(f"{address}#/model?model=fraud&at={then}")
            await page.until("document.querySelector('path.line') && notice.hidden")
            return [one.count("/api/model") for one in page.requests]

    with webs.page(webs.write(log, tmp_path)) as running:
        assert sum(asyncio.run(look(running.link))) > 1


def test_a_history_without_models_says_what_to_do_once_it_is_read(tmp_path: Path) -> None:
    log = Log()
    log.add(metric())
    log.delete(metric())

    async def look(address: str) -> None:
        async with browser() as page:
            await page.go(address)
            await page.until("main.innerText.includes('No models yet')")

    with webs.page(webs.write(log, tmp_path)) as running:
        asyncio.run(look(running.link))
