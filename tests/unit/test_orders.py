"""Orders wait in their turn, and what one costs does not grow with how many there are."""

from __future__ import annotations

import random

import pytest

from streams.adoption_record import Adoption
from streams.forget_record import Forget
from streams.monitor import orders
from streams.monitor.adoptions import Adoptions
from streams.monitor.forgets import Forgets


def given(number: int) -> Adoption:
    return Adoption(f"a{number}", "m", "ann", "", number)


def in_order(waiting: dict[int, int]) -> list[int]:
    """Return offsets as they should wait, of offsets and boundaries."""
    known = sorted((from_ms, offset) for offset, from_ms in waiting.items() if from_ms >= 0)
    return [offset for _, offset in known] + sorted(o for o, f in waiting.items() if f < 0)


def test_orders_wait_in_the_order_of_their_boundaries_then_as_they_came() -> None:
    luck = random.Random(3)
    found, plain, written = Adoptions(), dict[int, int](), Adoptions()
    for offset in range(400):
        assert found.add(offset, given(offset))
        plain[offset] = -1
        if luck.random() < 0.5:
            for one in found.unscheduled:
                plain[one.offset] = luck.randrange(50)
                found.schedule(one, from_ms=plain[one.offset])
        while luck.random() < 0.4 and (due := found.next(luck.randrange(50))) is not None:
            assert due.offset == in_order(plain)[0]
            found.done(due)
            del plain[due.offset]
        if luck.random() < 0.2:
            for changed, content in found.changes():
                written.restore(changed, content)
            assert [one.offset for one in written.waiting] == in_order(plain)
        assert [one.offset for one in found.waiting] == in_order(plain)
        assert [one.offset for one in found.unscheduled] == sorted(o for o in plain if plain[o] < 0)


def test_an_order_costs_the_same_however_many_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    turn, asked = orders._turn, [0]

    def counted(order: orders.Waits) -> tuple[int, int]:
        asked[0] += 1
        return turn(order)

    monkeypatch.setattr(orders, "_turn", counted)
    found, many = Adoptions(), 1_000
    for offset in range(many):
        found.add(offset, given(offset))
    for one in found.unscheduled:
        found.schedule(one, from_ms=one.given.effective_ms)
    while (due := found.next(many)) is not None:
        found.done(due)
    assert asked[0] < 50 * many


def test_what_begins_is_no_longer_among_those_that_wait() -> None:
    forgets = Forgets()
    for offset, model in enumerate(("a", "b")):
        forgets.add(offset, Forget(model, None, 10 * offset))
    for one in forgets.unscheduled:
        forgets.schedule(one, from_ms=10 * one.offset)
    first = forgets.next(5)
    assert first is not None
    forgets.begin(first)
    assert [one.model for one in forgets.past] == ["a"]
    assert [one.model for one in forgets.waiting] == ["b"]
    assert forgets.bounds(("a", "")) == (0, orders.NEVER_MS)
    assert forgets.bounds(("b", "")) == (-1, 10)
    forgets.settle(5, keep_ms=5)
    assert not forgets.past
    assert dict(forgets.changes())[0] is None
