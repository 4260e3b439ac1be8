"""What unit tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.naive_cells import WAYS, kept_by


@pytest.fixture(params=WAYS, ids=lambda compiled: "compiled" if compiled else "plain")
def way(request: pytest.FixtureRequest) -> Iterator[bool]:
    """Keep columns in both ways, one after the other."""
    with kept_by(request.param):
        yield request.param
