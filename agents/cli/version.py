"""``driftline version``."""

from __future__ import annotations

import typer

from agents.cli.command import Command
from agents.cli.shared_options import Json, print_json


def version(json_output: Json = False) -> None:
    """Print the version."""
    from agents.version import installed_version  # noqa: PLC0415

    number = installed_version()
    if json_output:
        print_json({"version": number})
    else:
        typer.echo(f"driftline {number}")


COMMAND = Command(version, "driftline version")
