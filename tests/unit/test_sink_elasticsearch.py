"""An index has the last revision of every key; what is sent twice changes nothing."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agents.sinks.elasticsearch import Elasticsearch, ElasticsearchOptions
from streams.alerts import Alert
from streams.errors import ConfigError
from streams.metrics import Metric
from tests.bulk import TEMPLATE, Cluster
from tests.pages import ROOT
from tests.receivers import Receiver, receiving
from tests.sinking import OWNED, START_MS, Log, alert, letters, metric, metric_key, run

ACCURACY = metric_key(metric()).decode()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


@pytest.fixture
def cluster(receiver: Receiver) -> Cluster:
    made = Cluster()
    receiver.respond = made
    return made


def sent(log: Log, receiver: Receiver, folder: Path, **options: Any) -> None:
    target = receiver.url + "/"
    run(Elasticsearch(ElasticsearchOptions(target=target, **options)), log, folder, most=2)


def test_documents_are_the_last_revisions_and_their_names_are_the_keys(
    receiver: Receiver, cluster: Cluster, tmp_path: Path
) -> None:
    log = Log()
    log.add(metric(1), alert(**OWNED), metric(2, final=True))

    sent(log, receiver, tmp_path)

    [(name, document)] = cluster.indices["driftline-metrics"].items()
    assert name == ACCURACY
    assert (document["value"], document["final"]) == (0.52, True)
    assert document["visible_at_ms"] == START_MS + 2_000
    assert cluster.indices["driftline-alerts"]["a1"]["tags"] == {"tier": "1", "a.b": "x"}


def test_what_is_deleted_and_comes_back_with_a_first_revision_is_there(
    receiver: Receiver, cluster: Cluster, tmp_path: Path
) -> None:
    log = Log()
    log.add(metric(7))
    log.delete(metric(7))
    log.add(metric(1))
    log.delete(metric(1, metric="never there"))

    sent(log, receiver, tmp_path)

    [document] = cluster.indices["driftline-metrics"].values()
    assert document["revision"] == 1
    assert letters(tmp_path) == []


def test_what_is_sent_again_changes_nothing(
    receiver: Receiver, cluster: Cluster, tmp_path: Path
) -> None:
    log = Log()
    log.add(metric(1), metric(2))
    sent(log, receiver, tmp_path)
    log.committed = 0
    before = len(receiver.posts)

    sent(log, receiver, tmp_path)

    assert len(receiver.posts) > before
    assert cluster.indices["driftline-metrics"][ACCURACY]["revision"] == 2
    assert letters(tmp_path) == []


def test_keys_that_are_too_long_for_a_name_are_hashed(
    receiver: Receiver, cluster: Cluster, tmp_path: Path
) -> None:
    log, long = Log(), metric(1, model="ü" * 128, segment="x" * 256)
    log.add(long)

    sent(log, receiver, tmp_path, index="mine")

    assert list(cluster.indices["mine-metrics"]) == [hashlib.sha256(metric_key(long)).hexdigest()]


def test_a_document_that_is_refused_is_set_aside_and_the_rest_is_taken(
    receiver: Receiver, cluster: Cluster, tmp_path: Path
) -> None:
    log = Log()
    log.add(alert(), alert(alert_id="a2"), alert(alert_id="a3"))
    cluster.refusals["a2"] = 400, "document_parsing_exception"

    sent(log, receiver, tmp_path)

    [letter] = letters(tmp_path)
    assert (letter["reason"], letter["key"]) == ("refused_by_index", "a2")
    assert letter["detail"] == (r"127.0.0.1 answers 400 (document_parsing_exception: no \x1b[31m)")
    assert set(cluster.indices["driftline-alerts"]) == {"a1", "a3"}


def test_a_document_that_is_not_taken_now_is_sent_until_it_is(
    receiver: Receiver, cluster: Cluster, tmp_path: Path
) -> None:
    log = Log()
    log.add(alert(), alert(alert_id="a2"))
    cluster.refusals["a2"] = 429, "es_rejected_execution_exception"

    def freed(post: Any) -> tuple[int, bytes]:
        answer = cluster(post)
        cluster.refusals.clear()
        return answer

    receiver.respond = freed
    sent(log, receiver, tmp_path)

    assert set(cluster.indices["driftline-alerts"]) == {"a1", "a2"}
    assert letters(tmp_path) == []


@pytest.mark.parametrize("status", [401, 403, 404])
def test_what_a_person_must_act_on_ends_it(
    receiver: Receiver, cluster: Cluster, tmp_path: Path, status: int
) -> None:
    log = Log()
    log.add(alert())
    cluster.refusals["a1"] = status, "security_exception"

    with pytest.raises(ConfigError, match="may this user write driftline-alerts"):
        sent(log, receiver, tmp_path)

    assert log.committed == 0


@pytest.mark.parametrize("answer", [b"<html>", b"{}", b'{"items": []}'])
def test_an_answer_of_another_program_is_refused(
    receiver: Receiver, tmp_path: Path, answer: bytes
) -> None:
    log = Log()
    log.add(alert())
    receiver.respond = lambda _: (200, answer)

    with pytest.raises(ConfigError, match="does not answer as Elasticsearch does"):
        sent(log, receiver, tmp_path)


def test_the_index_template_knows_every_field_of_the_records() -> None:
    fields = {*Metric.__struct_fields__, *Alert.__struct_fields__, "visible_at_ms"}

    told = TEMPLATE["template"]["mappings"]["properties"]

    assert set(told) == fields
    assert {name for name in fields if name.endswith("_ms")} == {
        name for name, one in told.items() if one["type"] == "date"
    }


def test_data_views_of_kibana_are_of_these_indices_by_a_time_that_there_is() -> None:
    lines = (ROOT / "deploy" / "elasticsearch" / "kibana.ndjson").read_text().splitlines()

    views = [json.loads(line)["attributes"] for line in lines]

    assert [view["title"] for view in views] == TEMPLATE["index_patterns"]
    for view in views:
        field = TEMPLATE["template"]["mappings"]["properties"][view["timeFieldName"]]
        assert field == {"type": "date", "format": "epoch_millis"}
