"""``driftline monitors``: check what is to be watched, and change it while workers run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agents.cli.command import Command, Group
from agents.cli.shared_options import (
    At,
    Brokers,
    Columns,
    Horizon,
    Json,
    Missing,
    Window,
    empty_cells,
    settings_of,
)

File = Annotated[str, typer.Argument(metavar="FILE", help="The monitors file.")]


def check_file(
    *,
    file: File,
    against: Annotated[
        list[Path] | None,
        typer.Option(metavar="EVENTS", help="Recorded events to hold it against; repeatable."),
    ] = None,
    window: Window = None,
    horizon: Horizon = None,
    columns: Columns = None,
    missing: Missing = None,
    json_output: Json = False,
) -> None:
    """Check a monitors file; exit code 2 if something is wrong with it.

    Against recorded events, name the rules that nothing in them could have made fire: models,
    versions, segments, features and classes that never came, metrics that were never there.
    """
    settings = settings_of({"monitors": file, "window": window, "horizon": horizon})
    from agents.monitors_check import check_monitors  # noqa: PLC0415

    assert settings.monitors is not None
    raise typer.Exit(
        check_monitors(
            settings.monitors,
            against=against or [],
            columns=columns,
            missing=empty_cells(missing),
            settings=settings,
            json_output=json_output,
        )
    )


def apply_file(
    *,
    file: File,
    at: At = None,
    brokers: Brokers,
    json_output: Json = False,
) -> None:
    """Let all workers watch what a file says, while they run.

    The file is checked first, as by `check`, and what it changes is printed. Rules and detectors
    that stay as they are go on; others begin anew, and their alerts are resolved.
    """
    from agents.monitors_topic import apply_monitors  # noqa: PLC0415

    raise typer.Exit(apply_monitors(brokers.settings, Path(file), at=at, json_output=json_output))


def withdraw_specification(
    *,
    at: At = None,
    brokers: Brokers,
    json_output: Json = False,
) -> None:
    """Take back what was applied: workers go by what they were started with, or the defaults."""
    from agents.monitors_topic import apply_monitors  # noqa: PLC0415

    raise typer.Exit(apply_monitors(brokers.settings, None, at=at, json_output=json_output))


def list_specification(
    *,
    brokers: Brokers,
    json_output: Json = False,
) -> None:
    """Print what was applied, and since when it holds."""
    from agents.monitors_topic import list_monitors  # noqa: PLC0415

    raise typer.Exit(list_monitors(brokers.settings, json_output=json_output))


def diff_file(
    *,
    file: File,
    brokers: Brokers,
    json_output: Json = False,
) -> None:
    """Print what applying a file would change; exit code 1 if anything."""
    from agents.monitors_topic import diff_monitors  # noqa: PLC0415

    raise typer.Exit(diff_monitors(brokers.settings, Path(file), json_output=json_output))


def print_schema() -> None:
    """Print the JSON Schema of monitors files, for editors that complete and check YAML.

    It tells misspelt keys and wrong types; `check` tells what makes no sense beyond that.
    """
    import json  # noqa: PLC0415

    from streams.monitors_schema import monitors_schema  # noqa: PLC0415

    print(json.dumps(monitors_schema(), indent=2))


GROUP = Group(
    "monitors",
    "Check what is to be watched, and change it while workers run.",
    Command(
        check_file,
        "driftline monitors check monitors.yaml",
        "driftline monitors check monitors.yaml --against events.jsonl.gz",
        "driftline monitors check m.yaml --against answers.csv --columns prediction=pred,…",
        name="check",
    ),
    Command(
        print_schema,
        "driftline monitors schema > monitors.schema.json",
        name="schema",
    ),
    Command(
        apply_file,
        "driftline monitors apply monitors.yaml --bootstrap-servers kafka:9092",
        "driftline monitors apply monitors.yaml --at 2026-01-31T12:00:00Z",
        name="apply",
    ),
    Command(
        list_specification,
        "driftline monitors list --bootstrap-servers kafka:9092",
        "driftline monitors list --json | jq .monitors",
        name="list",
    ),
    Command(
        diff_file,
        "driftline monitors diff monitors.yaml --bootstrap-servers kafka:9092",
        name="diff",
    ),
    Command(
        withdraw_specification,
        "driftline monitors withdraw --bootstrap-servers kafka:9092",
        name="withdraw",
    ),
)
