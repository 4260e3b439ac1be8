"""Times as people write them into tables: right, or refused with the reason."""

from datetime import UTC, datetime

import pytest

from agents.event_times import time_ms
from streams.errors import RecordError

MS = 1_767_225_600_000


@pytest.mark.parametrize(
    "text",
    [
        *("1767225600000", "1767225600000.0", "1.7672256e12", "1.7672256E+12"),
        *("2026-01-01", "20260101", "2026-W01-4", "2026-01-01Z", "2026-01-01 UTC"),
        *("2026-01-01T00:00", "2026-01-01 00:00:00", "20260101T000000Z", "2026-01-01T00Z"),
        *("2026-01-01T00:00:00Z", "2026-01-01t00:00:00z", "2026-01-01 00:00:00.000999999"),
        *("2026-01-01 00:00:00 UTC", "2026-01-01 00:00:00.000 GMT", "2026-01-01T00:00:00,0"),
        *("2026-01-01 00:00:00+00", "2026-01-01 00:00:00 +0000", "2026-01-01 00:00:00 +0000 UTC"),
        *("2026-01-01T01:00:00+01:00", "2025-12-31 19:00:00 -0500", "2025-12-31T19-05"),
    ],
)
def test_one_moment_can_be_written_in_many_ways(text: str) -> None:
    assert time_ms(text, compact=False) == MS


@pytest.mark.parametrize(
    "text", ["1970-01-01", "1972-02-29", "1999-12-31T23:59:59Z", "2051-01-01", "9999-12-31"]
)
def test_dates_of_any_year_since_1970_are_fine(text: str) -> None:
    expected = datetime.fromisoformat(text).replace(tzinfo=UTC)

    assert time_ms(text, compact=False) == expected.timestamp() * 1000


def test_a_column_of_digits_is_dates_if_all_of_it_is() -> None:
    """In other company 202601010000 is a moment of 1976."""
    assert time_ms("202601010000", compact=True) == MS
    assert time_ms("20260101000000", compact=True) == MS
    assert time_ms("202601010000", compact=False) == 202601010000


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        *[(text, "implausible_time") for text in ("1767225600", "1767225600.5", "0", "-1")],
        *[(text, "implausible_time") for text in ("1767225600000000000", "1e300", "20261301")],
        *[(text, "implausible_time") for text in ("1969-12-31", "0001-01-01T00:00:00+05:00")],
        *[(text, "invalid_row") for text in ("1/2/2026", "2026-1-1", "2026-001", "Jan 1 2026")],
        *[(text, "invalid_row") for text in ("1767225600000.5", "20260231", "1e99999999999")],
        *[(text, "invalid_row") for text in ("2026-01-01 00:00 PST", "T", "soon", "\u0661")],
    ],
)
def test_what_is_no_time_is_refused_and_named(text: str, reason: str) -> None:
    with pytest.raises(RecordError) as refused:
        time_ms(text, compact=False)

    assert refused.value.reason == reason
    assert reason == "implausible_time" or text in refused.value.detail
