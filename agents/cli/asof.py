"""``driftline asof``: what was known at a time."""

from __future__ import annotations

from datetime import UTC, datetime

from agents.cli.command import Command
from agents.cli.shared_options import History, Json, OneModel, Time


def asof(
    *,
    when: Time,
    model: OneModel = None,
    history: History = None,
    json_output: Json = False,
) -> None:
    """Print the metrics and alerts that were known at a time: the last revision of every key.

    What is missing in the history is said on standard error.
    """
    from agents.sinks.sql import needed  # noqa: PLC0415

    needed()
    from agents.history.show import show_asof  # noqa: PLC0415

    now = datetime.now(UTC)
    show_asof(when, history=history, model=model, json_output=json_output, now=now)


COMMAND = Command(
    asof,
    "driftline asof 10:00",
    "driftline asof 2026-11-29T10:00 --model fraud --json",
)
