"""What holds of every sink: nothing is lost, order is kept, what is wrong harms nothing else."""

from __future__ import annotations

import inspect
import itertools
import json
import os
import subprocess
import sys
import threading
import time
import uuid
from abc import abstractmethod
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pyarrow.parquet
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from agents.sinks import catalogue
from agents.sinks.contract import Sink
from agents.sinks.prometheus import Prometheus
from agents.sinks.telemetry import SinkHealth
from streams.errors import ConfigError
from tests import killing, oracle
from tests.bulk import Cluster
from tests.histories import a_log, assert_history_is
from tests.mlflow_servers import Memory
from tests.otlp import Collector, attributes
from tests.postgres import Postgres
from tests.receivers import Receiver, receiving
from tests.sinking import START_MS, TOPICS, Log, alert, letters, metric, run

NOW_MS = START_MS + 60_000


class Place:
    """A sink, its target, and what must be there in the end.

    Attributes
    ----------
    where, name
        Module and class of the sink.
    """

    where: ClassVar[str]
    name: ClassVar[str]

    def __init__(self, folder: Path) -> None:
        self.folder, self.log = folder, a_log()
        self.made: Sink | None = None

    @contextmanager
    def running(self) -> Iterator[None]:
        """Have the target run."""
        yield

    @contextmanager
    def away(self) -> Iterator[None]:
        """Have the target refuse at first, and come back by itself."""
        yield

    @contextmanager
    def slow(self) -> Iterator[None]:
        """Have the target take its time for whatever it is asked."""
        yield

    @abstractmethod
    def wrong(self) -> dict[str, str]:
        """Return options with which it must refuse, at the latest when it writes."""

    @abstractmethod
    def options(self) -> dict[str, Any]: ...

    @abstractmethod
    def check(self) -> None: ...

    def plan(self) -> str:
        return (
            f"from {self.where} import {self.name}\n"
            "from tests import killing\n"
            "def made(folder):\n"
            f"    options = {self.name}.options(**{self.options()!r})\n"
            f"    return {self.name}(options{self.clock()}), killing.load(folder)\n"
        )

    def clock(self) -> str:
        return f", clock=lambda: {NOW_MS}"

    def sink(self, **changes: str) -> Sink:
        found = catalogue.find(self.kind())
        assert found is not None
        options = found.options(**{**self.options(), **changes})
        named: dict[str, Any] = {"clock": lambda: NOW_MS}
        if "clock" not in inspect.signature(found).parameters:
            named = {}
        elif self.kind() == "parquet":
            named = {"clock": itertools.count().__next__}
        self.made = found(options, **named)  # type: ignore[call-arg]
        return self.made

    def kind(self) -> str:
        return self.where.rpartition(".")[2]


class InFiles(Place):
    where, name = "agents.sinks.files", "Files"

    def wrong(self) -> dict[str, str]:
        return {"target": "/proc/none"}

    def options(self) -> dict[str, Any]:
        return {"target": str(self.folder / "out")}

    def clock(self) -> str:
        return ""

    @contextmanager
    def away(self) -> Iterator[None]:
        """The disk is full, twice."""
        failures, fsync = [28, 28], os.fsync

        def full(descriptor: int) -> None:
            if failures:
                raise OSError(failures.pop(), "No space left on device")
            fsync(descriptor)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "fsync", full)
            yield

    @contextmanager
    def slow(self) -> Iterator[None]:
        """The disk needs a while."""
        fsync = os.fsync

        def late(descriptor: int) -> None:
            time.sleep(0.05)
            fsync(descriptor)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "fsync", late)
            yield

    def check(self) -> None:
        for topic, kind in ((TOPICS.metrics, "metrics"), (TOPICS.alerts, "alerts")):
            files = sorted((self.folder / "out" / kind).glob("*.jsonl"))
            lines = [json.loads(one) for file in files for one in file.read_text().splitlines()]
            offsets = [entry.offset for entry in self.log.entries if entry.topic == topic]
            assert [line["offset"] for line in lines] == offsets


class InParquet(InFiles):
    where, name = "agents.sinks.parquet", "Parquet"

    def options(self) -> dict[str, Any]:
        return {"target": str(self.folder / "out"), "every": "1ms"}

    def clock(self) -> str:
        return ", clock=itertools.count().__next__"

    def plan(self) -> str:
        # before children are forked
        return "import itertools\nimport pyarrow.parquet\n" + super().plan()

    def check(self) -> None:
        for topic, kind in ((TOPICS.metrics, "metrics"), (TOPICS.alerts, "alerts")):
            found: list[int] = []
            for file in sorted((self.folder / "out" / kind).glob("day=2026-01-01/*.parquet")):
                found += pyarrow.parquet.read_table(file)["offset"].to_pylist()
            offsets = [entry.offset for entry in self.log.entries if entry.topic == topic]
            assert found == offsets


class InTensorboard(InFiles):
    where, name = "agents.sinks.tensorboard", "Tensorboard"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.log.add(metric(2, final=True), metric(1, final=True, metric="recall"))

    def check(self) -> None:
        found = EventAccumulator(str(self.folder / "out" / "fraud" / "3" / "1m"))
        found.Reload()
        values = {tag: [one.value for one in found.Scalars(tag)] for tag in ("accuracy", "recall")}
        assert values == {
            "accuracy": pytest.approx([0.53, 0.52]),
            "recall": [pytest.approx(0.51)],
        }


class InSqlite(Place):
    where, name = "agents.sinks.sql", "Sql"

    def wrong(self) -> dict[str, str]:
        return {"target": "/proc/none/history.db"}

    def options(self) -> dict[str, Any]:
        return {"target": str(self.folder / "history.db")}

    def plan(self) -> str:
        loaded = "import psycopg\nfrom agents.history import database, failures, schema, writing\n"
        return loaded + super().plan()  # before children are forked

    def check(self) -> None:
        assert_history_is(self.options()["target"], self.log)

    @contextmanager
    def away(self) -> Iterator[None]:
        """Another program holds the lock for a while."""
        from agents.history import database, schema  # noqa: PLC0415

        engine = database.engine_of(database.url_of(self.options()["target"]))
        with engine.begin() as connection:
            schema.prepare(connection)
        held = engine.connect()
        held.begin()
        freed = threading.Timer(1.0, held.rollback)
        freed.start()
        yield
        freed.join()
        held.close()
        engine.dispose()

    @contextmanager
    def slow(self) -> Iterator[None]:
        """Every statement takes a while."""
        from sqlalchemy import Engine, event  # noqa: PLC0415

        def late(*_: object) -> None:
            time.sleep(0.02)

        event.listen(Engine, "before_cursor_execute", late)
        yield
        event.remove(Engine, "before_cursor_execute", late)


class InPostgres(InSqlite):
    url = ""

    def wrong(self) -> dict[str, str]:
        return {"target": self.url.replace(":s3cret-of-tests", ":wr0ng")}

    def options(self) -> dict[str, Any]:
        return {"target": self.url}


class Posting(Place):
    """Those that post to a receiver; it stands for Alertmanager, too.

    Alerts come first: those who are killed at every call of the first step lose one if any.
    """

    receiver: Receiver

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.log = Log()
        self.log.add(alert(), alert("resolved", 1), metric(1), alert(alert_id="a2"))
        self.log.add(alert("retracted", 1, alert_id="a2"))

    @contextmanager
    def running(self) -> Iterator[None]:
        with receiving() as self.receiver:
            yield

    @contextmanager
    def away(self) -> Iterator[None]:
        self.receiver.answers = [503, 429, 500]
        self.receiver.pause_s = 0.1
        yield

    @contextmanager
    def slow(self) -> Iterator[None]:
        """Every answer takes a while."""
        self.receiver.pause_s = 0.2
        yield


class ByWebhook(Posting):
    where, name = "agents.sinks.webhook", "Webhook"

    def wrong(self) -> dict[str, str]:
        return {"authorization_file": "none"}

    def options(self) -> dict[str, Any]:
        return {"target": self.receiver.url, "allow_private": True}

    def check(self) -> None:
        """All came, in order where they came first."""
        first: dict[str, list[int]] = defaultdict(list)
        for post in self.receiver.posts:
            data = post.json["data"]
            if data["revision"] not in first[data["alert_id"]]:
                first[data["alert_id"]].append(data["revision"])
        assert first == revisions(self.log)


class ByApprise(Posting):
    """It tells by whatever service there is; here, one that takes posts of JSON."""

    where, name = "agents.sinks.apprise", "Apprise"

    def wrong(self) -> dict[str, str]:
        (self.folder / "wrong").write_text("nothing://of the kind")
        return {"target": str(self.folder / "wrong")}

    def options(self) -> dict[str, Any]:
        (self.folder / "url").write_text(self.receiver.url.replace("http:", "json:"))
        return {"target": str(self.folder / "url")}

    def plan(self) -> str:
        return "import apprise\n" + super().plan()

    def check(self) -> None:
        told = dict.fromkeys(post.json["title"].partition("]")[0] for post in self.receiver.posts)
        assert list(told) == ["[FIRING", "[RESOLVED", "[RETRACTED"]


class ByAlertmanager(Posting):
    where, name = "agents.sinks.alertmanager", "Alertmanager"

    def wrong(self) -> dict[str, str]:
        return {"authorization_file": "none"}

    def options(self) -> dict[str, Any]:
        return {"target": self.receiver.url}

    def check(self) -> None:
        """What came last is how it is."""
        last = {}
        for post in self.receiver.posts:
            for one in post.json:
                last[one["labels"]["alert_id"]] = one["endsAt"]
        assert last == dict.fromkeys(("a1", "a2"), "2026-01-01T00:00:00Z")


class ByOtlp(Posting):
    where, name = "agents.sinks.otlp", "Otlp"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.log.add(metric(2, final=True))

    @contextmanager
    def running(self) -> Iterator[None]:
        with super().running():
            self.receiver.respond = self.collector = Collector()
            yield

    def wrong(self) -> dict[str, str]:
        return {"authorization_file": "none"}

    def options(self) -> dict[str, Any]:
        return {"target": self.receiver.url}

    def plan(self) -> str:
        return "from streams.families import CATALOGUE\n" + super().plan()

    def clock(self) -> str:
        return ""

    def check(self) -> None:
        """All came, in order where they came first."""
        found: dict[str, list[int]] = defaultdict(list)
        for one in map(attributes, self.collector.logs()):
            if one["revision"] not in found[one["alert_id"]]:
                found[one["alert_id"]].append(one["revision"])
        assert found == revisions(self.log)
        values = {(name, point.as_double) for name, _, point in self.collector.points()}
        assert values == {("driftline.accuracy", 0.52), ("driftline.accuracy.low", 0.4)}


class ByElasticsearch(Posting):
    where, name = "agents.sinks.elasticsearch", "Elasticsearch"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.log.add(metric(2, final=True), metric(1, metric="recall"))
        self.log.delete(metric(1, metric="recall"))

    @contextmanager
    def running(self) -> Iterator[None]:
        with super().running():
            self.receiver.respond = self.cluster = Cluster()
            yield

    def wrong(self) -> dict[str, str]:
        return {"authorization_file": "none"}

    def options(self) -> dict[str, Any]:
        return {"target": self.receiver.url}

    def clock(self) -> str:
        return ""

    def check(self) -> None:
        """What came last is how it is."""
        [accuracy] = self.cluster.indices["driftline-metrics"].values()
        alerts = self.cluster.indices["driftline-alerts"]
        assert (accuracy["metric"], accuracy["revision"]) == ("accuracy", 2)
        assert {name: one["state"] for name, one in alerts.items()} == {
            "a1": "resolved",
            "a2": "retracted",
        }


class ByMlflow(Posting):
    where, name = "agents.sinks.mlflow", "Mlflow"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.log.add(metric(2, final=True), metric(1, final=True, metric="recall"))

    @contextmanager
    def running(self) -> Iterator[None]:
        with super().running():
            self.receiver.respond = self.memory = Memory()
            yield

    @contextmanager
    def away(self) -> Iterator[None]:
        """It is there while the experiment is found."""
        with super().away():
            self.receiver.answers = [200, 200, *self.receiver.answers]
            yield

    def wrong(self) -> dict[str, str]:
        return {"authorization_file": "none"}

    def options(self) -> dict[str, Any]:
        return {"target": self.receiver.url}

    def clock(self) -> str:
        return ""

    def check(self) -> None:
        [logged] = self.memory.runs().values()
        assert {key: [one.value for one in values] for key, values in logged.items()} == {
            "accuracy": [0.52],
            "accuracy.low": [0.4],
            "recall": [0.51],
            "recall.low": [0.4],
        }


class ByPrometheus(Place):
    where, name = "agents.sinks.prometheus", "Prometheus"

    def wrong(self) -> dict[str, str]:
        return {"max_series": "0"}

    def options(self) -> dict[str, Any]:
        return {}

    def check(self) -> None:
        if self.made is None:  # nothing is left of one that has ended
            return
        assert isinstance(self.made, Prometheus)
        shown = {
            sample.labels["metric"]: sample.value
            for family in self.made.collect()
            for sample in family.samples
            if sample.name == "driftline_metric_value"
        }
        assert shown == {"accuracy": 0.53}


PLACES = (
    *(InFiles, InParquet, InTensorboard, InSqlite, InPostgres),
    *(ByWebhook, ByApprise, ByAlertmanager, ByPrometheus, ByOtlp, ByMlflow),
    ByElasticsearch,
)


def revisions(log: Log) -> dict[str, list[int]]:
    found: dict[str, list[int]] = defaultdict(list)
    for entry in log.entries:
        if entry.topic == TOPICS.alerts:
            record = msgspec.json.decode(entry.value or b"")
            found[record["alert_id"]].append(record["revision"])
    return found


@pytest.fixture(params=PLACES, ids=lambda kind: kind.__name__)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    made: Place = request.param(tmp_path)
    if isinstance(made, InPostgres):
        postgres: Postgres = request.getfixturevalue("postgres")
        made.url = postgres.make_database(f"test_{uuid.uuid4().hex[:8]}")
    with made.running():
        yield made


def test_every_sink_of_the_catalogue_is_tested_here() -> None:
    assert {kind(Path()).kind() for kind in PLACES} == set(catalogue.SINKS)


def test_killed_between_any_two_calls_nothing_is_lost(place: Place) -> None:
    """What is killed goes on where the one before was, one call further each time."""
    killing.save(place.log, place.folder)
    (place.folder / "plan.py").write_text(place.plan())

    done = subprocess.run(
        [sys.executable, "-m", "tests.killing", str(place.folder)],
        cwd=oracle.ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert int((place.folder / "kills").read_text()) >= 8
    place.check()


def test_a_target_that_is_away_gets_everything_when_it_is_back(place: Place) -> None:
    log, sink = place.log, place.sink()

    with place.away():
        run(sink, log, place.folder, most=2)

    place.check()
    assert letters(place.folder) == []


def test_a_slow_target_gets_everything_once_and_nobody_takes_the_sink_for_dead(
    place: Place,
) -> None:
    log, sink = place.log, place.sink()
    health = SinkHealth(sink.name, version="1")

    with place.slow():
        run(sink, log, place.folder, most=2, health=health)

    place.check()
    assert letters(place.folder) == []
    registry, own = health.telemetry.registry, {"sink": sink.name}
    assert registry.get_sample_value("driftline_sink_errors_total", own) == 0
    assert (health.unready(), health.stalled()) == (None, None)
    if isinstance(place, ByWebhook):
        ids = [post.headers["webhook-id"] for post in place.receiver.posts]
        assert len(ids) == len(set(ids))


def test_poison_on_the_topic_harms_nothing_else(place: Place) -> None:
    log, sink = place.log, place.sink()
    clean = len(log.entries)
    log.put(TOPICS.metrics, b"k", b"\xff{")
    log.put(TOPICS.alerts, b"k", b'{"alert_id": 7}')
    log.put(TOPICS.alerts, None, b"null")

    run(sink, log, place.folder)

    reasons = [one["reason"] for one in letters(place.folder)]
    assert reasons == ["undecodable", "undecodable", "no_key"]
    del log.entries[clean:]
    place.check()


def test_what_a_person_must_act_on_is_refused_and_nothing_committed(place: Place) -> None:
    log = place.log

    with pytest.raises(ConfigError):
        run(place.sink(**place.wrong()), log, place.folder)

    assert log.committed == 0


def test_metrics_of_a_sink_say_what_it_did(place: Place) -> None:
    log, sink = place.log, place.sink()
    health = SinkHealth(sink.name, version="1")

    run(sink, log, place.folder, health=health)

    written = [
        health.telemetry.registry.get_sample_value(
            "driftline_sink_written_records_total", {"sink": sink.name, "kind": kind}
        )
        or 0  # of kinds that the log has nothing of
        for kind in sink.reads
    ]
    topics = [entry.topic for entry in log.entries]
    assert written == [topics.count(f"driftline.{kind}") for kind in sink.reads]
    assert health.unready() is None
