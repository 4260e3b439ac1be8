"""A real OpenSearch has what the topic says, also where all of it is sent twice."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.sinks.elasticsearch import Elasticsearch, ElasticsearchOptions, document_id
from tests import opensearch
from tests.bulk import TEMPLATE
from tests.opensearch import OpenSearch
from tests.sinking import OWNED, Log, alert, letters, metric, metric_key, run

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenSearch]:
    with opensearch.running(tmp_path_factory.mktemp("opensearch")) as found:
        # What Elasticsearch calls flattened is flat_object here, and takes no parameters.
        ours = json.dumps(TEMPLATE).replace(
            '"type": "flattened", "ignore_above": 8191', '"type": "flat_object"'
        )
        assert "flat_object" in ours
        assert found.ask("PUT", "/_index_template/driftline", json.loads(ours))["acknowledged"]
        yield found


def test_an_index_has_the_last_revision_of_every_key_that_is_there(
    node: OpenSearch, tmp_path: Path
) -> None:
    log, odd = Log(), metric(1, model="o'brien \"/<b>\x1b[31m ünï", metric="x" * 30_000)
    log.add(metric(1), odd, metric(7, final=True), alert(**OWNED), alert(alert_id="a" * 600))
    log.delete(metric(7))
    log.add(metric(1), metric(2), alert("resolved", 1, **OWNED))
    log.delete(metric(1, metric="never there"))
    log.add(metric(3, metric="recall"))
    log.delete(metric(3, metric="recall"))

    for _ in range(2):
        options = ElasticsearchOptions(target=node.url)
        run(Elasticsearch(options), log, tmp_path, most=3)
        log.committed = 0  # as after a crash before anything was committed

    metrics, alerts = node.found("driftline-metrics"), node.found("driftline-alerts")
    assert {name: one["revision"] for name, one in metrics.items()} == {
        metric_key(metric()).decode(): 2,
        document_id(metric_key(odd)): 1,
    }
    assert {name: one["state"] for name, one in alerts.items()} == {
        "a1": "resolved",
        document_id(b"a" * 600): "firing",
    }
    assert letters(tmp_path) == []
    assert list(node.found("driftline-alerts", "tags.tier:1")) == ["a1"]


def test_what_the_cluster_refuses_is_set_aside(node: OpenSearch, tmp_path: Path) -> None:
    wrong = {"mappings": {"properties": {"message": {"type": "long"}}}}
    node.ask("PUT", "/odd-alerts", wrong)
    log = Log()
    log.add(alert(message="7"), alert(alert_id="a2", message="no number"))

    run(Elasticsearch(ElasticsearchOptions(target=node.url, index="odd")), log, tmp_path)

    [letter] = letters(tmp_path)
    assert letter["key"] == "a2"
    assert "mapper_parsing_exception" in str(letter["detail"])
    assert list(node.found("odd-alerts")) == ["a1"]
