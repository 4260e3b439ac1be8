"""MLflow has every final value once, and how model versions are; in memory, and for real."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from agents.sinks.mlflow import Mlflow, MlflowOptions, key_of
from streams.actions import Action
from streams.errors import ConfigError
from tests import mlflow_servers
from tests.mlflow_servers import Memory, Real, Value
from tests.receivers import receiving
from tests.sinking import MINUTE_MS, START_MS, Log, action, alert, letters, metric, run

NAME = "o'brien \"<b> ünï"
END_MS = START_MS + MINUTE_MS


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Real]:
    with mlflow_servers.real(tmp_path_factory.mktemp("mlflow")) as running:
        yield running


@pytest.fixture(params=["memory", pytest.param("real", marks=pytest.mark.long)])
def server(request: pytest.FixtureRequest) -> Iterator[Memory | Real]:
    """One in memory, and a real MLflow, which takes minutes to install."""
    if request.param == "memory":
        with mlflow_servers.in_memory() as made:
            made.experiment = request.node.name
            yield made
    else:
        running: Real = request.getfixturevalue("real")
        running.experiment = request.node.name
        yield running


def logged(log: Log, server: Memory | Real, folder: Path, **changes: object) -> None:
    run(sink(server, **changes), log, folder)


def sink(server: Memory | Real, **changes: object) -> Mlflow:
    options = {"target": server.url, "experiment": server.experiment or "driftline", **changes}
    return Mlflow(MlflowOptions(**options), clock=lambda: START_MS)  # type: ignore[arg-type]


def test_final_values_have_the_time_of_their_window_whatever_their_names(
    server: Memory | Real, tmp_path: Path
) -> None:
    log, odd = Log(), "mean:../a\x1b//\"'"
    log.add(metric(1), metric(2, final=True, model=NAME), metric(3, final=True, metric=odd))
    log.add(metric(4, final=True, metric="mean:amount", model=NAME, low=None))
    log.add(metric(5, final=True, segment="country=de"))

    logged(log, server, tmp_path)

    found = server.runs()
    at = (END_MS, END_MS // 1_000)
    assert found[f"{NAME} 3 1m"] == {
        "accuracy": [Value(*at, 0.52)],
        "accuracy.low": [Value(*at, 0.4)],
        "mean/amount": [Value(*at, 0.54)],
    }
    assert set(found["fraud 3 1m"]) == {key_of(odd), key_of(odd) + ".low"}
    assert len(found) == 2
    assert letters(tmp_path) == []


def test_segments_are_runs_of_their_own_where_they_are_asked_for(
    server: Memory | Real, tmp_path: Path
) -> None:
    log = Log()
    log.add(metric(1, final=True, low=None, segment="country=de"))

    logged(log, server, tmp_path, segments=True)

    assert server.runs() == {
        "fraud 3 country=de 1m": {"accuracy": [Value(END_MS, END_MS // 1_000, 0.51)]}
    }


def test_a_sink_goes_on_where_the_one_before_was_and_finds_its_runs(
    server: Memory | Real, tmp_path: Path
) -> None:
    log = Log()
    log.add(metric(1, final=True, low=None))
    logged(log, server, tmp_path)
    before = sink(server).start()
    end_ms = END_MS + MINUTE_MS
    log.add(metric(2, final=True, low=None, window_start_ms=END_MS, window_end_ms=end_ms))

    logged(log, server, tmp_path)

    assert before == {("driftline.metrics", 0): 1}
    assert server.runs() == {
        "fraud 3 1m": {
            "accuracy": [
                Value(END_MS, END_MS // 1_000, 0.51),
                Value(end_ms, end_ms // 1_000, 0.52),
            ]
        }
    }


def test_versions_say_the_worst_of_what_fires_and_ok_once_it_is_over(
    server: Memory | Real, tmp_path: Path
) -> None:
    server.register(NAME)
    server.register("quiet")
    log, told = Log(), {"model": NAME, "version": "1"}
    log.add(alert(**told), alert(**told, alert_id="a2", severity="info"))
    log.add(metric(1, model="quiet", version="1"))
    log.add(alert(model="unknown", version="v2", alert_id="a3"))
    log.add(alert(model="unknown", version="7", alert_id="a4"))
    logged(log, server, tmp_path)
    critical = server.tags_of(NAME), server.tags_of("quiet")
    log.add(alert("resolved", 1, **told))
    logged(log, server, tmp_path)
    info = server.tags_of(NAME)
    log.add(alert("retracted", 1, **told, alert_id="a2", severity="info"))
    logged(log, server, tmp_path)

    assert critical == ({"driftline.status": "critical"}, {"driftline.status": "ok"})
    assert info == {"driftline.status": "info"}
    assert server.tags_of(NAME) == {"driftline.status": "ok"}


def test_an_alert_that_is_deleted_fires_no_more(server: Memory | Real, tmp_path: Path) -> None:
    server.register("fraud")
    log = Log()
    log.add(alert(version="1"))
    log.put("driftline.alerts", b"a1", None)

    logged(log, server, tmp_path)

    assert server.tags_of("fraud") == {"driftline.status": "ok"}


def test_no_status_is_told_before_all_alerts_are_known(tmp_path: Path) -> None:
    with mlflow_servers.in_memory() as server:
        server.register("fraud")
        log = Log()
        log.add(alert(version="1"))
        log.add(alert("resolved", 1, version="1"))
        told: list[str] = []
        server.registered["fraud", "1"] = _Noting(told)

        run(sink(server), log, tmp_path, most=1)

    assert told == ["ok"]


class _Noting(dict[str, str]):
    def __init__(self, told: list[str]) -> None:
        self._told = told

    def __setitem__(self, key: str, value: str) -> None:
        self._told.append(value)


def test_an_experiment_with_a_tag_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with mlflow_servers.in_memory() as server:
        server.experiments["driftline"] = {"driftline.next_offsets": "[1]"}

        with pytest.raises(ConfigError, match="delete it, and all is logged again"):
            logged(Log(), server, tmp_path)


def test_a_server_that_is_no_mlflow_is_refused() -> None:
    with receiving() as receiver:
        receiver.respond = lambda _: (200, b"<html>")

        with pytest.raises(ConfigError, match="does not answer as MLflow does"):
            Mlflow(MlflowOptions(target=receiver.url)).start()


@pytest.mark.parametrize(
    ("asked", "comes_to"),
    [
        pytest.param(action("rollback", version="3"), "2", id="to the version before"),
        pytest.param(action("rollback", version="3", parameters={"to": 1}), "1", id="to another"),
        pytest.param(action("rollback", version="2"), "3", id="moved already"),
        pytest.param(action("promote", version="1"), "1", id="promote"),
        pytest.param(action("promote", version="9"), "3", id="no such version"),
        pytest.param(action("retrain", version="3"), "3", id="something else"),
        pytest.param(action("rollback", version="3", at_ms=START_MS - 86_400_001), "3", id="old"),
    ],
)
def test_an_alias_is_moved_as_actions_ask(
    asked: Action, comes_to: str, server: Memory | Real, tmp_path: Path
) -> None:
    name = f"{NAME} {server.experiment}".replace('"', "")
    server.register(name, 3)
    server.set_alias(name, "champion", "3")
    log = Log()
    log.add(msgspec.structs.replace(asked, model=name))

    logged(log, server, tmp_path, aliases="champion")
    again = sink(server, aliases="champion").start()
    logged(log, server, tmp_path, aliases="champion")

    assert server.alias_of(name, "champion") == comes_to
    assert again == {("driftline.actions", 0): 1}
    assert letters(tmp_path) == []


def test_no_alias_is_moved_where_nobody_asked_for_that(tmp_path: Path) -> None:
    with mlflow_servers.in_memory() as server:
        server.register("fraud", 3)
        server.set_alias("fraud", "champion", "3")
        log = Log()
        log.add(action("rollback", version="3"))

        logged(log, server, tmp_path)

        assert server.alias_of("fraud", "champion") == "3"
