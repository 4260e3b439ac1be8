"""What `driftline status` says, and how it fails."""

from __future__ import annotations

import json
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import msgspec
import pytest

from agents.health import Health
from agents.http_server import HttpServer, Pages
from agents.partitions import Partition
from agents.status import (
    COMMIT,
    LEAST_UNITS,
    MOST_MODELS,
    Status,
    Tally,
    ask,
    ask_here,
    show,
    status_of,
)
from agents.telemetry import Telemetry
from streams.costs import Costs, Spent
from streams.errors import ConfigError, NoAnswerError
from streams.monitor import Monitor
from streams.steps import Effects
from streams.topics import Topics
from tests.builders import label, prediction
from tests.driver import Driver, as_inputs
from tests.integration.toy_stage import Tally as ToyStage
from tests.integration.toy_stage import opened
from tests.ports import free_ports

TOPICS = Topics()


def _monitor(models: int) -> Partition:
    """Return a running partition of the monitor that has seen some models; m0 is the dearest."""
    driver = Driver()
    names = [f"p{n}" for n in range(models)]
    events = [prediction(name, model=f"m{n}") for n, name in enumerate(names)]
    more = [prediction(f"more{n}", model="m0") for n in range(50)]
    driver.feed(as_inputs([*events, *more, *(label(name) for name in names)]))
    driver.finish()
    assert isinstance(driver.monitor, Monitor)
    partition = Partition(driver.monitor, 0)
    partition.state = driver.monitors[0]
    partition.state.next.setdefault(TOPICS.resources, 0)  # nothing was ever read of it
    partition.run()
    return partition


def _join() -> Partition:
    return opened(Partition(ToyStage(TOPICS), 3))


def _tally() -> Tally:
    tally = Tally()
    tally.records = 1_000
    tally.spent.seconds |= {"join": 0.001, "monitor": 5.0, COMMIT: 0.002}
    return tally


def _status(models: int = 3) -> Status:
    parts = [_join(), _monitor(models)]
    return status_of(parts, _tally(), worker_id="w", version="1.0", unready=None)


def test_the_parts_of_the_cpu_time_add_up_to_it() -> None:
    status = _status()

    work = {one.work: one.seconds for one in status.work}
    assert work.keys() >= {"join", COMMIT, "monitor: counting", "monitor: publishing"}
    assert "monitor" not in work
    assert min(work.values()) >= 0
    assert sum(work.values()) >= status.cpu_s * 0.999
    assert status.partitions == {"join": [3], "monitor": [0]}


def test_models_are_listed_by_what_they_cost_and_only_the_dearest() -> None:
    status = _status(MOST_MODELS + 5)

    costs = status.model_costs
    assert status.models == MOST_MODELS + 5
    assert len(costs) == MOST_MODELS
    assert costs[0].model == "m0"
    assert costs[0].rows == 52
    assert [one.seconds for one in costs] == sorted((one.seconds for one in costs), reverse=True)


def test_drift_monitors_are_listed_with_the_values_that_they_saw() -> None:
    monitors = {one.monitor: one.values for one in _status().monitor_costs}

    assert monitors == {"scan": 56}


def test_people_see_tables_and_machines_see_json(capsys: pytest.CaptureFixture[str]) -> None:
    status = msgspec.structs.replace(_status(), host="here")

    show([status], costs=False, json_output=False)
    short = capsys.readouterr().out
    show([status], costs=True, json_output=False)
    tables = capsys.readouterr().out
    show([status], costs=False, json_output=True)
    [decoded] = json.loads(capsys.readouterr().out)

    assert "worker w on here, driftline 1.0: ready" in short
    assert "3 models" in short
    assert "publishing" not in short
    assert all(text in tables for text in ("monitor: publishing", "scan", "m0"))
    assert decoded["records"] == 1_000


def test_one_model_is_no_models(capsys: pytest.CaptureFixture[str]) -> None:
    show([_status(1)], costs=False, json_output=False)

    assert "  1 model, " in capsys.readouterr().out


def test_a_worker_that_has_just_started_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    status = status_of([], Tally(), worker_id="w", version="1.0", unready="starting")

    show([status], costs=True, json_output=False)

    said = capsys.readouterr().out
    assert "not ready: starting" in said
    assert "0 records in 0 s" in said
    assert "µs a record\n" not in said


@pytest.mark.parametrize(
    ("records", "says"), [(LEAST_UNITS - 1, False), (LEAST_UNITS, True)], ids=["few", "enough"]
)
def test_what_a_record_costs_is_told_once_there_are_enough_and_without_the_start(
    records: int, says: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    status = msgspec.structs.replace(_status(), records=records, cpu_s=30.0, start_cpu_s=29.0)

    show([status], costs=False, json_output=False)

    assert (f"{1e6 / records:.2f} µs a record" in capsys.readouterr().out) == says


def test_the_start_is_a_part_of_its_own_and_ends_with_the_first_record() -> None:
    tally = Tally()
    before = status_of([], tally, worker_id="w", version="1.0", unready=None)
    tally.begin()
    at_first = tally.start_cpu_s()
    while tally.start_cpu_s() + 0.05 > time.process_time():
        pass
    tally.begin()

    after = status_of([], tally, worker_id="w", version="1.0", unready=None)

    work = {one.work: one.seconds for one in after.work}
    assert 0 < before.start_cpu_s <= at_first == after.start_cpu_s < after.cpu_s - 0.04
    assert sum(work.values()) == pytest.approx(after.cpu_s)


def test_waiting_and_the_work_of_other_threads_cost_this_one_nothing() -> None:
    """With times on the wall, the parts of a worker on a busy host were more than the whole."""
    spent, costs = Spent(), Costs()

    def work() -> None:
        with spent.on("other"):
            while time.thread_time() < 0.3:
                pass

    other = Thread(target=work)
    started_s = costs.now_s()
    with spent.on("waiting"):
        other.start()
        other.join()
    costs.fed("drift", started_s=started_s, values=1)

    assert spent.seconds["other"] > 0.2
    assert spent.seconds["waiting"] < 0.1
    assert costs.monitors["drift"][0] < 0.1


@pytest.mark.parametrize("address", ["nonsense", ":9464", "host:", "a/b:1", "user@host:1"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(ConfigError, match="is no host:port"):
        ask(address)


def test_nobody_there_is_worth_another_try() -> None:
    [port] = free_ports(1)

    with pytest.raises(NoAnswerError, match=f"no worker answers at 127.0.0.1:{port}"):
        ask(f"127.0.0.1:{port}")


def test_all_workers_of_the_host_are_asked_and_one_answer_is_enough() -> None:
    statuses = [msgspec.structs.replace(_status(), worker_id=name) for name in ("a", "b")]
    free = free_ports(1)
    servers = [
        HttpServer(host="127.0.0.1", port=0, probes={}, pages=_only_status(one)) for one in statuses
    ]
    ports = [server.port for server in servers]

    found = ask_here([ports[0], *free, ports[1]])

    for server in servers:
        server.stop()
    assert [one.worker_id for one in found] == ["a", "b"]
    with pytest.raises(NoAnswerError, match=f"no worker answers at 127.0.0.1:{free[0]}"):
        ask_here(free)


def _only_status(status: Status) -> Pages:
    return lambda _path, _accepted: ("application/json", lambda: msgspec.json.encode(status))


@pytest.mark.parametrize(
    ("code", "body", "error", "says"),
    [
        (404, b"", ConfigError, "is no driftline worker"),
        (200, b"<html>", ConfigError, "is no driftline worker"),
        (200, b"{}", ConfigError, "is no driftline worker"),
        (503, b"starting\n", NoAnswerError, "cannot answer now: starting"),
    ],
)
def test_what_is_no_worker_is_told_apart(
    code: int, body: bytes, error: type[Exception], says: str
) -> None:
    class Other(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(code)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Other)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        with pytest.raises(error, match=says):
            ask(f"127.0.0.1:{server.server_port}")
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_of_ever_so_many_warnings_a_hundred_are_told_and_how_many_more_there_are() -> None:
    driver = Driver()
    events = [
        prediction(f"p{n}", model=f"m{n}", scores={"cat": 0.1, "dog": 0.2}) for n in range(1_100)
    ]
    driver.feed(as_inputs([*events, label("p0")]))
    partition = Partition(driver.join, 0)
    partition.state = driver.joins[0]
    partition.run()

    told = status_of([partition], Tally(), worker_id="w", version="1", unready=None).warnings

    assert len(driver.joins[0].oddities) == len(driver.oddities) == 1_000
    assert len(told) == 101
    assert told[-1] == "and 900 more warnings"


def test_what_is_behind_the_clock_and_the_fates_are_shown_where_they_are_known(
    capsys: pytest.CaptureFixture[str],
) -> None:
    known = msgspec.structs.replace(
        _status(),
        lag={"driftline.labels": 1_000, "driftline.predictions": 20},
        clock_ms={"join": 1_767_225_600_000},
        fates={"joined": 1_234, "late_label": 0, "dead_letter": 5},
    )
    unknown = msgspec.structs.replace(known, lag={}, clock_ms={}, fates={})

    show([known], costs=False, json_output=False)
    more = capsys.readouterr().out.splitlines()
    show([unknown], costs=False, json_output=False)
    less = capsys.readouterr().out.splitlines()

    assert [line for line in more if line not in less] == [
        "  1,020 records behind, mostly driftline.labels",
        "  event time join 2026-01-01 00:00:00",
        "  joined 1,234, dead_letter 5",
    ]


def test_lag_and_fates_are_what_the_worker_counted() -> None:
    health = Health(Telemetry(version="1"), topics=TOPICS, host="127.0.0.1", port=0)
    health.lag({(TOPICS.labels, 0): 3, (TOPICS.labels, 1): 4, (TOPICS.predictions, 0): 0})
    health.committed([Effects(fates={"joined": 2})], seconds=0.1)
    join = _join()

    before = health.known()
    health.lag({(join.stage.inputs[0], join.number): 9})
    health.forget(join)

    assert before["lag"] == {TOPICS.labels: 7, TOPICS.predictions: 0}
    assert before["fates"]["joined"] == 2
    assert before["fates"]["late_label"] == 0
    assert health.known()["lag"] == before["lag"]
