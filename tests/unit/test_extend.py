"""What the docs show to whoever extends driftline is run."""

from typing import Any

import numpy as np
import pytest
from sklearn import metrics as sklearn

from docs.extend.cohen_kappa import CohenKappa
from streams import families
from streams.monitors_file import parse_monitors
from streams.task import Judged
from tests.plain_cells import PlainGrid, count_answers

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
            "thresholds": [{"name": "a", "metric": "cohen_kappa", "below": -0.5}],
            "defaults": False,
        }
    ).thresholds

    assert families.CATALOGUE.needed([rule.metric]) == KAPPA.families[-1:]
