"""Fixtures: the brokers, and names that nobody else uses; how tests are run."""

from __future__ import annotations

import os
import signal
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from typing import TYPE_CHECKING, TypeVar

import pytest
from hypothesis import HealthCheck, settings

from agents.local_kafka import LocalKafkaError
from tests.brokers import (
    Broker,
    describe_real_broker,
    on_ci,
    run_embedded_broker,
    run_real_broker,
)
from tests.examples import some
from tests.postgres import MissingProgramsError, Postgres, run_postgres
from tests.secure_broker import SecureBroker, run_secure_broker

if TYPE_CHECKING:
    from xdist.scheduler import Scheduling

T = TypeVar("T")

# A broker that lives for a minute is better compiled fast than well.
os.environ.setdefault("JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1")

# A shell lets its background jobs ignore Ctrl-C, and theirs too; what tests start must not.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes says more about the machine, and what else it does, than about the code.
settings.register_profile(
    "driftline",
    deadline=None,
    max_examples=some(100),
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("driftline")


def pytest_report_header() -> str:
    """Say at the head of the report which real broker the tests use."""
    return f"real broker: {describe_real_broker()}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let tests that wait and tests that compute take turns where there are several processes."""
    if config.getoption("numprocesses", None) or "PYTEST_XDIST_WORKER" in os.environ:
        from tests.side_by_side import by_turns  # noqa: PLC0415 - only where xdist is in use

        items[:] = by_turns(items)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> Scheduling:
    """Choose which tests run in one process when there are several."""
    from tests.side_by_side import ByWhatTestsShare  # noqa: PLC0415 - only where xdist is in use

    config.option.loadscopereorder = False  # whole workers come first, the quick tests fill up
    return ByWhatTestsShare(config, log)


def _started(manager: AbstractContextManager[T]) -> Iterator[T]:
    """Yield a real broker; where none can be started, skip on a laptop and fail on CI."""
    try:
        broker = manager.__enter__()
    except LocalKafkaError as error:
        if on_ci():
            pytest.fail(f"CI needs a real broker: {error}")
        pytest.skip(f"no real broker: {error}")
    yield broker
    manager.__exit__(None, None, None)


@pytest.fixture(scope="session")
def real_broker() -> Iterator[Broker]:
    """A real Kafka; where there is none, skip on a laptop and fail on CI."""
    yield from _started(run_real_broker())


@pytest.fixture(scope="session")
def secure_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureBroker]:
    """A real Kafka with TLS, SASL and ACLs; started here, whatever broker the environment names."""
    yield from _started(run_secure_broker(tmp_path_factory.mktemp("certificates")))


@pytest.fixture(scope="session")
def embedded_broker() -> Iterator[Broker]:
    """The in-process broker."""
    with run_embedded_broker() as broker:
        yield broker


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL; where it is not installed, skip on a laptop and fail on CI."""
    with ExitStack() as stack:
        try:
            running = stack.enter_context(run_postgres())
        except MissingProgramsError as error:
            if on_ci():
                pytest.fail(f"CI needs PostgreSQL: {error}")
            pytest.skip(str(error))
        yield running


@pytest.fixture(scope="session", params=["embedded", "real"])
def any_broker(request: pytest.FixtureRequest) -> Broker:
    """Both brokers in turn: what holds on one must hold on the other."""
    broker: Broker = request.getfixturevalue(f"{request.param}_broker")
    return broker


@pytest.fixture
def prefix() -> str:
    """A topic prefix of this test alone, since brokers outlive tests."""
    return f"test-{uuid.uuid4().hex[:12]}"
