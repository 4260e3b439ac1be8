"""From the fleet to a verdict: a person says of an alert what it was, and sees what that makes.

Another one is adopted.
"""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

from confluent_kafka import Producer

from agents import feedback, topics_admin
from agents.embedded import EmbeddedBroker
from agents.settings import Settings
from agents.topic_records import records_of
from agents.web.history import History
from agents.web.own_history import OwnHistory
from agents.web.run import Address, serving
from streams.adoption_record import is_adoption, read_adoption
from tests import webs
from tests.browser import Browser, browser
from tests.sinking import START_MS, TOPICS, alert

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
    link = "[...document.querySelectorAll('td.text a')].find(a => a.textContent.includes('loss'))"
    await page.run(f"{link}.click()")
    adopt = "[...document.querySelectorAll('.verdict button')].find(b => b.title.includes('usual'))"
    await page.until(adopt)
    await page.run(f"{adopt}.click()")
    await page.until(f"{said}.includes('Adopt the level, says {EVIL}')")


def test_a_verdict_given_on_the_page_is_on_kafka_and_makes_a_precision(tmp_path: Path) -> None:
    with EmbeddedBroker(dict.fromkeys(topics_admin.wanted(TOPICS), 1)) as broker:
        settings = Settings(bootstrap_servers=broker.bootstrap_servers, embedded=True)
        producer = Producer({"bootstrap.servers": broker.bootstrap_servers})
        log = webs.a_log("fraud")
        drift = {"kind": "drift", "monitor": "loss-scan", "message": "loss went from 1 to 2"}
        log.add(alert(alert_id="d1", model="fraud", at_ms=START_MS, **drift))
        for entry in log.entries:
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
        [order] = [
            read_adoption(message.value() or b"", key=message.key())
            for message in records_of(settings, TOPICS.feedback)
            if is_adoption(message.key())
        ]

    assert page.complaints == []
    assert (said.alert_id, said.verdict, said.by) == ("a0", "true", EVIL)
    assert (said.model, said.monitor) == ("fraud", "accuracy-drop")
    assert (order.alert_id, order.model, order.by) == ("d1", "fraud", EVIL)
