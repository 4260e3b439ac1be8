"""A light selection of the fault suite; `make faults-quick` and `make faults` run more of it.

Every number must equal the oracle's and a replay's, no revision may come twice, no record be lost.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.local_kafka import missing_tools
from tests.brokers import Broker
from tests.faults.broker import FaultyBroker
from tests.faults.scenarios import SCENARIOS
from tests.faults.trial import Trial
from tests.faults.truth import Truth, mishaps, work_out

SEED = 4
EVENTS = 3_000

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> Truth:
    """A history with every mishap, and what must come of it."""
    found = work_out(mishaps(SEED, count=EVENTS), tmp_path_factory.mktemp("truth"))
    states = {(alert["monitor"], alert["state"]) for alert in found.replayed.alerts}
    assert "retracted" in {state for _, state in states}
    assert ("recall-floor", "firing") in states  # a rule that workers are told of on their way
    return found


@pytest.fixture(scope="module")
def faulty_broker() -> Iterator[FaultyBroker]:
    """A broker of our own, with a proxy before it."""
    if missing_tools():
        pytest.skip("a broker that may be harmed needs Java and Maven")
    with FaultyBroker() as broker:
        yield broker


def _judge(name: str, trial: Trial) -> list[str]:
    try:
        SCENARIOS[name].act(trial)
        return trial.judge().problems
    finally:
        trial.close()


@pytest.mark.parametrize(
    "name", [pytest.param("inside-transactions", marks=pytest.mark.long), "zombie"]
)
def test_no_number_changes_when_workers_are_harmed(
    real_broker: Broker, truth: Truth, tmp_path: Path, name: str
) -> None:
    servers = real_broker.bootstrap_servers
    trial = Trial(
        servers=servers, broker=None, truth=truth, seed=SEED, folder=tmp_path, write_s=8.0
    )

    problems = _judge(name, trial)

    assert problems == []


@pytest.mark.parametrize("name", ["broker-killed"])
def test_no_number_changes_when_the_broker_or_its_network_is_harmed(
    faulty_broker: FaultyBroker, truth: Truth, tmp_path: Path, name: str
) -> None:
    trial = Trial(
        servers=faulty_broker.servers,
        broker=faulty_broker,
        truth=truth,
        seed=SEED,
        folder=tmp_path,
        write_s=8.0,
    )

    problems = _judge(name, trial)

    assert problems == []
