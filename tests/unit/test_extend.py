"""What the docs show to whoever extends driftline is run."""

from itertools import accumulate
from typing import Any

import numpy as np
import pytest
from sklearn import metrics as sklearn

from docs.extend.cohen_kappa import CohenKappa
from docs.extend.cusum import Cusum
from docs.extend.differs_by import DiffersBy
from streams import families, rule_kinds
from streams.errors import ConfigError
from streams.monitors_file import parse_monitors
from streams.task import Judged
from streams.watchers import BY_NAME
from tests.builders import MINUTE_MS, START_MS, prediction
from tests.driver import Driver, as_inputs
from tests.plain_cells import PlainGrid, count_answers
from tests.watching import feed, feed_in_parts, lane_of, lanes_of

NAMES = np.array(["ant", "bee", "cow", "dog"])
KAPPA = families.CATALOGUE.with_family(CohenKappa())


def kappa(*windows: tuple[Any, Any], kind: str = "multiclass") -> list[float | None]:
    grid = PlainGrid(KAPPA.families, range(len(windows)))
    for window, (said, true) in enumerate(windows):
        count_answers(grid, said, true, window=window)
    found = grid.values([Judged(kind, "", words=kind == "multiclass")] * len(windows))
    return [one["cohen_kappa"].value if "cohen_kappa" in one else None for one in found]


def test_kappa_of_several_classes_is_that_of_scikit_learn() -> None:
    random = np.random.default_rng(7)
    true, noise = (NAMES[random.integers(0, 4, (2, 300))] for _ in range(2))
    said = np.where(random.random((2, 300)) < 0.6, true, noise)

    found = kappa((said[0], true[0]), (said[1], true[1]))

    expected = [sklearn.cohen_kappa_score(*pair) for pair in zip(said, true, strict=True)]
    assert found == pytest.approx(expected, abs=1e-12)


def test_kappa_takes_words_for_what_they_are_among_two_classes() -> None:
    said, true = ["yes", "no", "True", "no", "1"], [1, 0, 0, 0, 1]

    found = kappa((said, true), kind="binary")

    expected = sklearn.cohen_kappa_score([1, 0, 1, 0, 1], true)
    assert found == pytest.approx([expected], abs=1e-12)


def test_there_is_no_kappa_of_one_class_alone_and_of_other_models() -> None:
    assert kappa((["ant"] * 3, ["ant"] * 3)) == [None]
    assert kappa(([1.5, 2.5], [1.0, 2.0]), kind="regression") == [None]


def test_a_rule_on_a_metric_is_known_once_its_family_is_listed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(families, "CATALOGUE", KAPPA)

    [rule] = parse_monitors(
        {
            "thresholds": [
                {
                    "name": "a",
                    "metric": "cohen_kappa",
                    "below": -0.5,
                    "window": "10m",
                    "by": "value",
                }
            ],
            "defaults": False,
        }
    ).thresholds

    assert families.CATALOGUE.needed([rule.metric]) == KAPPA.families[-1:]


@pytest.fixture
def cusum(monkeypatch: pytest.MonkeyPatch) -> str:
    """CUSUM in the catalogue."""
    monkeypatch.setitem(BY_NAME, Cusum.name, Cusum())
    return Cusum.name


@pytest.mark.parametrize("rise", [2.0, -2.0])
def test_cusum_fires_where_its_formula_does_and_says_the_level(cusum: str, rise: float) -> None:
    values = np.random.default_rng(3).normal(50, 4, 1_000)
    values[700:] += 4 * rise
    centre, spread = np.median(values[:100]), np.subtract(*np.quantile(values[:100], [0.75, 0.25]))

    change, *_ = feed(lanes_of(cusum), values)

    scaled = np.clip((values[500:] - centre) / (spread / 1.349), -5, 5) * np.sign(rise)
    sums = list(accumulate(scaled, lambda total, value: max(total + value - 0.5, 0), initial=0.0))
    first = int(np.flatnonzero(np.array(sums[1:]) > 15)[0])
    assert change.index == pytest.approx(500 + first, abs=1)  # quartiles are taken otherwise
    assert change.after == pytest.approx(50 + 4 * rise, abs=4)
    assert change.before == pytest.approx(50, abs=1)


@pytest.mark.parametrize("seed", range(5))
def test_cusum_finds_in_every_lane_what_it_would_find_alone(cusum: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    parameters = {"reference": 120, "limit": 4}
    series = [rng.normal(np.arange(n) // 200 % 2 * 2.0, 1.0) for n in rng.integers(0, 900, 6)]

    found = feed_in_parts(cusum, parameters, series, own_scale=False, most=60, rng=rng)

    expected = [
        (lane, change.index, change.before, change.after)
        for lane, values in enumerate(series)
        for change in feed(lanes_of(cusum, parameters), values)
    ]
    assert sorted((lane_of(c), c.index, c.before, c.after) for c in found) == expected
    assert expected


def test_a_monitors_file_may_name_cusum_once_it_is_listed(cusum: str) -> None:
    drift = {"name": "d", "input": "score", "detector": cusum, "parameters": {"limit": 0}}

    with pytest.raises(ConfigError, match="detector cusum: limit 0 is out of range: more than 0"):
        parse_monitors({"drift": [drift]})


@pytest.fixture
def differs_by(monkeypatch: pytest.MonkeyPatch) -> str:
    """The kind in the catalogue."""
    monkeypatch.setitem(rule_kinds.BY_NAME, DiffersBy.name, DiffersBy())
    return DiffersBy.name


def rule_of(**given: Any) -> Any:
    rule = {
        "name": "odd",
        "metric": "mean:age",
        "window": "1m",
        "minimum": 5,
        "by": "value",
        **given,
    }
    return parse_monitors({"thresholds": [rule], "defaults": False, "reference": 40})


def test_differs_by_is_a_share_on_either_side_of_the_reference() -> None:
    lowest, highest = DiffersBy().bounds(0.25, np.array([40.0, -8.0]))

    assert (lowest.tolist(), highest.tolist()) == ([30.0, -10.0], [50.0, -6.0])


@pytest.mark.parametrize(("odd", "side"), [(25, "below 30"), (55, "above 50")])
def test_a_rule_of_that_kind_fires_on_both_sides_and_resolves(
    differs_by: str, odd: int, side: str
) -> None:
    ages = [40] * 6 + [odd] * 2 + [40] * 3
    events = [
        prediction(
            f"{minute}-{n}", timestamp_ms=START_MS + minute * MINUTE_MS + n, features={"age": age}
        )
        for minute, age in enumerate(ages)
        for n in range(10)
    ]
    driver = Driver(monitors=rule_of(differs_by=0.25))
    driver.feed(as_inputs(events))

    driver.finish()

    fired, resolved = driver.alerts
    assert fired["message"] == f"mean:age is {odd}, {side}"
    assert fired["direction"] == "changed"
    assert (fired["at_ms"], resolved["at_ms"]) == (
        START_MS + 7 * MINUTE_MS,
        START_MS + 9 * MINUTE_MS,
    )


def test_a_monitors_file_may_have_that_key_once_it_is_listed(differs_by: str) -> None:
    assert rule_of(differs_by=0.25).thresholds[0].kind == "differs_by"
    with pytest.raises(ConfigError, match="threshold 'odd': differs_by: 0: "):
        rule_of(differs_by=0)
    with pytest.raises(ConfigError, match="has above and differs_by; give exactly one of"):
        rule_of(differs_by=0.25, above=3)


def test_without_the_line_the_key_is_unknown() -> None:
    with pytest.raises(ConfigError, match="no such key 'differs_by'"):
        rule_of(differs_by=0.25)
