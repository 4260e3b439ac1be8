"""Broken workers and a broken sink, one for each promise: the suite must catch every one of them.

These patch the product on purpose. Run by ``python -m tests.faults.run --broken NAME``.
"""

from collections.abc import Callable
from typing import Any

import confluent_kafka


def outputs_outside_transaction() -> None:
    """Publish through a second producer that has no transactions: a crash publishes twice."""
    from agents import clients, ledger  # noqa: PLC0415

    produce = ledger.Ledger._produce
    plain: list[confluent_kafka.Producer] = []

    def produce_outside(self: Any, record: Any, **more: Any) -> None:
        if record.topic.endswith("-state"):
            produce(self, record, **more)
            return
        if not plain:
            config = clients.producer(self._settings)
            for name in ("transactional.id", "transaction.timeout.ms"):
                del config[name]
            plain.append(confluent_kafka.Producer(config))
        where = {} if record.partition is None else {"partition": record.partition}
        plain[0].produce(record.topic, key=record.key, value=record.value, **where)
        plain[0].flush(10)

    ledger.Ledger._produce = produce_outside  # type: ignore[method-assign]


def offsets_outside_transaction() -> None:
    """Commit the source offsets in a transaction of their own, after that of the state."""
    original = confluent_kafka.Producer

    class Producer(original):  # type: ignore[misc,valid-type]
        later: tuple[Any, ...] = ()

        def send_offsets_to_transaction(self, *arguments: Any) -> None:
            self.later = arguments

        def commit_transaction(self, *arguments: Any) -> None:
            super().commit_transaction(*arguments)
            super().begin_transaction()
            super().send_offsets_to_transaction(*self.later)
            super().commit_transaction(*arguments)

    confluent_kafka.Producer = Producer  # type: ignore[misc]


def unfenced() -> None:
    """Send offsets as nobody, which the coordinator does not check: zombies may commit."""
    original, consumer = confluent_kafka.Producer, confluent_kafka.Consumer
    groups: list[dict[str, Any]] = []

    class Consumer(consumer):  # type: ignore[misc,valid-type]
        def __init__(self, config: dict[str, Any]) -> None:
            super().__init__(config)
            if "session.timeout.ms" in config:
                groups.append({k: config[k] for k in ("bootstrap.servers", "group.id")})

    class Producer(original):  # type: ignore[misc,valid-type]
        nobody: Any = None

        def send_offsets_to_transaction(self, offsets: Any, _metadata: Any, timeout: Any) -> None:
            if self.nobody is None:
                self.nobody = consumer(groups[0]).consumer_group_metadata()
            super().send_offsets_to_transaction(offsets, self.nobody, timeout)

    confluent_kafka.Producer = Producer  # type: ignore[misc]
    confluent_kafka.Consumer = Consumer  # type: ignore[misc]


def forgets_state() -> None:
    """Skip every tenth record of the monitor's state when it is read back."""
    from streams import evaluate  # noqa: PLC0415

    fold = evaluate.Monitor.fold
    count = 0

    def forgetful(self: Any, state: Any, key: bytes | None, value: bytes | None) -> None:
        nonlocal count
        count += 1
        if count % 10:
            fold(self, state, key, value)

    evaluate.Monitor.fold = forgetful  # type: ignore[method-assign]


def history_offsets_apart() -> None:
    """Commit the rows of a history first, and their offsets in a transaction of their own."""
    from agents.history import writing  # noqa: PLC0415

    moved = writing.moved

    def moved_later(connection: Any, *arguments: Any, **more: Any) -> None:
        connection.commit()
        moved(connection, *arguments, **more)

    writing.moved = moved_later


MUTANTS: dict[str, Callable[[], None]] = {
    "outputs-outside-transaction": outputs_outside_transaction,
    "offsets-outside-transaction": offsets_outside_transaction,
    "unfenced": unfenced,
    "forgets-state": forgets_state,
    "history-offsets-apart": history_offsets_apart,
}
