"""Models of outcome records are found by key, exactly, and by name where a key is new."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams import model_keys
from streams.identities import Identities, Identity
from streams.model_keys import ModelCodes, Models, Name, model_key, pack_names
from streams.outcomes import Outcomes, decode_outcomes
from streams.partitioning import partition_of
from tests.builders import label, prediction
from tests.driver import TOPICS, Driver, as_inputs

MANY = [(f"model-{number}", str(number % 7)) for number in range(1_000)]


def models_of(names: list[Name]) -> Models:
    keys, checks = np.array([model_key(name) for name in names]).T
    return Models(keys, checks, pack_names(names))


class Reader:
    """Gives codes in the order of appearance, and notes whose names were asked for."""

    def __init__(self) -> None:
        self.codes = ModelCodes()
        self.asked: list[Name] = []

    def read(self, names: list[Name]) -> list[int]:
        def code_of(name: Name) -> int:
            self.asked.append(name)
            self.codes.add(name, len(self.asked) - 1)
            return len(self.asked) - 1

        return self.codes.of(models_of(names), code_of).tolist()


@pytest.mark.parametrize("count", [1, 48, 49, 1_000])
def test_a_name_is_read_once_and_its_key_found_from_then_on(count: int) -> None:
    reader, names = Reader(), MANY[:count]

    first = reader.read(names)
    again = reader.read(names[::-1])

    assert first == list(range(count))
    assert again == first[::-1]
    assert reader.asked == names


def test_names_are_not_read_where_all_keys_are_known() -> None:
    reader = Reader()
    reader.read(MANY)
    unreadable = models_of(MANY)._replace(packed=b"\xc1")

    assert reader.codes.of(unreadable, lambda _: -1).tolist() == list(range(1_000))


@pytest.mark.parametrize("count", [2, 1_000])
def test_two_names_with_one_key_have_codes_of_their_own(
    count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of the 128 bits agree: the other half decides."""
    strong = model_key
    weak = lambda name: (len(name[0]), strong(name)[1])  # noqa: E731
    for module in (model_keys, sys.modules[__name__]):
        monkeypatch.setattr(module, "model_key", weak)
    reader, names = Reader(), MANY[:count]

    first = reader.read(names)
    again = reader.read(names[::-1])

    assert first == list(range(count))
    assert again == first[::-1]
    assert reader.asked == names


@pytest.mark.parametrize(
    ("one", "other"),
    [(("a", "bc"), ("ab", "c")), (("a", ""), ("", "a")), (("a\0", "b"), ("a", "\0b"))],
)
def test_where_model_ends_and_version_begins_is_part_of_the_key(one: Name, other: Name) -> None:
    assert model_key(one) != model_key(other)


def test_every_record_can_be_read_by_itself() -> None:
    driver = Driver()
    for name in ("a", "b", "c"):
        driver.feed(as_inputs([prediction(name, model="fraud", version=name), label(name)]))
    values = [v for topic, _, v in driver.written if topic == TOPICS.outcomes]

    found = [decode_outcomes(value or b"") for value in values]

    assert [f.models.names for f in found if isinstance(f, Outcomes)] == [
        [("fraud", "a")],
        [("fraud", "b")],
        [("fraud", "c")],
    ]
    for one in found:
        assert isinstance(one, Outcomes)
        assert [*zip(one.models.keys.tolist(), one.models.checks.tolist(), strict=True)] == [
            model_key(name) for name in one.models.names
        ]


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3), st.booleans()), max_size=60))
def test_identities_know_their_models_whatever_was_forgotten(
    steps: list[tuple[int, int, bool]],
) -> None:
    identities, used = Identities(4), dict[Identity, int]()

    for model, segment, forget in steps:
        identity = (f"m{model}", "1", (f"s={segment}",))
        used[identity] = identities.code(identity)
        if forget:
            used = dict(list(used.items())[::2])
            identities.keep(used.values())

    for identity, code in used.items():
        model = int(identities.model[code])
        name = identity[:2]
        keys, checks = identities.keys([model])
        assert identities.models.values[model] == name
        assert identities.owner[model] == partition_of(name[0], 4)
        assert (keys[0], checks[0]) == model_key(name)
    assert (
        not steps[-1:] or not steps[-1][2] or len(identities.models) == len({i[:2] for i in used})
    )
