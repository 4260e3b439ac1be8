"""What a confusion tells, against scikit-learn."""

from typing import Any

import numpy as np
import pytest
from sklearn import metrics as sklearn

from streams import families
from streams.errors import ConfigError
from streams.families.classification import MAX_CLASSES
from streams.monitors_file import parse_monitors
from streams.task import Judged
from tests.plain_cells import PlainGrid, count_answers
from tests.plain_quality import Value

FAMILIES = families.CATALOGUE.families
NAMES = np.array(["ant", "bee", "cow", "dog"])


def values(said: Any, true: Any, judged: Judged | None = None) -> dict[str, Value]:
    grid = PlainGrid(FAMILIES, [0])
    count_answers(grid, said, true)
    [found] = grid.values([judged or Judged("multiclass", "", words=True)])
    return found


def answers(seed: int, share: float, *, size: int = 400) -> tuple[Any, Any]:
    random = np.random.default_rng(seed)
    true, noise = (NAMES[random.choice(4, size, p=[0.7, 0.2, 0.07, 0.03])] for _ in range(2))
    return np.where(random.random(size) < share, true, noise), true


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 1.0])
def test_several_classes_are_judged_as_by_scikit_learn(share: float) -> None:
    said, true = answers(1, share)

    found = values(said, true)

    matrices = sklearn.multilabel_confusion_matrix(true, said, labels=NAMES)
    specificity = [matrix[0, 0] / matrix[0].sum() for matrix in matrices]
    for name, one in zip(NAMES, specificity, strict=True):
        assert found[f"specificity:{name}"].value == pytest.approx(one, abs=1e-12)
        assert found[f"support:{name}"].value == (true == name).sum()
        assert found[f"label_share:{name}"].value == pytest.approx((true == name).mean())
    assert found["specificity"].value == pytest.approx(np.mean(specificity), abs=1e-12)
    balanced, mcc = sklearn.balanced_accuracy_score(true, said), sklearn.matthews_corrcoef
    assert found["balanced_accuracy"].value == pytest.approx(balanced, abs=1e-12)
    assert found["mcc"].value == pytest.approx(mcc(true, said), abs=1e-12)
    assert not found.keys() & {"support", "label_share"}  # whose mean over classes says nothing


def test_two_classes_have_them_of_the_positive_one() -> None:
    said, true = [1, 0, "yes", 0, 0, 1, 0], [1, 0, 0, "no", 1, "true", 0]

    found = values(said, true, Judged("binary", ""))

    plain = [1, 0, 0, 0, 1, 1, 0], [1, 0, 1, 0, 0, 1, 0]
    assert found["specificity"].value == 3 / 4
    assert found["support"].value == found["support"].count == 3
    assert (found["label_share"].value, found["label_share"].count) == (3 / 7, 7)
    assert found["mcc"].value == pytest.approx(sklearn.matthews_corrcoef(*plain), abs=1e-12)
    balanced = sklearn.balanced_accuracy_score(*plain)
    assert found["balanced_accuracy"].value == pytest.approx(balanced, abs=1e-12)
    assert not any(":" in name for name in found)


def test_a_positive_class_that_never_came_has_a_share_of_none() -> None:
    found = values(["legit"] * 9, ["legit"] * 9, Judged("binary", "", "fraud"))

    share = found["label_share"]
    assert (share.value, share.low, share.count) == (0.0, 0.0, 9)
    assert found["support"].value == 0
    assert found["specificity"].value == 1
    assert "mcc" not in found  # of one class there is no correlation


def test_classes_without_labels_are_left_out_of_balanced_accuracy() -> None:
    found = values(["ant", "bee", "cow", "ant"], ["ant", "bee", "bee", "ant"])

    assert found["balanced_accuracy"].value == 3 / 4
    assert found["support:cow"].value == 0


def test_too_many_classes_have_no_metrics_of_each() -> None:
    names = [f"c{n}" for n in range(MAX_CLASSES + 1)]

    found, fewer = values(names, names), values(names[1:], names[1:])

    assert not any(":" in name for name in found)
    assert found["balanced_accuracy"].value == found["mcc"].value == 1.0
    assert fewer["support:c7"].value == 1


@pytest.mark.parametrize("metric", ["balanced_accuracy", "mcc"])
@pytest.mark.parametrize("share", [0.4, 0.8])
def test_intervals_hold_the_truth_as_often_as_they_say(metric: str, share: float) -> None:
    everything = values(*answers(2, share, size=20_000))[metric].value
    windows = 80
    grid = PlainGrid(FAMILIES, range(windows))
    for window in range(windows):
        count_answers(grid, *answers(100 + window, share, size=150), window=window)

    found = [one[metric] for one in grid.values([Judged("multiclass", "", words=True)] * windows)]

    held = [one.low <= everything <= one.high for one in found if one.low and one.high]
    assert len(held) == windows
    assert 0.87 <= np.mean(held) <= 0.995


def test_what_codes_classes_have_changes_no_bit() -> None:
    """Codes go by what came first; sums of floats must not."""
    said, true = answers(3, 0.5, size=377)
    turned = np.random.default_rng(4).permutation(len(true))

    assert values(said, true) == values(said[turned], true[turned])


def rule(metric: str, **limit: Any) -> dict[str, Any]:
    task = {"task": "multiclass"}
    one = {"name": "r", "metric": metric, "model": "m", **limit}
    return {"thresholds": [one], "defaults": False, "models": {"m": task}}


def test_rules_on_what_there_is_not_are_refused() -> None:
    assert parse_monitors(rule("support:ant", below=10)).thresholds

    with pytest.raises(ConfigError, match="'label_share' needs a class: label_share:<class>"):
        parse_monitors(rule("label_share", above=0.1))
    with pytest.raises(ConfigError, match=r"rises_by: support goes with the length of the window"):
        parse_monitors(rule("support:ant", rises_by=0.1))
