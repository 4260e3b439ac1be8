"""Codes that are given out again mean what they were given out for last."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streams.interning import Interner


@given(st.lists(st.tuples(st.integers(0, 40), st.booleans()), max_size=80))
def test_what_was_derived_is_of_the_value_that_has_the_code(steps: list[tuple[int, bool]]) -> None:
    names = Interner[str](lambda name: (-len(name), 7), width=2)
    used: dict[str, int] = {}

    for number, forget in steps:
        name = "x" * number
        used[name] = names.code(name)
        if forget:
            used = dict(list(used.items())[::2])
            names.keep(used.values())

    assert len(set(used.values())) == len(used)
    assert {name: names.values[code] for name, code in used.items()} == {n: n for n in used}
    assert all(names.derived[code].tolist() == [-len(name), 7] for name, code in used.items())
