"""``driftline models``: which models there are."""

from __future__ import annotations

import typer

from agents.cli.command import Command, Group
from agents.cli.shared_options import Json, Kafka, Prefix, Servers, print_json, settings_of


def list_models(
    *,
    bootstrap_servers: Servers = None,
    prefix: Prefix = None,
    kafka: Kafka = None,
    json_output: Json = False,
) -> None:
    """List the models that workers know: name, version, task, and when each was last seen.

    That is the beginning of its newest window; of a model that has no window left, it is right to
    a hundredth of --forget-after. It is read from the state of the workers, which needs Read on
    that topic.
    """
    settings = settings_of({"bootstrap_servers": bootstrap_servers, "prefix": prefix}, kafka=kafka)
    from agents.models import read_models, show  # noqa: PLC0415

    found = read_models(settings)
    if json_output:
        import msgspec  # noqa: PLC0415

        print_json([msgspec.to_builtins(one) for one in found])
    elif found:
        show(found)
    else:
        typer.echo("no models yet")


GROUP = Group(
    "models",
    "List the models that there are.",
    Command(
        list_models,
        "driftline models list --bootstrap-servers kafka:9092",
        "driftline models list --json | jq -r '.[].model' | sort -u",
        name="list",
    ),
)
