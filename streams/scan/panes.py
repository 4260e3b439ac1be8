"""Lengths of panes and windows, and the unit in which values are added up."""

PANE_MS = 600_000
HOUR_MS = 3_600_000
HOUR_PANES = 6
DAY_HOURS = 24

KEPT_PANES = 72
"""Panes of the last twelve hours are kept, ..."""

KEPT_HOURS = 14 * DAY_HOURS
"""... and hours of the last fourteen days."""

UNIT = 1 << 16
"""Values between 0 and 1 are added up as whole numbers of so many parts: exactly, in any order."""

SHORT = 1, 3, 6, 18, 36, 72
"""Windows that are looked at with every pane, in panes."""

LONG = 24, 72, 168
"""Windows that are looked at with every hour, in hours."""

DAYS = (*(count / 144 for count in SHORT), *(count / 24 for count in LONG))
"""Lengths of all windows, in days."""

LABELS = "10m", "30m", "1h", "3h", "6h", "12h", "1d", "3d", "7d"
"""Their names."""

A_DAY = LABELS.index("1d")

FEWEST_DAYS, MOST_DAYS = 3, 14
"""A reference is used after so many days, grows with each day, and is frozen after so many."""


def is_weekend(hour: int) -> bool:
    """Tell whether an hour, counted from the epoch, is of a Saturday or Sunday in UTC.

    Examples
    --------
    >>> is_weekend(2 * 24), is_weekend(4 * 24)  # 1970-01-03, 1970-01-05
    (True, False)
    """
    return (hour // DAY_HOURS + 3) % 7 >= 5
