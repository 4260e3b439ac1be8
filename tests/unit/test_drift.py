"""Detectors, at the exact index at which bare river fires."""

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from river import drift as river_drift

from streams.drift import DETECTORS, Adwin, Detector, make_detector
from streams.errors import ConfigError
from tests.driver import cut

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


def indices(detector: Detector, values: list[float], sizes: list[int]) -> list[int]:
    found = []
    for part in cut(values, sizes):  # type: ignore[arg-type]
        found += [change.index for change in detector.feed(np.array(part, float))]
    return found


@settings(max_examples=15)
@given(st.integers(0, 1000), st.lists(st.integers(1, 400), min_size=1, max_size=5))
def test_adwin_fires_where_bare_river_fires_whatever_the_batches(
    seed: int, sizes: list[int]
) -> None:
    values = steps(seed, 0.1, 0.5, 0.2)

    found = indices(make_detector("adwin", {}, raw=True), values, sizes)

    assert found == bare_adwin(values)
    assert found


@pytest.mark.parametrize("raw", [True, False], ids=["raw", "standardised"])
@pytest.mark.parametrize("name", DETECTORS)
@settings(max_examples=8)
@given(seed=st.integers(0, 1000), sizes=st.lists(st.integers(1, 300), min_size=1, max_size=4))
def test_a_detector_goes_on_from_its_packed_state_as_if_nothing_had_happened(
    name: str, raw: bool, seed: int, sizes: list[int]
) -> None:
    values = steps(seed, 0.1, 0.6, 0.3, length=300)
    plain, carried = (make_detector(name, SMALL[name], raw=raw) for _ in "ab")
    expected, found = [], []

    for part in cut(values, sizes):  # type: ignore[arg-type]
        expected += plain.feed(np.array(part, float))
        packed = msgspec.msgpack.decode(msgspec.msgpack.encode(carried.pack()))
        carried = make_detector(name, SMALL[name], raw=raw)
        carried.restore(packed)
        found += carried.feed(np.array(part, float))

    assert found == expected
    assert expected


@pytest.mark.parametrize("name", DETECTORS)
@pytest.mark.parametrize(("levels", "rises"), [((0.1, 0.5), True), ((0.5, 0.1), False)])
def test_the_level_before_and_after_says_which_way_it_went(
    name: str, levels: tuple[float, float], rises: bool
) -> None:
    changes = make_detector(name, {}, raw=True).feed(np.array(steps(3, *levels, length=2000)))

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

    assert make_detector("page_hinkley", {}, raw=False).feed(values) == []


@pytest.mark.parametrize("raw", [True, False], ids=["raw", "standardised"])
@pytest.mark.parametrize("name", DETECTORS)
@settings(max_examples=40)
@given(
    values=st.lists(
        st.sampled_from([0.0, -0.0, 1.0, 2e150, -1e150, 5e-324, 1e-160]) | st.floats(-2e150, 2e150),
        max_size=120,
    )
)
def test_no_finite_number_stops_a_detector(name: str, raw: bool, values: list[float]) -> None:
    detector = make_detector(name, SMALL[name], raw=raw)

    detector.feed(np.array(values, float))

    msgspec.msgpack.encode(detector.pack())


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("adwin", {"delta": 0}),
        ("adwin", {"delta": 1}),
        ("adwin", {"delta": float("nan")}),
        ("adwin", {"reference": 0}),
        ("adwin", {"reference": 2.5}),
        ("adwin", {"reference": float("inf")}),
        ("adwin", {"block": 3}),
        ("page_hinkley", {"block": 0}),
        ("page_hinkley", {"threshold": -1}),
        ("ddm", {}),
    ],
)
def test_a_parameter_that_cannot_work_is_refused_by_name(
    name: str, parameters: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError, match=f"{name}|{next(iter(parameters), 'ddm')}"):
        make_detector(name, parameters, raw=False)


def test_whole_parameters_may_be_written_as_floats() -> None:
    """As `monitors.yaml` gives them."""
    detector = make_detector("adwin", {"reference": 3.0}, raw=False)

    assert detector.feed(np.ones(10)) == []
    assert isinstance(detector, Adwin)
