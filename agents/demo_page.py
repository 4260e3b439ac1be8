"""The page of the demo, where what it needs is installed."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from agents.demo_model import PREFIX
from agents.settings import Settings

if TYPE_CHECKING:
    from agents.web.history import History

MISSING = "pip install 'driftline[web]' shows this in the browser, too"


Positions = dict[tuple[str, int], int]
"""The offset after the last record that was read, by topic and partition."""

_SETTLE_S, _TICK_S = 20.0, 0.1


class DemoPage(NamedTuple):
    """The page while it is served.

    Attributes
    ----------
    link
        Its address.
    """

    link: str
    history: History

    def report(self, path: Path, read: Positions) -> None:
        """Leave what it shows as one file, once it has all that was read elsewhere.

        Raises
        ------
        ConfigError
            If it cannot be written.
        """
        from agents.report import make  # noqa: PLC0415 - an extra

        deadline_s = time.monotonic() + _SETTLE_S
        while not self.has(read) and time.monotonic() < deadline_s:
            time.sleep(_TICK_S)
        path.parent.mkdir(parents=True, exist_ok=True)
        with self.history.connected() as connection:
            make.of_newest(connection, path, of="driftline demo")

    def has(self, read: Positions) -> bool:
        """Tell whether its history has come as far in those topics that it reads."""
        from sqlalchemy import select  # noqa: PLC0415 - an extra

        from agents.history.tables import positions  # noqa: PLC0415

        with self.history.connected() as connection:
            place = positions.c.topic, positions.c.partition, positions.c.next_offset
            known = {
                (topic, number): offset
                for topic, number, offset in connection.execute(select(*place))
            }
        topics = {topic for topic, _ in known}
        return bool(known) and all(
            known.get((topic, number), 0) >= offset
            for (topic, number), offset in read.items()
            if topic in topics
        )


@contextmanager
def demo_page(bootstrap_servers: str) -> Iterator[DemoPage | None]:
    """Serve the page of what the demo publishes, for as long as the block lasts.

    Yields
    ------
    DemoPage or None
        None if the extra `web` is not installed.
    """
    if find_spec("sqlalchemy") is None or find_spec("alembic") is None:
        yield None
        return
    from agents import feedback  # noqa: PLC0415
    from agents.web.history import History  # noqa: PLC0415 - an extra
    from agents.web.listening import Listening  # noqa: PLC0415
    from agents.web.own_history import OwnHistory  # noqa: PLC0415
    from agents.web.run import Address, serving  # noqa: PLC0415

    settings = Settings(bootstrap_servers=bootstrap_servers, prefix=PREFIX, embedded=True)
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        OwnHistory(settings, Path(folder), tell=lambda _: None) as own,
        Listening(settings) as listening,
        serving(
            history := History(own.url),
            Address(),
            note=lambda: own.wrong,
            told=listening.told,
            judge=partial(feedback.write, settings),
        ) as running,
    ):
        yield DemoPage(running.link, history)
