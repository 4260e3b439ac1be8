"""No right on the list is too many: without it a worker ends, and says what was refused."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from confluent_kafka import Producer

from agents import topics_admin
from agents.acls import Grant, grants
from agents.settings import Settings
from driftline import Publisher
from streams.errors import ConfigError
from tests import secured
from tests.secure_broker import SecureBroker

AT_ONCE = 3
MISTAKE, UNEXPECTED = 2, 70


def _worker_grants(prefix: str) -> list[Grant]:
    return [grant for grant in grants(prefix) if grant.part == "worker"]


def _topics(grant: Grant) -> bool:
    return grant.resource == "topic"


def test_a_worker_that_may_not_see_a_topic_is_refused_with_its_name(
    secure_broker: SecureBroker, prefix: str
) -> None:
    """Every topic on the list is looked at before anything is read."""
    secured.create_topics(secure_broker, prefix)
    secure_broker.add_user(prefix)
    every = _worker_grants(prefix)
    settings = Settings(
        bootstrap_servers=secure_broker.sasl_servers,
        prefix=prefix,
        kafka=secure_broker.sasl(prefix),
    )

    secure_broker.allow(prefix, every)
    assert len(topics_admin.check(settings)) == len(list(filter(_topics, every)))
    for missing in filter(_topics, every):
        secure_broker.allow(prefix, [grant for grant in every if grant != missing])
        with pytest.raises(ConfigError, match=f"no topic {missing.name} at .* Describe"):
            topics_admin.check(settings)


# What is refused once a worker may see a topic, but not do with it what it must.
NECESSARY = (
    ("{}.labels", "Read"),
    ("{}.monitors", "Read"),
    ("{}.join-state", "Read"),
    ("{}.metrics", "Write"),
    ("{}-workers", "Read"),
    ("{}-worker-", "Write"),
)


def _run_without(broker: SecureBroker, prefix: str, name: str, operation: str) -> secured.Ended:
    """Run a worker that may only Describe where it needs more, with records of every kind."""
    secured.create_topics(broker, prefix)
    user = f"{prefix}-worker"
    broker.add_user(user)
    wanted = []
    for grant in _worker_grants(prefix):
        if grant.name == name:
            rest = ["Describe" if one == operation else one for one in grant.operations]
            grant = grant._replace(operations=tuple(rest))  # noqa: PLW2901
        wanted.append(grant)
    assert wanted != _worker_grants(prefix)
    broker.allow(user, wanted)
    with Publisher(broker.admin_servers, prefix=prefix) as publisher:
        secured.publish(publisher, 0, 100)
    secured.publish_poison({"bootstrap.servers": broker.admin_servers}, prefix)
    return secured.run_worker(broker, prefix, user)


@pytest.mark.long
@pytest.mark.timeout(300)
def test_a_worker_without_a_right_ends_and_names_what_was_refused(
    secure_broker: SecureBroker, prefix: str
) -> None:
    def run(number: int) -> secured.Ended:
        name, operation = NECESSARY[number]
        own = f"{prefix}-{number}"
        return _run_without(secure_broker, own, name.format(own), operation)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        results = list(pool.map(run, range(len(NECESSARY))))

    for number, (name, operation) in enumerate(NECESSARY):
        ended, where = results[number], name.format(f"{prefix}-{number}")
        assert ended.code in (MISTAKE, UNEXPECTED), (where, operation, ended)
        assert "Traceback" not in ended.said, (where, operation, ended)
        assert "authorization failed" in ended.said.splitlines()[-1], (where, operation, ended)
        named = [line for line in ended.said.splitlines() if where in line]
        assert any("authorization failed" in line for line in named), (where, operation, ended)


# Who may write to the internal topics can stop a worker, but not make it count wrong in silence.
FORGED = {
    "monitor-state": (b"\x91\xa5clock", b"\x92\x01\x95"),
    "join-state": (None, b"\x92\xc3"),
    "outcomes": (b"m", b"\x92\x01"),
}


@pytest.mark.long
@pytest.mark.timeout(300)
def test_a_forged_internal_record_ends_a_worker_with_its_place_and_the_way_out(
    secure_broker: SecureBroker, prefix: str
) -> None:
    def run(topic: str) -> secured.Ended:
        own = f"{prefix}-{topic}"
        secured.create_topics(secure_broker, own)
        secure_broker.add_user(own)
        secure_broker.allow(own, _worker_grants(own))
        producer = Producer({"bootstrap.servers": secure_broker.admin_servers})
        key, value = FORGED[topic]
        producer.produce(f"{own}.{topic}", value, key)
        assert producer.flush(30) == 0
        return secured.run_worker(secure_broker, own, own)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        results = dict(zip(FORGED, pool.map(run, FORGED), strict=True))

    for topic, ended in results.items():
        last = ended.said.splitlines()[-1]
        assert ended.code == MISTAKE, ended
        assert "Traceback" not in ended.said
        assert f"{prefix}-{topic}.{topic}/0@0" in last
        assert "it is damaged" in last or topic != "outcomes"
        assert f"driftline topics reset --bootstrap-servers {secure_broker.sasl_servers}" in last
