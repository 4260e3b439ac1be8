"""The pipeline: what workers tell of themselves, what could not be used, how old it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import text

from agents.status import Status
from agents.web.known import Known
from agents.web.screens.screen import Answer, Panel, Screen, View
from agents.web.told import Letters, Told

_MOST_GAPS = 200
_LETTERS = ("topic", "reason", "records", "newest_ms", "where", "detail", "example")
_WORKERS = (
    *("worker", "host", "version", "ready", "at_ms", "uptime_s", "cpu_s", "records"),
    *("cpu_us_per_record", "models", "pending_predictions", "lag", "partitions"),
)


class Pipeline(Screen):
    """What is between models and this page."""

    name = "pipeline"
    title = "Pipeline"

    def answer(self, view: View, asked: Any) -> Answer:
        """Return workers, if brokers are known, and the history's own gaps."""
        panels = {"history": _positions(view.known), "gaps": _gaps(view.known)}
        facts: dict[str, Any] = {"at_ms": view.at_ms}
        if asked.at is None and view.told is not None:
            panels |= _told(view.told)
            facts["told"] = {"workers": len(view.told.workers), "wrong": view.told.wrong}
        return Answer(panels, facts)


def _told(told: Told) -> dict[str, Panel]:
    workers = told.workers
    fates: Counter[str] = Counter()
    for one in workers:
        fates.update(one.fates)
    since = ("of all workers, each since it started",)
    return {
        "workers": Panel(_WORKERS, [_worker(one) for one in workers]),
        "lag": _lag(workers),
        "clock": _clock(workers),
        "fates": fates_panel(dict(fates), since),
        "letters": letters_panel(told.letters),
        "costs": _costs(workers),
        "models": _models(workers),
        "remarks": _remarks(workers),
    }


def _worker(one: Status) -> tuple[Any, ...]:
    spent_s = one.cpu_s - one.start_cpu_s
    return (
        one.worker_id,
        one.host,
        one.version,
        one.unready or "ready",
        one.at_ms,
        one.uptime_s,
        one.cpu_s,
        one.records,
        1e6 * spent_s / one.records if one.records else None,
        one.models,
        one.pending_predictions,
        sum(one.lag.values()),
        one.partitions,
    )


def _lag(workers: Iterable[Status]) -> Panel:
    lag: Counter[str] = Counter()
    for one in workers:
        lag.update(one.lag)
    return Panel(("topic", "records"), [*lag.most_common()])


def _clock(workers: Iterable[Status]) -> Panel:
    """Return the slowest clock of each stage: nothing later is counted for good."""
    clocks: dict[str, tuple[int, str]] = {}
    for one in workers:
        for stage, clock_ms in one.clock_ms.items():
            clocks[stage] = min(
                clocks.get(stage, (clock_ms, one.worker_id)), (clock_ms, one.worker_id)
            )
    rows = [(stage, clock_ms, worker) for stage, (clock_ms, worker) in clocks.items()]
    return Panel(("stage", "clock_ms", "worker"), rows)


def _costs(workers: Sequence[Status]) -> Panel:
    """Return CPU time by kind of work, the most expensive first."""
    spent: Counter[str] = Counter()
    for one in workers:
        spent.update({each.work: each.seconds for each in one.work})
    total = sum(spent.values()) or 1.0
    rows = [(work, seconds, seconds / total) for work, seconds in spent.most_common()]
    return Panel(("work", "seconds", "share"), rows)


def _models(workers: Iterable[Status]) -> Panel:
    rows = [
        (one.model, one.version, one.seconds, one.rows, one.values, one.windows)
        for worker in workers
        for one in worker.model_costs
    ]
    rows.sort(key=lambda row: -row[2])
    columns = ("model", "version", "seconds", "rows", "values", "windows")
    return Panel(columns, rows[:100], ("of each worker, its most expensive models",))


def _remarks(workers: Iterable[Status]) -> Panel:
    return Panel(("remark",), [(said,) for one in workers for said in one.warnings])


def letters_panel(letters: Iterable[Letters], notes: tuple[str, ...] = ()) -> Panel:
    """Return dead letters, most records first."""
    ordered = sorted(letters, key=lambda one: (-one.records, one.topic, one.reason))
    return Panel(_LETTERS, [tuple(one) for one in ordered], notes)


def fates_panel(fates: dict[str, int], notes: tuple[str, ...] = ()) -> Panel:
    """Return what became of records; what became of none is left out."""
    total = sum(fates.values())
    rows: list[tuple[Any, ...]] = [
        (fate, count, count / total) for fate, count in fates.items() if count
    ]
    return Panel(("fate", "records", "share"), rows, notes)


# ------------------------------------------------------------------ the history
def _positions(known: Known) -> Panel:
    """Return how far the history has come, by topic."""
    rows = known.connection.execute(
        text(
            "SELECT topic, count(*), sum(next_offset), max(timestamp_ms), max(written_at_ms)"
            " FROM positions GROUP BY topic ORDER BY topic"
        )
    )
    columns = ("topic", "partitions", "records", "newest_ms", "written_at_ms")
    return Panel(columns, [tuple(row) for row in rows])


def _gaps(known: Known) -> Panel:
    rows = known.connection.execute(
        text(
            "SELECT topic, partition, after_ms, until_ms, what FROM gaps"
            " ORDER BY id DESC LIMIT :most"
        ),
        {"most": _MOST_GAPS},
    )
    return Panel(("topic", "partition", "after_ms", "until_ms", "what"), [tuple(r) for r in rows])
