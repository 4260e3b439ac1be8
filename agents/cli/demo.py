"""``driftline demo``."""

from __future__ import annotations

from typing import Annotated

import typer

from agents.cli.command import Command
from agents.cli.shared_options import Json, integer


def demo(
    *,
    seconds: Annotated[
        str | None, typer.Option(metavar="N", help="How long the traffic takes.")
    ] = None,
    stay: Annotated[
        bool, typer.Option("--stay", help="Keep the page open at the end, until Ctrl-C.")
    ] = False,
    json_output: Json = False,
) -> None:
    """Show it all in less than a minute: a broker, a worker, a model that goes wrong.

    Where 'driftline[web]' is installed, the address of its page is printed.
    """
    from agents.demo import run_demo  # noqa: PLC0415

    length = None if seconds is None else integer("--seconds", seconds, 1, 3_600)
    raise typer.Exit(run_demo(seconds=length, json_output=json_output, stay=stay))


COMMAND = Command(
    demo, "driftline demo", "driftline demo --stay", "driftline demo --seconds 15 --json"
)
