"""``driftline demo``."""

from __future__ import annotations

from pathlib import Path
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
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Where what the page showed is left as one HTML file. Default: a new temporary"
            " folder.",
        ),
    ] = None,
    json_output: Json = False,
) -> None:
    """Show it all in less than a minute: a broker, a worker, a model that goes wrong.

    Where 'driftline[web]' is installed, the address of its page is printed, and
    a report is left at the end.
    """
    from agents.demo import run_demo  # noqa: PLC0415
    from streams.errors import ConfigError  # noqa: PLC0415

    if json_output and report is not None:
        raise ConfigError("--json prints numbers alone: there is no page that --report could leave")
    length = None if seconds is None else integer("--seconds", seconds, 1, 3_600)
    code = run_demo(seconds=length, json_output=json_output, stay=stay, report=report)
    raise typer.Exit(code)


COMMAND = Command(
    demo,
    "driftline demo",
    "driftline demo --stay",
    "driftline demo --report demo.html",
    "driftline demo --seconds 15 --json",
)
