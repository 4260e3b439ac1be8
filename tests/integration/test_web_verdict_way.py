"""From the fleet to a verdict: a person says of an alert what it was, and sees what that makes."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

from confluent_kafka import Producer

from agents import feedback, topics_admin
from agents.embedded import EmbeddedBroker
from agents.settings import Settings
from agents.web.history import History
from agents.web.own_history import OwnHistory
from agents.web.run import Address, serving
from tests import webs
from tests.browser import Browser, browser
from tests.sinking import TOPICS

EVIL = "<b>ann</b>"


async def _judge(page: Browser, address: str) -> None:
    await page.go(address)
    await page.until("document.querySelectorAll('tbody tr').length === 1")
    await page.run("document.querySelector('td.name a').click()")
    await page.until("document.querySelector('path.mark.critical')")
    await page.run("document.querySelector('nav a[href*=alerts]').click()")
    await page.until("document.querySelector('td.text a')")
    await page.run("document.querySelector('td.text a').click()")
    press = "[...document.querySelectorAll('.verdict button')].find(b => b.title.includes('wrong'))"
    await page.until(press)
    await page.run(f"{press}.click()")
    await page.until(
        "document.querySelector('.verdict [role=status]').textContent.includes('name')"
    )
    await page.run("document.querySelector('.verdict input').focus()")
    await page.call("Input.insertText", text=EVIL)
    await page.run(f"{press}.click()")
    said = "[...document.querySelectorAll('.verdict [role=status]')].map(e => e.textContent).join()"
    await page.until(f"{said}.includes('Right, says {EVIL}')")
    await page.until(
        "[...document.querySelectorAll('section[aria-label*=precise] td')]"
        ".some(cell => cell.textContent === '100 %')"
    )


def test_a_verdict_given_on_the_page_is_on_kafka_and_makes_a_precision(tmp_path: Path) -> None:
    with EmbeddedBroker(dict.fromkeys(topics_admin.wanted(TOPICS), 1)) as broker:
        settings = Settings(bootstrap_servers=broker.bootstrap_servers, embedded=True)
        producer = Producer({"bootstrap.servers": broker.bootstrap_servers})
        for entry in webs.a_log("fraud").entries:
            producer.produce(entry.topic, entry.value, entry.key)
        assert producer.flush(30) == 0

        async def look(address: str) -> Browser:
            async with browser() as page:
                await _judge(page, address)
                return page

        with (
            OwnHistory(settings, tmp_path, tell=lambda _: None) as own,
            serving(
                History(own.url), Address(port=0), judge=partial(feedback.write, settings)
            ) as running,
        ):
            page = asyncio.run(look(running.link))
        [said] = feedback.read_verdicts(settings)

    assert page.complaints == []
    assert (said.alert_id, said.verdict, said.by) == ("a0", "true", EVIL)
    assert (said.model, said.monitor) == ("fraud", "accuracy-drop")
