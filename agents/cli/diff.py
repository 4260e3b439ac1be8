"""``driftline diff``: what changed between two times."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from agents.cli.command import Command
from agents.cli.shared_options import History, Json, OneModel, Time


def diff(
    *,
    first: Time,
    second: Annotated[str, typer.Argument(metavar="TIME", help="A later one.", show_default=False)],
    model: OneModel = None,
    history: History = None,
    json_output: Json = False,
) -> None:
    """Print what was revised, added or deleted between two times."""
    from agents.sinks.sql import needed  # noqa: PLC0415

    needed()
    from agents.history.show import show_diff  # noqa: PLC0415

    now = datetime.now(UTC)
    show_diff(first, second, history=history, model=model, json_output=json_output, now=now)


COMMAND = Command(
    diff,
    "driftline diff 10:00 11:00",
    "driftline diff 2026-11-28 2026-11-29 --model fraud --history history.db",
)
