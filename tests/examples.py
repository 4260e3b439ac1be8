"""How many examples properties are tried with: some in `make test`, all in `make properties`."""

import os

ALL = os.environ.get("DRIFTLINE_EXAMPLES") == "all"
_SHARE, _FEWEST = 12, 2


def some(count: int) -> int:
    """Return how many examples are tried of as many as say something.

    >>> some(2)
    2
    """
    return count if ALL else min(count, max(count // _SHARE, _FEWEST))
