"""Fates from the join's state log. The one place where the suite runs the product's own code.

The log is read from outside, committed records only; what a delta means, `Join.fold` says. So this
proves that the log that a worker would start from holds every record in its fate, once; that the
numbers themselves are right, the other checks prove without it.
"""

from collections import Counter

from streams.topics import Topics
from streams.topology import build
from tests import workers
from tests.brokers import Broker
from tests.faults.truth import WINDOW_MS, Truth

HORIZON_MS = 3_600_000


def fates(broker: Broker, prefix: str, truth: Truth, *, partitions: int) -> Counter[str]:
    """Return how many records are in which fate, waiting ones as if nothing more came."""
    join, _ = build(
        Topics(prefix),
        window_ms=WINDOW_MS,
        horizon_ms=HORIZON_MS,
        disorder_ms=truth.disorder_ms,
        partitions=partitions,
    )
    states = {number: join.new_state(number) for number in range(partitions)}
    for record in workers.records(broker, f"{prefix}.join-state"):
        join.fold(states[record.partition()], record.key(), record.value())  # type: ignore[index]
    total: Counter[str] = Counter()
    for state in states.values():
        total.update(join.final_fates(state))
    return total
