"""Every query of the dashboards, asked of a real PostgreSQL and a real Prometheus."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError

from agents.sinks.sql import Sql, SqlOptions
from agents.sinks.telemetry import SINK
from agents.telemetry_catalogue import CATALOGUE
from agents.web.history import History
from deploy.grafana import queries
from deploy.grafana.dashboards import all_dashboards
from streams import families
from streams.families.family import Part
from tests import debian
from tests.pages import ROOT
from tests.postgres import PASSWORD, Postgres
from tests.sinking import MINUTE_MS, START_MS, Log, alert, metric, run

MODEL = "o'brien \"/<b> ${version}"
CHOSEN = {
    "model": MODEL,
    "version": "3",
    "segment": "=",
    "window": str(MINUTE_MS),
    "metric": "accuracy",
    "headline": "accuracy",
    "feature": "psi:x",
}
DASHBOARDS = all_dashboards()
HEADLINES = [one.name for one in families.CATALOGUE.metrics.values() if one.headline]
_KINDS: dict[str, Any] = {"counter": Counter, "gauge": Gauge, "histogram": Histogram}


def filled(query: str, **changes: str) -> str:
    """Return a query as Grafana fills it in."""
    chosen = {**CHOSEN, **changes}
    query = query.replace("$__from", str(START_MS)).replace("$__to", str(START_MS + 9 * MINUTE_MS))
    return re.sub(r"\$\{(\w+):sqlstring\}", lambda found: queries.quoted(chosen[found[1]]), query)


def a_history() -> Log:
    log = Log()
    for number in range(4):
        start_ms = START_MS + number * MINUTE_MS
        times = {"window_start_ms": start_ms, "window_end_ms": start_ms + MINUTE_MS}
        told: dict[str, Any] = {"model": MODEL, "final": number < 2, **times}
        for one in families.CATALOGUE.metrics.values():
            name = f"{one.name}:x" if one.needs_part else one.name
            log.add(metric(number, metric=name, **told))
            if one.part is Part.NONE:
                log.add(metric(number, metric=name, **told | {"segment": "country=de"}))
    log.add(metric(1, window_end_ms=START_MS + 60 * MINUTE_MS, model=MODEL, final=True))
    # It ends with the newest final one, and is longer.
    log.add(metric(9, window_end_ms=START_MS + 2 * MINUTE_MS, model=MODEL, final=True))
    log.add(metric(9, model="other", metric="predictions", final=True, segment="a"))
    log.add(alert(model=MODEL), alert(model=MODEL, alert_id="a2", monitor="m2"))
    log.add(alert(model=MODEL, alert_id="i1", kind="incident", monitor="incident"))
    log.add(alert("resolved", 1, model=MODEL, at_ms=START_MS + MINUTE_MS))
    return log


@pytest.fixture(scope="module")
def history(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Return a connection of the user who may only read."""
    url = postgres.make_database("grafana")
    run(
        Sql(SqlOptions(target=url), clock=lambda: START_MS),
        a_history(),
        tmp_path_factory.mktemp("g"),
    )
    subprocess.run(
        ["psql", url, "--file", str(ROOT / "deploy" / "postgresql" / "reader.sql")],
        env={**os.environ, "DRIFTLINE_DB_READER_PASSWORD": PASSWORD},
        check=True,
    )
    user = re.sub("//[^:]+:", "//driftline_reader:", url).replace(
        "postgresql:", "postgresql+psycopg:"
    )
    engine = create_engine(user)
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def ask(history: Any, query: str) -> list[dict[str, Any]]:
    # Colons are bound parameters to SQLAlchemy, which there are none of.
    found = history.execute(text(query.replace(":", r"\:"))).mappings()
    return [dict(row) for row in found]


def targets(name: str, field: str) -> list[Any]:
    """Return the queries of a kind that a dashboard has."""
    rows = DASHBOARDS[name]["panels"]
    every = [panel for row in rows for panel in (row, *row.get("panels", []))]
    return [
        pytest.param(target, id=f"{name}-{panel['id']}")
        for panel in every
        for target in panel.get("targets", [])
        if field in target
    ]


@pytest.mark.parametrize("target", [one for name in DASHBOARDS for one in targets(name, "rawSql")])
def test_every_panel_on_the_history_shows_something(history: Any, target: dict[str, Any]) -> None:
    rows = ask(history, filled(target["rawSql"]))

    assert rows
    if target["format"] == "time_series":
        times = [row.pop("time") for row in rows]
        assert times == sorted(times)
        assert all(one.utcoffset() is not None for one in times)
        kinds = {name: {type(row[name]) for row in rows} - {type(None)} for name in rows[0]}
        assert kinds.pop("metric", {str}) == {str}
        assert set().union(*kinds.values()) <= {float, int}


@pytest.mark.parametrize(
    ("dashboard", "name", "wanted"),
    [
        ("model", "model", [MODEL, "other"]),
        ("model", "version", ["3"]),
        ("model", "segment", ["=", "=country=de"]),
        ("model", "window", [60_000, 120_000, 3_600_000]),
        ("model", "headline", sorted(HEADLINES)),
    ],
)
def test_choices_are_what_the_history_has(
    history: Any, dashboard: str, name: str, wanted: list[object]
) -> None:
    variables = {one["name"]: one for one in DASHBOARDS[dashboard]["templating"]["list"]}

    rows = ask(history, filled(variables[name]["query"]))

    assert [next(iter(row.values())) for row in rows] == wanted


def test_features_to_choose_from_begin_with_those_that_have_moved_furthest(history: Any) -> None:
    rows = ask(history, filled(queries.features(["mean", "psi"])))

    assert [row["metric"] for row in rows] == ["psi:x", "mean:x"]


def test_lengths_of_windows_are_written_for_people(history: Any) -> None:
    rows = ask(history, filled(queries.WINDOWS))

    assert [row["__text"] for row in rows] == ["00:01:00", "00:02:00", "01:00:00"]


def test_provisional_values_begin_at_the_last_final_one_so_that_lines_meet(history: Any) -> None:
    rows = ask(history, filled(queries.values(queries.quoted("accuracy"))))

    assert [row["final"] for row in rows] == [0.5, 0.51, None, None]
    assert [row["provisional"] for row in rows] == [None, 0.51, 0.52, 0.53]


def test_the_fleet_shows_the_last_final_value_and_what_still_fires(history: Any) -> None:
    [row] = ask(history, filled(queries.models(["accuracy"])))

    assert (row["model"], row["firing"], row["accuracy"]) == (MODEL, 1, 0.51)


def test_what_a_viewer_chooses_is_no_code(history: Any) -> None:
    for name in ("model", "version", "segment", "metric"):
        query = filled(queries.SIDE_BY_SIDE, **{name: "' OR true OR '' = '"})
        assert name == "version" or ask(history, query) == []
    with pytest.raises(DBAPIError, match="invalid input syntax"), history.begin_nested():
        ask(history, filled(queries.SIDE_BY_SIDE, window="0 OR true"))


def test_who_draws_dashboards_may_not_write(history: Any) -> None:
    for statement in ("DELETE FROM metrics", "CREATE TABLE mine (n int)"):
        with pytest.raises(DBAPIError, match="read-only"), history.begin_nested():
            history.execute(text(statement))


@pytest.mark.parametrize(
    ("statement", "refused"),
    [
        ("DELETE FROM metrics", "permission denied for table metrics"),
        ("CREATE TABLE mine (n int)", "permission denied for schema public"),
        ("CREATE TEMPORARY TABLE mine (n int)", "permission denied to create temporary tables"),
        ("SELECT lo_from_bytea(0, 'x')", "permission denied for function lo_from_bytea"),
        ("SELECT lo_create(0)", "permission denied for function lo_create"),
        ("SELECT rolpassword FROM pg_authid", "permission denied for table pg_authid"),
    ],
    ids=lambda one: one.split("(")[0],
)
def test_who_takes_back_what_is_read_only_may_not_either(
    history: Any, statement: str, refused: str
) -> None:
    insisting = ["psql", str(history.engine.url.render_as_string(False)).replace("+psycopg", "")]
    insisting += ["-c", "SET default_transaction_read_only = off", "-c", statement]

    done = subprocess.run(insisting, capture_output=True, text=True, check=False)

    assert refused in done.stderr


def test_tables_that_are_made_later_are_read_too(history: Any, postgres: Postgres) -> None:
    url = postgres.url("grafana")
    subprocess.run(["psql", url, "-c", "CREATE TABLE later (n int)"], check=True)

    assert ask(history, "SELECT * FROM later") == []


def test_the_page_reads_the_history_as_the_same_user(history: Any) -> None:
    page = History(history.engine.url)

    with page.connected() as connection:
        assert connection.execute(text("SELECT count(*) FROM metrics")).scalar()
    page.close()


def test_every_panel_on_prometheus_shows_something(tmp_path: Path) -> None:
    registry = CollectorRegistry()
    for entry in {one.name: one for one in (*CATALOGUE, *SINK)}.values():
        told = _KINDS[entry.kind](entry.name, entry.help, entry.labels, registry=registry)
        one: Any = told.labels(*("x" for _ in entry.labels)) if entry.labels else told
        one.observe(1) if entry.kind == "histogram" else one.inc()
    server, thread = start_http_server(0, "127.0.0.1", registry=registry)
    port = server.server_port
    jobs = ("driftline", "driftline-sinks")
    every = [one.values[0] for name in DASHBOARDS for one in targets(name, "expr")]
    try:
        with debian.run_prometheus(tmp_path, target=f"127.0.0.1:{port}", names=jobs) as running:

            def asked(query: str) -> list[Any]:
                filled = query.replace("$__rate_interval", "20s")
                return list(running.ask("/api/v1/query", query=filled)["data"]["result"])

            for target in every:
                query = target["expr"]
                debian.wait_until(lambda query=query: bool(asked(query)), what=query)  # type: ignore[misc]
            legends = {one["legendFormat"]: asked(one["expr"])[0]["metric"] for one in every}
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

    assert len(every) == len(CATALOGUE) + len(SINK)
    for legend, labels in legends.items():
        assert set(re.findall(r"{{(\w+)}}", legend)) == set(labels)
