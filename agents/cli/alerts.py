"""``driftline alerts``: what fires, what people say of it, and how precise monitors are by that."""

from __future__ import annotations

from typing import Annotated

import typer

from agents.cli.command import Command, Group
from agents.cli.shared_options import Brokers, Json


def list_alerts(
    *,
    model: Annotated[str | None, typer.Option(help="Of this model alone.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Also those that are over.")] = False,
    brokers: Brokers,
    json_output: Json = False,
) -> None:
    """List the alerts and incidents that fire, with what was said of them."""
    from agents import feedback  # noqa: PLC0415

    feedback.show_alerts(brokers.settings, every=every, model=model, json_output=json_output)


def give_verdict(
    *,
    alert: Annotated[
        str,
        typer.Argument(metavar="ID", help="Of the alert, or as much as no other begins with."),
    ],
    verdict: Annotated[str, typer.Argument(metavar="VERDICT", help="true, false or expected.")],
    by: Annotated[str, typer.Option(metavar="NAME", help="Who says so.")],
    note: Annotated[str, typer.Option(help="Why.")] = "",
    brokers: Brokers,
) -> None:
    """Say of an alert whether it was right: true, false, or expected, such as a planned change.

    The last verdict on an alert counts. It is written to the topic of feedback.
    """
    from agents import feedback  # noqa: PLC0415

    raise typer.Exit(feedback.judge(brokers.settings, alert, verdict, by=by, note=note))


def adopt_level(
    *,
    alert: Annotated[
        str,
        typer.Argument(metavar="ID", help="Of the alert, or of an incident: of all its alerts."),
    ],
    by: Annotated[str, typer.Option(metavar="NAME", help="Who says so.")],
    at: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Event time from which on; default: now."),
    ] = None,
    note: Annotated[str, typer.Option(help="Why.")] = "",
    brokers: Brokers,
) -> None:
    """Take the level that an alert is about for the usual one, from the next ten minutes on.

    The alert is resolved as adopted, and what comes is compared with the new level. Only what
    detectors have found can be adopted; a rule has its limit from the monitors file.
    """
    from agents import adoptions  # noqa: PLC0415

    raise typer.Exit(adoptions.adopt(brokers.settings, alert, by=by, at=at, note=note))


def show_precision(*, brokers: Brokers, json_output: Json = False) -> None:
    """Show, by monitor, how many alerts were right, of those that somebody has judged."""
    from agents import feedback  # noqa: PLC0415

    feedback.show_precision(brokers.settings, json_output=json_output)


GROUP = Group(
    "alerts",
    "List what fires, say whether it was right, adopt a level, see how precise monitors are.",
    Command(
        list_alerts,
        "driftline alerts list --bootstrap-servers kafka:9092",
        "driftline alerts list --all --model fraud --json",
        name="list",
    ),
    Command(
        give_verdict,
        "driftline alerts verdict 081e6acaa1ab8a32 true --by ann@example.com",
        "driftline alerts verdict 081e6a expected --by ann@example.com --note 'new prices'",
        name="verdict",
    ),
    Command(
        adopt_level,
        "driftline alerts adopt 081e6acaa1ab8a32 --by ann@example.com",
        "driftline alerts adopt 081e6a --by ann@example.com --note 'new prices'",
        "driftline alerts adopt 5f0c1d --by ann@example.com --at 2026-01-31T12:00:00Z",
        name="adopt",
    ),
    Command(
        show_precision,
        "driftline alerts precision --bootstrap-servers kafka:9092",
        name="precision",
    ),
)
