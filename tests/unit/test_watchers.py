"""Watchers: what they find, at the exact index at which bare river fires; and what is refused."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from river import drift as river_drift

from streams.errors import ConfigError
from streams.watchers import BY_NAME, described, parameters_of, watcher_of
from tests.driver import cut
from tests.examples import some
from tests.watching import feed, lanes_of

SMALL: dict[str, dict[str, float]] = {
    "adwin": {"reference": 20},
    "page_hinkley": {"reference": 20, "block": 3, "threshold": 4},
}


def steps(seed: int, *levels: float, length: int = 700) -> list[float]:
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.random(length) < level for level in levels]).astype(float).tolist()


def bare_adwin(values: list[float]) -> list[int]:
    detector = river_drift.ADWIN()
    found = []
    for index, value in enumerate(values):
        detector.update(value)
        if detector.drift_detected:
            found.append(index)
    return found


@settings(max_examples=some(15))
@given(st.integers(0, 1000), st.lists(st.integers(1, 400), min_size=1, max_size=5))
def test_adwin_fires_where_bare_river_fires_whatever_the_batches(
    seed: int, sizes: list[int]
) -> None:
    values = steps(seed, 0.1, 0.5, 0.2)
    lanes = lanes_of("adwin", own_scale=True)

    found = [change for part in cut(values, sizes) for change in feed(lanes, part)]  # type: ignore[arg-type]

    assert [change.index for change in found] == bare_adwin(values)
    assert found


@settings(max_examples=some(30))
@given(
    seed=st.integers(0, 10_000),
    delta=st.sampled_from([0.002, 0.3, 0.999]),
    unit=st.sampled_from([1.0, 1e-9, 1e12]),
)
def test_river_looks_for_a_change_at_every_32nd_value_since_the_last_only(
    seed: int, delta: float, unit: float
) -> None:
    """Else blocks of 32 would be too late; and were 32 not its default, at other values."""
    rng = np.random.default_rng(seed)
    levels = rng.normal(0, 2, 40).repeat(rng.integers(1, 120, 40))
    detector, since = river_drift.ADWIN(delta=delta), 0

    for value in (rng.standard_normal(len(levels)) + levels).tolist():
        detector.update(value * unit)
        since += 1
        assert not detector.drift_detected or since % 32 == 0
        since = 0 if detector.drift_detected else since

    assert detector.clock == 32


@pytest.mark.parametrize("name", BY_NAME)
@pytest.mark.parametrize(("levels", "rises"), [((0.1, 0.5), True), ((0.5, 0.1), False)])
def test_the_level_before_and_after_says_which_way_it_went(
    name: str, levels: tuple[float, float], rises: bool
) -> None:
    changes = feed(lanes_of(name, own_scale=True), steps(3, *levels, length=2000))

    assert changes
    assert (changes[0].after > changes[0].before) is rises


@pytest.mark.parametrize("kind", ["normal", "exponential", "rare errors", "constant"])
def test_page_hinkley_is_silent_on_noise_of_any_unit(kind: str) -> None:
    rng = np.random.default_rng(5)
    values = {
        "normal": rng.normal(1e6, 1e5, 40_000),
        "exponential": rng.exponential(1e-3, 40_000),
        "rare errors": (rng.random(40_000) < 0.01).astype(float),
        "constant": np.full(40_000, 7.0),
    }[kind]

    assert feed(lanes_of("page_hinkley"), values) == []


@pytest.mark.parametrize("own_scale", [True, False], ids=["raw", "standardised"])
@pytest.mark.parametrize("name", BY_NAME)
@settings(max_examples=some(40))
@given(
    values=st.lists(
        st.sampled_from([0.0, -0.0, 1.0, 2e150, -1e150, 5e-324, 1e-160]) | st.floats(-2e150, 2e150),
        max_size=120,
    )
)
def test_no_finite_number_stops_a_watcher(name: str, own_scale: bool, values: list[float]) -> None:
    lanes = lanes_of(name, SMALL[name], own_scale=own_scale)

    feed(lanes, values)

    assert len(list(lanes.changes())) == bool(values)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("adwin", {"delta": 0}),
        ("adwin", {"delta": 1}),
        ("adwin", {"delta": float("nan")}),
        ("adwin", {"reference": 0}),
        ("adwin", {"reference": 2.5}),
        ("adwin", {"reference": float("inf")}),
        ("adwin", {"reference": float("nan")}),
        ("adwin", {"block": 3}),
        ("page_hinkley", {"block": 0}),
        ("page_hinkley", {"threshold": -1}),
        ("page_hinkley", {"delta": 0}),
        ("ddm", {}),
    ],
)
def test_a_parameter_that_cannot_work_is_refused_by_name(
    name: str, parameters: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError, match=f"{name}.*{next(iter(parameters), '')}"):
        parameters_of(watcher_of(name), parameters)


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"delta": 1.5}, "detector adwin: delta 1.5 is out of range: more than 0, less than 1"),
        (
            {"reference": 0.0},
            "detector adwin: reference 0 is out of range: at least 1, at most 1e+12",
        ),
        (
            {"reference": 1e308},
            "detector adwin: reference 1e+308 is out of range: at least 1, at most 1e+12",
        ),
        ({"reference": 2.5}, "detector adwin: reference 2.5 is no whole number"),
        ({"block": 3}, "detector adwin: unknown parameter 'block'; it has delta, reference"),
    ],
)
def test_what_is_refused_is_said_with_what_is_allowed(
    parameters: dict[str, float], said: str
) -> None:
    with pytest.raises(ConfigError) as error:
        parameters_of(watcher_of("adwin"), parameters)

    assert str(error.value) == said


def test_whole_parameters_may_be_written_as_floats() -> None:
    """As `monitors.yaml` gives them."""
    parameters = parameters_of(watcher_of("adwin"), {"reference": 3.0})

    assert parameters.reference == 3
    assert isinstance(parameters.reference, int)


def test_every_watcher_says_what_its_parameters_are() -> None:
    for watcher in BY_NAME.values():
        found = list(described(watcher))

        assert {one.name for one in found} == set(watcher.parameters.__struct_fields__)
        assert [one.name for one in found if not (one.allowed and one.meaning)] == []
