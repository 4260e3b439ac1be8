"""From known alerts to known lines of the table."""

import numpy as np
import pytest

from benchmarks.signal import others
from benchmarks.signal.changes import CHANGES
from benchmarks.signal.jobs import OLD, OURS, ROWS, Done, draw
from benchmarks.signal.page import page
from benchmarks.signal.product import Notice, notices
from benchmarks.signal.stationary import RATES, STATIONARY
from benchmarks.signal.stream import HOUR_MS
from benchmarks.signal.tables import changes_table, evidence_table, noise_table
from benchmarks.signal.verdict import Noise, Noticed, noise, noticed, rate
from tests.pages import text

CHANGE = ROWS["error-5-20"]
CHANGED_MS = 1_000 * HOUR_MS


def notice(
    hours: float,
    subject: str = "loss",
    direction: str = "worse",
    *,
    severity: str = "warning",
    is_open: bool = False,
) -> Notice:
    at_ms = CHANGED_MS + int(hours * HOUR_MS)
    return Notice(at_ms, severity, subject, direction, "monitor", "", is_open=is_open)


def revision(name: str, state: str, at_ms: int, kind: str = "drift") -> dict[str, object]:
    evidence = {"input": "loss", "mean_after": 0.2}
    about = {"severity": "warning", "direction": "worse", "monitor": "m", "segment": ""}
    return {
        **about,
        "alert_id": name,
        "state": state,
        "at_ms": at_ms,
        "kind": kind,
        "evidence": evidence,
    }


def test_revisions_are_one_alert_and_incidents_are_none() -> None:
    found = notices(
        [
            revision("b", "firing", 20),
            revision("a", "firing", 10),
            revision("i", "firing", 10, kind="incident"),
            revision("b", "firing", 30),
            revision("a", "resolved", 40),
        ]
    )

    assert [(one.at_ms, one.is_open, one.after) for one in found] == [
        (10, False, 0.2),
        (20, True, 0.2),
    ]


def test_a_change_is_noticed_by_the_first_alert_about_it_that_begins_after_it() -> None:
    found = noticed(
        CHANGE,
        CHANGED_MS,
        [
            notice(-30),
            notice(-1, severity="info"),
            notice(1, "feature:x", "changed"),
            notice(2, direction="better"),
            notice(3),
            notice(4, "accuracy"),
            notice(5, is_open=True),
            notice(15 * 24),
        ],
    )

    assert found == Noticed(
        3.0, alerts=3, most=2, is_open=True, first="monitor loss", after=None, false=1
    )


def test_an_alert_of_the_moment_of_the_change_is_about_it_and_one_before_is_not() -> None:
    assert noticed(CHANGE, CHANGED_MS, [notice(0)]).delay_h == 0
    assert noticed(CHANGE, CHANGED_MS, [notice(-0.001)]).delay_h is None


def test_an_improvement_is_noticed_by_what_says_that_it_is_one() -> None:
    better = ROWS["error-10-5"]

    assert noticed(better, CHANGED_MS, [notice(1)]).delay_h is None
    assert noticed(better, CHANGED_MS, [notice(1, direction="better")]).delay_h == 1


@pytest.mark.parametrize(
    ("name", "subject", "is_about"),
    [
        ("feature-missing", "missing:x", True),
        ("feature-missing", "feature:x", True),
        ("feature-missing", "missing:other_1", False),
        ("traffic-0", "traffic", True),
        ("traffic-0", "labels", False),
        ("labels-stop", "coverage", True),
        ("ranking", "log_loss", True),
        ("ranking", "loss", False),
        ("latency", "latency", True),
    ],
)
def test_an_alert_is_about_what_it_names(name: str, subject: str, is_about: bool) -> None:
    found = noticed(ROWS[name], CHANGED_MS, [notice(1, subject, "changed")])

    assert (found.delay_h is not None) == is_about


def test_false_alarms_are_counted_by_severity() -> None:
    found = noise([notice(1, severity="critical"), notice(2), notice(3, severity="info")])

    assert found == Noise(2, 1, {"monitor loss": 3})


def test_the_limit_of_a_rate_is_that_of_poisson() -> None:
    one_of_four = rate([0, 1, 0, 0])

    assert one_of_four.mean == 0.25
    # 1 or fewer come with 5 %: exp(-m) (1 + m) = 0.05
    m = one_of_four.limit * 4
    assert np.exp(-m) * (1 + m) == pytest.approx(0.05)


def test_lines_of_the_tables_are_those_of_known_results() -> None:
    found = [
        Done("error-5", 2_000, 0, noise={OURS: Noise(0, 0), OLD: Noise(1, 0)}),
        Done("error-5", 2_000, 1, noise={OURS: Noise(0, 0), OLD: Noise(0, 4)}),
        Done("error-5", 20_000, 0, noise={OURS: Noise(3, 6), OLD: Noise(0, 0)}),
        Done("error-5-20", 2_000, 0, noticed={OURS: Noticed(None), OLD: Noticed(None)}),
        Done(
            "error-5-20",
            20_000,
            0,
            noticed={OURS: Noticed(4, 2, 1, True, "", 0.25, -1.5), OLD: Noticed(3)},
        ),
        Done("error-5-20", 20_000, 1, noticed={OURS: Noticed(None), OLD: Noticed(5)}),
    ]

    assert noise_table(found).splitlines()[2] == (
        "| error 5 % | 0 / **3** | 1.5 / 7.8 | 0 / **6** | 1.5 / 12 | 2.5 / 0 |"
    )
    assert evidence_table(found).splitlines()[2] == "| error 5 → 20 % | 0.2 | – / 0.25 | – / 1.5 |"
    assert changes_table(found).splitlines()[2] == (
        "| error 5 → 20 % | never | 4 (50%) | 0 / 2 | 0 / 1 | – / 100% | never / 4 |"
    )


def test_the_page_says_how_many_streams_there_were_and_where_rows_were_left_out() -> None:
    rows = [row.name for row in (*STATIONARY, *CHANGES) if 2_000 in getattr(row, "rates", RATES)]
    whole = [Done(name, 2_000, seed, noise={OURS: Noise(0, 0)}) for name in rows for seed in (3, 4)]

    said = page([*whole, Done("daily", 200_000, 3, noise={OURS: Noise(0, 0)})])

    some = f"1 at 200,000 (seed 3, 1 of {len(rows)} rows)"
    assert f"streams of each row here: 2 at 2,000 (seeds 3 to 4), {some}." in said


def test_a_psi_is_the_sum_of_differences_by_logarithms() -> None:
    counts = np.array([10.0, 30.0, 60.0]), np.array([20.0, 30.0, 50.0])

    by_hand = 0.1 * np.log(2) + 0.1 * np.log(6 / 5)

    assert others.psi(*counts) == pytest.approx(by_hand)


def test_what_stands_beside_finds_a_large_step_and_says_which_way_it_was() -> None:
    worse, change_ms = draw("error-5-20", 20_000, 0)
    better, _ = draw("error-10-5", 20_000, 0)
    shifted, _ = draw("feature-x1000", 20_000, 0)

    for method in (others.adwin, others.page_hinkley):
        found = [one for one in method(worse) if one.at_ms >= change_ms]
        assert found[0].direction == "worse"
        assert 0 < found[0].at_ms - change_ms < 48 * HOUR_MS
        assert {one.direction for one in method(better)} == {"better"}
    assert [one.subject for one in others.psi_of_days(shifted)] == ["feature:x"]


def test_the_page_has_a_line_for_every_row_and_its_cells_are_numbers() -> None:
    lines = [line.split(" | ") for line in text("signal.md").splitlines() if line[:2] == "| "]
    found = {cells[0].removeprefix("| "): cells[1:] for cells in reversed(lines)}

    usual = [row for row in STATIONARY if row.rates == RATES]
    assert [row.title for row in (*usual, *CHANGES) if row.title not in found] == []
    for row in usual:
        warnings = found[row.title][0].replace("*", "").split(" / ")
        assert all(float(number) >= 0 for number in warnings)
