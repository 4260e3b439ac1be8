"""``driftline models``: which models there are, and forgetting one."""

from __future__ import annotations

from typing import Annotated

import typer

from agents.cli.command import Command, Group
from agents.cli.shared_options import At, Brokers, Json, print_json


def list_models(
    *,
    brokers: Brokers,
    json_output: Json = False,
) -> None:
    """List the models that workers know: task and why, features, references, and when last seen.

    That is the last hour with predictions. It is read from the topic of models, which needs Read
    on it; a model is there once its first pane has passed.
    """
    from agents.models import read_models, show  # noqa: PLC0415

    found = read_models(brokers.settings)
    if json_output:
        import msgspec  # noqa: PLC0415

        print_json([msgspec.to_builtins(one) for one in found])
    elif found:
        show(found)
    else:
        typer.echo("no models yet")


def forget_model(
    *,
    model: Annotated[str, typer.Argument(metavar="NAME", help="The model.")],
    version: Annotated[
        str | None, typer.Option(help="Of this version alone. Default: of all versions.")
    ] = None,
    at: At = None,
    brokers: Brokers,
    json_output: Json = False,
) -> None:
    """Let all workers forget a model: what was counted, its references, detectors and alerts.

    Its open alerts are resolved, and its metrics deleted from their topic, but for those of windows
    that ended more than two horizons before. If predictions are made later, it comes back as new.
    """
    from agents import models  # noqa: PLC0415

    raise typer.Exit(
        models.forget_model(brokers.settings, model, version, at=at, json_output=json_output)
    )


GROUP = Group(
    "models",
    "List the models that there are, and forget one.",
    Command(
        list_models,
        "driftline models list --bootstrap-servers kafka:9092",
        "driftline models list --json | jq -r '.[].model' | sort -u",
        name="list",
    ),
    Command(
        forget_model,
        "driftline models forget fraud --version 7 --bootstrap-servers kafka:9092",
        "driftline models forget fraud --at 2026-01-31T12:00:00Z",
        name="forget",
    ),
)
