"""What an answer of the page costs with many models, one of which has a long history.

    python -m benchmarks.page --models 5000 --days 90

Writes a history into a SQLite file, or into an empty PostgreSQL (`--history URL`), in a minute or
two: 24 windows of five minutes of every model, and so many days of one of them. Then each line says
what a screen costs: CPU time of the thread, JSON and packing (5 ms) left out, for the first look
and the median of later ones. Where Chromium is installed, the last lines say how long it takes from
an address to its rows or first lines with an interval (median of ten), beside a blank page.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import math
import random
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine

from agents.history import database, schema
from agents.history.latest import copied, insertion
from agents.history.tables import METRIC_REVISION, metric_revisions, metrics
from agents.web.answering import Answering
from agents.web.following import Following
from agents.web.history import History
from tests import webs
from tests.browser import Browser, browser

_LENGTH_MS, _DAY_MS = 300_000, 86_400_000
_FEW = (
    "predictions",
    "coverage",
    "accuracy",
    "recall",
    "precision",
    "latency_p95_ms",
    "error_rate",
)
_MANY = (
    *_FEW,
    *("labels", "f1", "brier", "log_loss", "ece", "calibration_bias", "roc_auc", "support"),
    *("latency_p50_ms", "latency_p99_ms", "label_delay_p50_ms", "label_delay_p95_ms"),
    *("prediction_share", "label_share", "score_mean", "psi:score"),
    *(f"{name}:f{n}" for n in range(4) for name in ("mean", "missing_rate", "psi", "ks")),
)
_RECENT, _LOOKS, _BATCH, _SETTLE_S = 24, 5, 50_000, 10
_MARK = """
new MutationObserver(() => {
  const rows = location.hash.startsWith("#/fleet") && document.querySelectorAll("tbody tr").length;
  if (!window.seen && (rows >= 50 || document.querySelector("path.band"))) {
    window.seen = true;
    requestAnimationFrame(() => setTimeout(() => performance.mark("painted")));
  }
}).observe(document, { childList: true, subtree: true });
"""


def _rows(models: int, days: float) -> Iterator[tuple[Any, ...]]:
    """Yield revisions as topics have them: in time, of all models in turn."""
    chance = random.Random(1)
    now_ms = time.time_ns() // 1_000_000 // _LENGTH_MS * _LENGTH_MS
    offsets = itertools.count()
    for back in range(int(days * _DAY_MS / _LENGTH_MS), 0, -1):
        start_ms = now_ms - back * _LENGTH_MS
        own = [("big", _MANY)]
        if back <= _RECENT:
            own += [(f"model-{number:05d}", _FEW) for number in range(models)]
        for model, names in own:
            for name in names:
                value = 0.9 + 0.05 * math.sin(start_ms / 3e6) + chance.random() / 50
                key = (model, "1", "", start_ms, start_ms + _LENGTH_MS, name)
                values = (value, value - 0.05, value + 0.05, 100, 0.95, 3, back > _RECENT / 2)
                yield (*key, *values, False, start_ms + _LENGTH_MS, 0, next(offsets))


def _write(engine: Engine, models: int, days: float) -> None:
    last = [column.name for column in metrics.columns]
    found = _rows(models, days)
    with engine.begin() as connection:
        schema.prepare(connection)
        while some := list(itertools.islice(found, _BATCH)):
            _insert(connection, metric_revisions, METRIC_REVISION, some)
            _insert(connection, metrics, last, [(*row[:13], row[14]) for row in some])


def _insert(connection: Connection, table: Any, names: Any, rows: list[Any]) -> None:
    if connection.dialect.name == "postgresql":
        copied(connection, table, names, rows)
    else:
        connection.exec_driver_sql(insertion(table, names), rows)


def _costs(history: History, days: float) -> None:
    following = Following(history, lambda _: None)
    following.step()
    answer = Answering(history, following, later=lambda *_: None)
    ranges = [one for one in (1, 2, 7, 30, 90) if one <= days]
    views: list[tuple[str, dict[str, str]]] = [("fleet", {}), ("alerts", {})]
    views += [("features", {"model": "big"}), ("segments", {"model": "big"})]
    views += [("model", {"model": "big", "range_ms": str(one * _DAY_MS)}) for one in ranges]
    for screen, asked in views:
        following.settled.clear()
        took = []
        for _ in range(_LOOKS):
            began_s = time.thread_time()
            answer(screen, asked, haste=True)
            took.append(1_000 * (time.thread_time() - began_s))
        later = statistics.median(took[1:])
        print(f"{screen} {asked}: first {took[0]:.0f} ms, later {later:.0f} ms", flush=True)


async def _drawn(link: str, days: float) -> None:
    async with browser() as page:
        await page.size(1_400, 900)
        await page.call("Page.addScriptToEvaluateOnNewDocument", source=_MARK)
        blank = [await _time(page, f"{link}static/icon.svg") for _ in range(10)]
        print(f"a blank page: {statistics.median(blank):.0f} ms")
        for view in ("fleet?size=50", f"model?model=big&range_ms={int(days * _DAY_MS)}"):
            took = [await _time(page, f"{link}#/{view}", drawn=True) for _ in range(10)]
            print(f"{view}: drawn after {statistics.median(took):.0f} ms")


async def _time(page: Browser, address: str, *, drawn: bool = False) -> float:
    await page.go("about:blank")
    await page.go(address)
    if drawn:
        await page.until("performance.getEntriesByName('painted').length")
        return float(await page.run("performance.getEntriesByName('painted')[0].startTime"))
    return float(await page.run("performance.getEntriesByType('navigation')[0].loadEventEnd"))


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--models", type=int, default=5_000)
    parser.add_argument("--days", type=float, default=90)
    parser.add_argument("--history", metavar="URL", help="an empty database; default: SQLite")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        url = asked.history or str(Path(folder) / "history.db")
        engine = database.engine_of(database.url_of(url))
        _write(engine, asked.models, asked.days)
        engine.dispose()
        history = History(database.url_of(url))
        _costs(history, asked.days)
        history.close()
        if not any(map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))):
            print("Chromium is not installed: nothing was drawn")
            return
        with webs.page(url) as running:
            time.sleep(_SETTLE_S)  # it reads all models first
            asyncio.run(_drawn(running.link, asked.days))


if __name__ == "__main__":
    main()
