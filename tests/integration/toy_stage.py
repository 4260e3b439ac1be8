"""Two toy stages that count, so that the runtime can be checked without any rule about models.

`Tally` counts records per key and passes the counts on; `Total` adds them up and publishes the
totals. Both number their state records, so that a state log with a gap or a repetition is noticed.
What `Total` has read last is not in its log: it has to be read again.
Run as a program, this file is a worker: ``python -m tests.integration.toy_stage ADDRESS PREFIX``.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from agents.partitions import Partition
from streams.errors import StateError
from streams.steps import Batch, DeadLetter, Effects, Record
from streams.topics import Topics

POISON = b"poison"
IDLE_KEY = b"idle"
NEWEST_KEY = b"newest"
BLOCK = b"block"
FOREVER_S = 3_600.0
encode, decode = msgspec.msgpack.encode, msgspec.msgpack.decode


class State:
    def __init__(self) -> None:
        self.next: dict[str, int] = {}
        self.sequence = 0
        self.counts: Counter[bytes] = Counter()
        self.idle: frozenset[str] = frozenset()
        self.newest_ms: Counter[str] = Counter()
        self.last: Counter[bytes] = Counter()
        self.recalled: list[int] = []


class Toy:
    """What both stages share: a state log of numbered deltas."""

    name = ""
    ticks = False
    inputs: tuple[str, ...] = ()
    state_topic = ""
    output = ""
    never_finished = False

    def new_state(self, partition: int) -> State:  # noqa: ARG002 - the interface has it
        return State()

    def fold(
        self,
        state: State,
        key: bytes | None,  # noqa: ARG002 - the interface has it
        value: bytes | None,
    ) -> None:
        assert value is not None
        sequence, state.next, delta = decode(value, type=tuple[int, dict[str, int], list[Any]])
        if sequence != state.sequence + 1:
            raise StateError(f"{self.state_topic}: {sequence} follows {state.sequence}")
        state.sequence = sequence
        state.counts.update(dict(delta))

    def step(
        self,
        state: State,
        batches: Sequence[Batch],
        *,
        now_ms: int,  # noqa: ARG002 - the interface has it
        idle: frozenset[str] = frozenset(),
        announce: bool = True,  # noqa: ARG002 - the interface has it
        tick_ms: int = 0,  # noqa: ARG002 - the interface has it
        quiet_ms: object = None,  # noqa: ARG002 - the interface has it
    ) -> Effects:
        effects = Effects()
        delta: Counter[bytes] = Counter()
        for batch in batches:
            self.count(batch, delta, effects)
            state.next[batch.topic] = batch.next_offset
            state.newest_ms[batch.topic] = batch.times_ms[-1]
        state.counts.update(delta)
        effects.fates["joined"] = sum(delta.values())
        if batches or idle != state.idle:
            state.idle = idle
            state.sequence += 1
            effects.state.append((None, self.log(state, batches, delta)))
            effects.records += self.publish(state, delta)
        return effects

    def log(self, state: State, batches: Sequence[Batch], delta: Counter[bytes]) -> bytes:  # noqa: ARG002
        return encode((state.sequence, state.next, list(delta.items())))

    def recalls(self, state: State) -> Mapping[str, Sequence[int]]:
        return {self.inputs[0]: list(state.recalled)} if state.recalled else {}

    def recall(self, state: State, batch: Batch) -> None:
        raise NotImplementedError

    def time_ms(self, batch: Batch, index: int) -> int:
        return batch.times_ms[index]

    def count(self, batch: Batch, delta: Counter[bytes], effects: Effects) -> None:
        raise NotImplementedError

    def publish(self, state: State, delta: Counter[bytes]) -> list[Record]:
        raise NotImplementedError

    def unfinished(self, state: State) -> bool:  # noqa: ARG002
        return self.never_finished

    def costs(self, state: State) -> None:  # noqa: ARG002
        return

    def warnings(self, state: State) -> list[str]:  # noqa: ARG002
        return []

    def ahead(self, state: State) -> tuple[()]:  # noqa: ARG002
        return ()

    def kinds(self, state: State) -> tuple[()]:  # noqa: ARG002
        return ()

    def gauges(self, state: State) -> Mapping[str, float]:
        return {"pending_predictions": len(state.counts)}


class Tally(Toy):
    """Count per key; a value that says poison becomes a dead letter, one that says block hangs."""

    name = "join"
    ticks = True

    def __init__(self, topics: Topics) -> None:
        self.global_inputs: tuple[str, ...] = ()
        self.inputs = (topics.predictions, topics.labels)
        self.state_topic = topics.join_state
        self.output = topics.outcomes
        self.notices = topics.alerts

    def count(self, batch: Batch, delta: Counter[bytes], effects: Effects) -> None:
        for index, key in enumerate(batch.keys):
            value = batch.values[index] or b""
            if value == BLOCK:
                time.sleep(FOREVER_S)
            if not value.startswith(POISON):
                delta[key or b""] += 1
                continue
            headers = batch.headers[index] if batch.headers else None
            effects.dead_letters.append(
                DeadLetter(
                    *(batch.topic, batch.offsets[index], key, batch.values[index], headers),
                    *("toy_poison", "the value is poison"),
                )
            )

    def publish(self, state: State, delta: Counter[bytes]) -> list[Record]:
        return [
            *(Record(self.output, key, encode(count)) for key, count in delta.items()),
            Record(self.notices, IDLE_KEY, encode(sorted(state.idle))),
            Record(self.notices, NEWEST_KEY, encode([state.newest_ms[t] for t in self.inputs])),
        ]


class Total(Toy):
    """Add up what `Tally` counted, and publish the total of each key."""

    name = "monitor"
    ticks = False

    def __init__(self, topics: Topics) -> None:
        self.global_inputs: tuple[str, ...] = ()
        self.inputs = (topics.outcomes,)
        self.state_topic = topics.monitor_state
        self.output = topics.metrics

    def count(
        self,
        batch: Batch,
        delta: Counter[bytes],
        effects: Effects,  # noqa: ARG002 - `Tally` has dead letters, this has none
    ) -> None:
        for key, value in zip(batch.keys, batch.values, strict=True):
            assert key is not None
            assert value is not None
            delta[key] += decode(value, type=int)

    def publish(self, state: State, delta: Counter[bytes]) -> list[Record]:
        return [Record(self.output, key, b"%d" % state.counts[key]) for key in delta]

    def log(self, state: State, batches: Sequence[Batch], delta: Counter[bytes]) -> bytes:
        assert not state.recalled
        before, state.last = state.last, delta
        offsets = [offset for batch in batches for offset in batch.offsets]
        return encode((state.sequence, state.next, list(before.items()), offsets))

    def fold(self, state: State, key: bytes | None, value: bytes | None) -> None:
        assert value is not None
        sequence, position, delta, state.recalled = decode(value)
        super().fold(state, key, encode((sequence, position, delta)))
        state.last.clear()

    def recall(self, state: State, batch: Batch) -> None:
        for offset in batch.offsets:
            state.recalled.remove(offset)
        self.count(batch, state.last, Effects())
        if not state.recalled:
            state.counts.update(state.last)


def opened(partition: Partition) -> Partition:
    """Let a partition run, without a state, from the beginning of its inputs."""
    partition.state = partition.stage.new_state(partition.number)
    partition.state.next = dict.fromkeys(partition.stage.inputs, 0)
    partition.run()
    return partition


def crash_inside_transactions(probability: float) -> None:
    """Kill this process now and then, before or after a call that moves a transaction on.

    What the transaction has written so far is in the log then, and the transaction is open.
    """
    from agents import ledger  # noqa: PLC0415 - see `main`

    call_and_retry = ledger._retry

    def crash() -> None:
        if random.random() < probability:
            os.write(2, b"crash\n")
            os.kill(os.getpid(), signal.SIGKILL)

    def retry(name: str, call: Callable[..., Any], *arguments: Any) -> None:
        if name == "send_offsets_to_transaction":
            call.__self__.flush(10)  # type: ignore[attr-defined]  # a method of the producer
            crash()
        call_and_retry(name, call, *arguments)
        crash()

    ledger._retry = retry


def hang_inside_transactions() -> None:
    """Let no transaction be committed, while the event loop goes on."""
    from agents import ledger  # noqa: PLC0415 - see `main`

    call_and_retry = ledger._retry

    def retry(name: str, call: Callable[..., Any], *arguments: Any) -> None:
        if name == "commit_transaction":
            time.sleep(FOREVER_S)
        call_and_retry(name, call, *arguments)

    ledger._retry = retry


def main(address: str, prefix: str, *more: str) -> None:
    # Importing the app chooses the event loop, which is not for the process that runs the tests.
    from agents import deliveries, partitions  # noqa: PLC0415
    from agents.app import run_worker  # noqa: PLC0415
    from agents.settings import resolve  # noqa: PLC0415

    flags = dict(pair.split("=", 1) for pair in more if pair != "embedded")
    crash_inside_transactions(float(flags.pop("crash", "0")))
    if flags.pop("hang", ""):
        hang_inside_transactions()
    deliveries.BACKLOG_RECORDS = int(flags.pop("backlog", deliveries.BACKLOG_RECORDS))
    largest = int(flags.pop("transaction", partitions.LARGEST_TRANSACTION_RECORDS))
    partitions.LARGEST_TRANSACTION_RECORDS = largest
    state_prefix = flags.pop("state_prefix", prefix)
    never_finished = bool(flags.pop("unfinished", ""))
    base = {"bootstrap_servers": address, "prefix": prefix, "metrics_port": "0"}
    settings = resolve(base | flags, environ={}, embedded="embedded" in more)
    topics = Topics(prefix)
    tally = Tally(topics)
    tally.state_topic = Topics(state_prefix).join_state
    total = Total(topics)
    total.never_finished = never_finished
    run_worker(settings, [tally, total])


if __name__ == "__main__":
    main(*sys.argv[1:])
