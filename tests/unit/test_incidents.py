"""Alerts of one model that are open at the same time are one incident."""

import random
from typing import Any

import msgspec
import pytest

from streams import families
from streams.alerts import Alert
from streams.causes import cause_of
from streams.monitor.incidents import LISTED, Incidents

OF_A_ROW = {"detector": "adwin", "evidence": {"input": "loss", "index": 5}}


def alert(name: str, at_ms: int = 1_000, **fields: Any) -> Alert:
    base = {
        "alert_id": name,
        "state": "firing",
        "model": "fraud",
        "version": "1",
        "segment": "",
        "monitor": "feature-drift",
        "kind": "drift",
        "severity": "info",
        "at_ms": at_ms,
        "value": 1.0,
        "threshold": 0.0,
        "direction": "changed",
        "detector": "scan",
        "message": "",
        "revision": 0,
        "evidence": {"input": f"feature:{name}"},
    }
    return msgspec.convert(base | fields, Alert)


def ended(one: Alert, at_ms: int, *, state: str = "resolved") -> Alert:
    return msgspec.structs.replace(one, state=state, at_ms=at_ms, revision=1)


def of_incidents(found: list[Alert]) -> list[Alert]:
    return [one for one in found if one.kind == "incident"]


def test_an_alert_begins_an_incident_and_names_it() -> None:
    found = Incidents().group([alert("a")])

    member, incident = found
    assert member.incident_id == incident.alert_id != ""
    assert (incident.kind, incident.state, incident.severity) == ("incident", "firing", "info")
    assert incident.message == "1 alert: feature-drift of feature:a"
    assert incident.incident_id == ""


def test_fifty_features_that_shift_at_once_are_one_incident() -> None:
    found = Incidents().group([alert(f"a{n}") for n in range(2 * LISTED)])

    [incident] = of_incidents(found)
    assert incident.value == 2 * LISTED
    assert len(incident.evidence["members"]) == LISTED
    assert len({one.incident_id for one in found if one.kind != "incident"}) == 1


def test_an_incident_says_what_its_alerts_point_to_with_the_worst_signs() -> None:
    every = [alert(f"a{n}") for n in range(5)]
    every.append(alert("b", monitor="slow", evidence={"metric": "latency_p95_ms"}))
    every.append(
        alert("c", monitor="empty", severity="critical", evidence={"metric": "missing_rate:x"})
    )

    [incident] = of_incidents(Incidents().group(every))

    data, around = incident.evidence["causes"]
    assert (data["cause"], data["alerts"], around["cause"]) == ("data", 6, "environment")
    assert data["signs"] == ["empty", *(f"feature-drift of feature:a{n}" for n in range(4))]
    assert around["signs"] == ["slow"]
    assert incident.message.endswith("; 6 of them point to the data")


def test_an_incident_is_told_again_when_it_doubles_or_gets_worse_only() -> None:
    incidents = Incidents()
    told = [
        len(of_incidents(incidents.group([alert(f"a{number}", 1_000 + number)])))
        for number in range(9)
    ]
    worse = of_incidents(incidents.group([alert("bad", 2_000, severity="critical")]))

    assert told == [1, 1, 0, 1, 0, 0, 0, 1, 0]
    assert [one.severity for one in worse] == ["critical"]
    assert worse[0].revision == 4


def test_other_versions_and_segments_join_but_no_other_model() -> None:
    incidents = Incidents()
    first = incidents.group([alert("a")])
    found = incidents.group(
        [
            alert("b", 2_000, version="2"),
            alert("c", 2_000, segment="country=FR"),
            alert("d", 2_000, model="credit"),
        ]
    )

    ids = {one.alert_id: one.incident_id for one in [*first, *found] if one.kind != "incident"}
    assert ids["a"] == ids["b"] == ids["c"] != ids["d"]
    assert {one.version for one in of_incidents(found) if one.model == "fraud"} == {""}


def test_an_incident_ends_with_the_last_of_its_alerts() -> None:
    incidents, one, other = Incidents(), alert("a"), alert("b", 1_500)
    incidents.group([one, other])
    first = incidents.group([ended(one, 2_000)])
    last = incidents.group([ended(other, 3_000)])
    again = incidents.group([alert("c", 4_000)])

    assert of_incidents(first) == []
    [over] = of_incidents(last)
    assert (over.state, over.at_ms, over.evidence["firing"]) == ("resolved", 3_000, 0)
    assert last[0].incident_id == over.alert_id
    assert again[1].alert_id != over.alert_id


def test_an_incident_all_of_whose_alerts_were_taken_back_is_retracted() -> None:
    incidents, one, other = Incidents(), alert("a"), alert("b")
    incidents.group([one, other])
    found = incidents.group([ended(each, 2_000, state="retracted") for each in (one, other)])

    assert of_incidents(found)[-1].state == "retracted"


def test_the_end_of_an_alert_that_began_before_there_were_incidents_passes() -> None:
    old = ended(alert("a"), 2_000)

    assert Incidents().group([old]) == [old]


def test_steps_may_be_cut_wherever_a_step_may_end() -> None:
    """What boundaries find precedes what rows of the same moment do: a step may end between."""
    luck = random.Random(3)
    for _ in range(200):
        alerts = [
            alert(
                f"a{n}",
                luck.randrange(4),
                **luck.choice([{"detector": "scan"}, OF_A_ROW]),
                severity=luck.choice(["info", "warning"]),
            )
            for n in range(8)
        ]
        every = [*alerts, *(ended(one, one.at_ms + luck.randrange(1, 4)) for one in alerts)]
        whole, parts = Incidents(), Incidents()
        want = whole.group(every)

        got: list[Alert] = []
        log: dict[str, Any] = {}
        for at_ms in range(8):
            for in_rows in (False, True):
                own = [o for o in every if o.at_ms == at_ms and (o.detector == "adwin") == in_rows]
                got += parts.group(own)
                log |= dict(parts.changes())
                parts = restored(log)

        assert got == want


def restored(log: dict[str, Any]) -> Incidents:
    incidents = Incidents()
    for model, packed in msgspec.msgpack.decode(msgspec.msgpack.encode(log)).items():
        incidents.restore(model, packed)
    return incidents


@pytest.mark.parametrize("name", sorted(families.CATALOGUE.metrics))
def test_every_metric_points_to_a_cause(name: str) -> None:
    about = families.CATALOGUE.metric(name)
    assert about is not None

    assert cause_of(alert("a", evidence={"metric": name})) in ("data", "model", "environment")


@pytest.mark.parametrize(
    ("evidence", "cause"),
    [
        ({"metric": "accuracy"}, "model"),
        ({"metric": "psi:age"}, "data"),
        ({"metric": "missing_rate:age"}, "data"),
        ({"metric": "features_missing"}, "data"),
        ({"metric": "prediction_share:1"}, "data"),
        ({"metric": "latency_p95_ms"}, "environment"),
        ({"metric": "label_delay_p50_ms"}, "environment"),
        ({"metric": "predictions"}, "environment"),
        ({"metric": "gpu_utilization"}, "environment"),
        ({"metric": "recall_difference:country"}, "model"),
        ({"input": "loss"}, "model"),
        ({"input": "loss:class:fraud"}, "model"),
        ({"input": "feature:age"}, "data"),
        ({"input": "unseen:country"}, "data"),
        ({"input": "traffic"}, "environment"),
        ({"input": "label_delay"}, "environment"),
    ],
)
def test_a_cause_follows_from_what_an_alert_rests_on(evidence: dict[str, str], cause: str) -> None:
    assert cause_of(alert("a", evidence=evidence)) == cause
