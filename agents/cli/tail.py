"""``driftline tail``: print metrics, alerts or dead letters as they come."""

from __future__ import annotations

from typing import Annotated

import typer

from agents.cli.command import Command, Group
from agents.cli.shared_options import Json, Kafka, Prefix, Servers, settings_of

FromBeginning = Annotated[
    bool, typer.Option("--from-beginning", help="Begin with the oldest record that is kept.")
]
Model = Annotated[str | None, typer.Option(help="Only this model.")]
Follow = Annotated[bool, typer.Option(help="Go on, or stop at the end of what is there.")]


def _printing(kind: str, *examples: str, help_text: str) -> Command:
    """Return the command that prints this kind of records; all have the same options."""

    def run(
        *,
        bootstrap_servers: Servers = None,
        prefix: Prefix = None,
        model: Model = None,
        from_beginning: FromBeginning = False,
        follow: Follow = True,
        kafka: Kafka = None,
        json_output: Json = False,
    ) -> None:
        settings = settings_of(
            {"bootstrap_servers": bootstrap_servers, "prefix": prefix}, kafka=kafka
        )
        from agents.tail import tail  # noqa: PLC0415

        raise typer.Exit(
            tail(
                settings,
                kind=kind,
                model=model,
                from_beginning=from_beginning,
                follow=follow,
                json_output=json_output,
            )
        )

    return Command(run, *examples, name=kind, help_text=help_text)


GROUP = Group(
    "tail",
    "Print metrics, alerts or dead letters as they come.",
    _printing(
        "metrics",
        "driftline tail metrics --bootstrap-servers kafka:9092 --model fraud",
        "driftline tail metrics --from-beginning --no-follow --json > metrics.jsonl",
        help_text="Print metric records as they come.",
    ),
    _printing(
        "alerts",
        "driftline tail alerts --bootstrap-servers kafka:9092",
        "driftline tail alerts --from-beginning --no-follow --json | jq .message",
        help_text="Print alerts as they come.",
    ),
    _printing(
        "dlq",
        "driftline tail dlq --bootstrap-servers kafka:9092",
        "driftline tail dlq --from-beginning --no-follow --json | jq -r .reason | sort | uniq -c",
        help_text="Print records that could not be used, where they were, and why.",
    ),
)
