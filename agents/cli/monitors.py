"""``driftline monitors``: check what is to be watched."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agents.cli.command import Command, Group
from agents.cli.shared_options import (
    Columns,
    Horizon,
    Json,
    Missing,
    Window,
    empty_cells,
    settings_of,
)


def check_file(
    *,
    file: Annotated[str, typer.Argument(metavar="FILE", help="The monitors file.")],
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


GROUP = Group(
    "monitors",
    "Check what is to be watched.",
    Command(
        check_file,
        "driftline monitors check monitors.yaml",
        "driftline monitors check monitors.yaml --against events.jsonl.gz",
        "driftline monitors check m.yaml --against answers.csv --columns prediction=pred,…",
        name="check",
    ),
)
