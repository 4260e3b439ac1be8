"""``driftline profile``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agents.cli.command import Command
from agents.cli.shared_options import Columns, Json, Missing, OneModel, empty_cells


def profile(
    *,
    files: Annotated[list[Path], typer.Argument(metavar="TABLE…", help="Recorded predictions.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="Where to write the profile.")],
    model: OneModel = None,
    version: Annotated[
        str | None, typer.Option(help="Of this version alone. Default: all of them together.")
    ] = None,
    segments: Annotated[
        bool, typer.Option("--segments/--no-segments", help="Every segment, too, or all rows only.")
    ] = True,
    columns: Columns = None,
    missing: Missing = None,
    json_output: Json = False,
) -> None:
    """Count a table of predictions, so that windows can be compared with it.

    It is counted as windows are, and written as JSON: counts in fine bins, of texts nothing but
    hashes. `baseline: {file: FILE}` in the monitors file compares windows with it. Tables are read
    as by `replay`; labels are not needed. Exit code 3 if no prediction can be used.
    """
    from agents.profiles import run_profile  # noqa: PLC0415

    raise typer.Exit(
        run_profile(
            files,
            out=out,
            model=model,
            version=version,
            segments=segments,
            columns=columns,
            missing=empty_cells(missing),
            json_output=json_output,
        )
    )


COMMAND = Command(
    profile,
    "driftline profile training.parquet --out ref.json --columns prediction=y_hat,timestamp=at,…",
    "driftline profile events.jsonl.gz --out ref.json --model fraud --version 7",
)
