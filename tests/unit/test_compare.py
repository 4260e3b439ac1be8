"""What docs/comparison.md says is the same is the same, and what is not has its reason."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.compare.their_scipy import in_bins
from benchmarks.compare.verdict import EVIDENTLY, RAW, Row, UnexplainedError, rows
from streams.families import CATALOGUE
from streams.families.histograms import pair_values, value_bins
from tests.pages import text


def test_scipy_is_given_the_bins_that_driftline_counts_in() -> None:
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.exponential(10.0**power, 200) for power in range(-9, 10)])
    values = np.append(values, [0.0, 1.0, np.nextafter(1.0, 0.0), 2.0, 100.0])

    assert in_bins(values).tolist() == pair_values(value_bins(values) >> 1).tolist()


@pytest.mark.parametrize(
    ("metric", "theirs", "same"),
    [
        ("accuracy", 0.5 + 1e-10, True),
        ("accuracy", 0.5 + 1e-8, False),
        ("ks:amount", 0.5049, True),
        ("ks:amount", 0.5051, False),
        ("feature_p50:amount", 0.5039, True),
        ("feature_p50:amount", 0.5041, False),
        ("accuracy", float("nan"), False),
    ],
)
def test_a_number_is_the_same_up_to_its_tolerance(metric: str, theirs: float, same: bool) -> None:
    row = Row(metric, 0.5, {RAW: theirs})

    assert row.within(RAW) == same
    assert row.others == ([] if same else [RAW])


def test_another_number_without_a_reason_is_an_error() -> None:
    with pytest.raises(UnexplainedError, match=r"accuracy is 0\.5, and 0\.6 of Evidently"):
        assert not Row("accuracy", 0.5, {EVIDENTLY: 0.6}).why


def test_a_p_value_is_never_the_same() -> None:
    row = Row("ks:amount", 0.5, {RAW: 0.5, EVIDENTLY: 0.5})

    assert row.others == [EVIDENTLY]
    assert row.why == {EVIDENTLY: "the p-value of the distance, not the distance"}


def test_what_others_have_and_driftline_has_not_is_an_error() -> None:
    with pytest.raises(UnexplainedError, match="driftline has no recall"):
        rows({"accuracy": 0.5}, {RAW: {"accuracy": 0.5, "recall": 0.5}})


def test_the_page_has_metrics_that_there_are_and_a_reason_for_every_difference() -> None:
    lines = [line for line in text("comparison.md").splitlines() if line.startswith("| `")]
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]

    assert len(cells) > 100
    assert [row[0] for row in cells if CATALOGUE.metric(row[0].strip("`")) is None] == []
    assert [row for row in cells if (row[-2] == "all") != (row[-1] == "")] == []
