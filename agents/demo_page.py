"""The page of the demo, where what it needs is installed."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from agents.demo_model import PREFIX
from agents.settings import Settings

MISSING = "pip install 'driftline[web]' shows this in the browser, too"


@contextmanager
def demo_page(bootstrap_servers: str) -> Iterator[str | None]:
    """Serve the page of what the demo publishes, for as long as the block lasts.

    Yields
    ------
    str or None
        Its address; None if the extra `web` is not installed.
    """
    if find_spec("sqlalchemy") is None or find_spec("alembic") is None:
        yield None
        return
    from agents import feedback  # noqa: PLC0415
    from agents.web.history import History  # noqa: PLC0415 - an extra
    from agents.web.own_history import OwnHistory  # noqa: PLC0415
    from agents.web.run import Address, serving  # noqa: PLC0415

    settings = Settings(bootstrap_servers=bootstrap_servers, prefix=PREFIX, embedded=True)
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        OwnHistory(settings, Path(folder), tell=lambda _: None) as own,
        serving(
            History(own.url),
            Address(),
            note=lambda: own.wrong,
            judge=partial(feedback.write, settings),
        ) as running,
    ):
        yield running.link
