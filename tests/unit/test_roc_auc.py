"""The area under the ROC curve, of scores on any scale, against scikit-learn."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as reference

from streams.task import Judged
from tests import plain_bins as bins
from tests import plain_intervals as intervals
from tests.plain_quality import compute
from tests.plain_tallies import Inputs, Outcomes

TRUTHS = np.random.default_rng(7).random(4_000) < 0.3
LOGITS = np.random.default_rng(8).normal(0.0, 1.5, 4_000) + 1.5 * TRUTHS
SHARES = 1 / (1 + np.exp(-LOGITS))
SCALES = {
    "shares": SHARES,
    "tiny": SHARES * 1e-8,
    "as tiny as likelihoods": SHARES * 1e-200,
    "near 1": 1 - SHARES[::-1] * 1e-9,
    "logits": LOGITS,
    "wide logits": LOGITS * 20,
    "percent": SHARES * 100,
    "errors": np.exp(LOGITS) * 1e6,
    "negative": -np.exp(-LOGITS) * 1e-5,
    "rounded": np.round(SHARES, 2),
    "hard": (SHARES > 0.5).astype(float),
}


def published(scores: np.ndarray, truths: np.ndarray = TRUTHS) -> tuple[float, float, float]:
    """Return the area and its bounds as they are published of a window."""
    tally = Outcomes()
    numbers = bins.score_bins(scores)
    for name, side in (("1", truths), ("0", ~truths)):
        tally.scores[name] = dict(Counter(numbers[side].tolist()))
        tally.confusion[name, name] = int(side.sum())
    tally.count = len(scores)
    [found] = [
        v for v in compute(Inputs(), tally, Judged("binary", "told")) if v.metric == "roc_auc"
    ]
    assert found.low is not None
    assert found.high is not None
    return found.value, found.low, found.high


@pytest.mark.parametrize("scale", SCALES)
def test_the_area_does_not_depend_on_the_scale_of_the_scores(scale: str) -> None:
    scores = SCALES[scale]
    truths = TRUTHS[::-1] if scale == "near 1" else TRUTHS

    area, low, high = published(scores, truths)

    right = reference.roc_auc_score(truths, scores)
    assert area == pytest.approx(right, abs=0.005)
    bounds = intervals.roc_auc(area, int(truths.sum()), int((~truths).sum()))
    assert (low, high) == bounds


@pytest.mark.parametrize("spread", [1e-6, 0.3, 3.0, 8.0, 20.0])
@pytest.mark.parametrize("offset", [1_000.0, -1e6])
def test_where_many_pairs_share_a_bin_the_interval_tells_so(offset: float, spread: float) -> None:
    scores = offset + spread * LOGITS

    area, low, high = published(scores)

    right = reference.roc_auc_score(TRUTHS, scores)
    assert low <= right <= high
    assert abs(area - right) <= 0.005 or high - low > 2 * abs(area - right)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=2, max_size=50))
def test_bins_of_scores_keep_their_order(scores: list[float]) -> None:
    numbers = bins.score_bins(np.array(sorted(scores)))

    assert (np.diff(numbers) >= 0).all()


@given(st.lists(st.floats(-1e9, 1e9) | st.sampled_from([0.0, 1.0, 0.5, 1e-300]), max_size=50))
def test_ranges_of_bins_have_every_row_once(scores: list[float]) -> None:
    numbers = bins.score_bins(np.array(scores, float))

    rows = [np.arange(len(numbers))[part] for part in bins.score_ranges(numbers)]

    assert sorted(np.concatenate(rows).tolist()) == list(range(len(scores)))
    assert len(rows) <= 5
