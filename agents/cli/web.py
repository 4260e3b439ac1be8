"""``driftline web``: look at it."""

from __future__ import annotations

from typing import Annotated

import typer

from agents.cli.command import Command
from agents.cli.shared_options import Brokers

Where = Annotated[
    str | None,
    typer.Option(
        "--history",
        metavar="URL",
        help="Where `driftline sink sql` writes: a SQLite file, or postgresql://… Default: "
        "DRIFTLINE_HISTORY of the environment; without that, or with --bootstrap-servers, a SQLite "
        "file of the page's own, which it fills from Kafka.",
    ),
]
Host = Annotated[
    str,
    typer.Option(
        help="Address to listen at. Anywhere but on this machine a token is needed, which the link "
        "that is printed brings; DRIFTLINE_WEB_TOKEN of the environment sets it."
    ),
]
Port = Annotated[
    str | None, typer.Option(metavar="PORT", help="Default: the first that is free from 8390 on.")
]
Names = Annotated[
    list[str] | None,
    typer.Option(
        "--name", help="A name by which browsers reach it, such as behind a proxy; repeatable."
    ),
]


def web(
    *,
    history: Where = None,
    host: Host = "127.0.0.1",
    port: Port = None,
    names: Names = None,
    brokers: Brokers,
) -> None:
    """Show models, alerts and what became of them in the browser; the address is printed.

    Needs: pip install 'driftline[web]', for a history in PostgreSQL 'driftline[postgresql]'.
    """
    from agents.sinks.sql import needed  # noqa: PLC0415

    needed()
    from agents.cli.shared_options import integer  # noqa: PLC0415
    from agents.web import start  # noqa: PLC0415
    from agents.web.run import Address  # noqa: PLC0415

    address = Address(
        host=host,
        port=None if port is None else integer("--port", port, 0, 65_535),
        names=tuple(names or ()),
        token=start.token(),
    )
    if (url := start.given_history(history, brokers.bootstrap_servers)) is not None:
        named = brokers.bootstrap_servers is not None
        start.show(url, address, brokers.settings if named else None)
    else:
        start.show_topics(brokers.settings, address)


COMMAND = Command(
    web,
    "driftline web --bootstrap-servers kafka:9092",
    "driftline web --history postgresql://driftline@db/driftline",
    "driftline web --history history.db --host 0.0.0.0 --port 8390 --name driftline.example",
)
