"""``driftline status``."""

from __future__ import annotations

from typing import Annotated

import typer

from agents.cli.command import Command
from agents.cli.shared_options import Json, Kafka, Prefix, Servers, settings_of


def status(
    *,
    addresses: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[HOST:PORT…]",
            help="Ask these workers, where they answer Prometheus, and no brokers.",
            show_default=False,
        ),
    ] = None,
    here: Annotated[
        bool, typer.Option("--here", help="Ask the workers of this host, at ports 9464 to 9473.")
    ] = False,
    bootstrap_servers: Servers = None,
    prefix: Prefix = None,
    costs: Annotated[
        bool, typer.Option("--costs", help="What work, monitors and models cost, too.")
    ] = False,
    kafka: Kafka = None,
    json_output: Json = False,
) -> None:
    """Show how all workers are, and what models and monitors cost them.

    Every worker tells it to a topic every ten seconds; what is older than a minute is left out.
    """
    import time  # noqa: PLC0415

    from agents.status import ask, ask_here, show  # noqa: PLC0415

    if addresses or here:
        found = [ask(address) for address in addresses or ()] or ask_here()
    else:
        from agents.installation import ask_installation  # noqa: PLC0415

        settings = settings_of(
            {"bootstrap_servers": bootstrap_servers, "prefix": prefix}, kafka=kafka
        )
        found = ask_installation(settings, now_ms=time.time_ns() // 1_000_000)
    show(found, costs=costs, json_output=json_output)


COMMAND = Command(
    status,
    "driftline status --bootstrap-servers kafka:9092",
    "driftline status --here",
    "driftline status --costs 127.0.0.1:9464 127.0.0.1:9465",
    "driftline status --json | jq '.[].unready'",
)
