"""``driftline status``."""

from __future__ import annotations

from typing import Annotated

import typer

from agents.cli.command import Command
from agents.cli.shared_options import Json


def status(
    *,
    addresses: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[HOST:PORT…]",
            help="Where workers answer Prometheus. Default: 127.0.0.1, ports 9464 to 9473.",
            show_default=False,
        ),
    ] = None,
    costs: Annotated[
        bool, typer.Option("--costs", help="What work, monitors and models cost, too.")
    ] = False,
    json_output: Json = False,
) -> None:
    """Ask running workers how they are, and what models and monitors cost them."""
    from agents.status import ask, ask_here, show  # noqa: PLC0415

    found = [ask(address) for address in addresses] if addresses else ask_here()
    show(found, costs=costs, json_output=json_output)


COMMAND = Command(
    status,
    "driftline status",
    "driftline status --costs 127.0.0.1:9464 127.0.0.1:9465",
    "driftline status --json | jq '.[].unready'",
)
