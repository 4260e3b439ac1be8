"""``driftline replay``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agents.cli.command import Command
from agents.cli.shared_options import (
    CategoryKeyFile,
    Columns,
    ForgetAfter,
    Horizon,
    Json,
    MaxClasses,
    MaxModelFeatures,
    MaxModelSegments,
    Missing,
    MonitorsFile,
    Window,
    empty_cells,
    integer,
    settings_of,
)


def replay(
    *,
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="Recorded events.")],
    monitors: MonitorsFile = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where to write the results.")
    ] = None,
    window: Window = None,
    horizon: Horizon = None,
    partitions: Annotated[
        str, typer.Option(metavar="N", help="Partitions to pretend; results are the same.")
    ] = "1",
    disorder: Annotated[
        str | None,
        typer.Option(
            metavar="DURATION",
            help="How long detectors and rules wait for events that come out of order, as a worker "
            "would. Default: for all that there are.",
        ),
    ] = None,
    forget_after: ForgetAfter = None,
    max_classes: MaxClasses = None,
    max_model_features: MaxModelFeatures = None,
    max_model_segments: MaxModelSegments = None,
    columns: Columns = None,
    missing: Missing = None,
    category_key_file: CategoryKeyFile = None,
    dead_letters: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Where to write each record that cannot be used, and why."
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Where to write a page with charts of all of it, one HTML file. Needs: "
            "pip install 'driftline[web]'.",
        ),
    ] = None,
    json_output: Json = False,
) -> None:
    """Compute metrics and alerts of recorded events, without a broker.

    Exit code 3 if there are records and none of them can be used.
    """
    from agents.settings import read_option  # noqa: PLC0415

    settings = settings_of(
        {
            "monitors": monitors,
            "window": window,
            "horizon": horizon,
            "forget_after": forget_after,
            "max_classes": max_classes,
            "max_model_features": max_model_features,
            "max_model_segments": max_model_segments,
            "category_key_file": category_key_file,
        }
    )
    from agents.category_key import read_category_key  # noqa: PLC0415
    from agents.replay import run_replay  # noqa: PLC0415

    raise typer.Exit(
        run_replay(
            files,
            monitors=settings.monitors,
            out=out,
            window_ms=settings.window_ms,
            horizon_ms=settings.horizon_ms,
            partitions=integer("--partitions", partitions, 1, 10_000),
            disorder_ms=None if disorder is None else read_option("disorder", disorder),
            columns=columns,
            limits=settings.limits,
            json_output=json_output,
            missing=empty_cells(missing),
            dead_letters=dead_letters,
            forget_ms=settings.forget_ms,
            caps=settings.caps,
            report=report,
            category_key=read_category_key(settings.category_key_file),
        )
    )


COMMAND = Command(
    replay,
    "driftline replay events.jsonl.gz --out results --window 5m --horizon 1h",
    "driftline replay answers.csv --columns prediction=pred,label=truth,timestamp=at",
    "driftline replay answers.csv --report r.html --columns prediction=p,label=y,timestamp=at",
    "driftline replay old.jsonl --dead-letters refused.jsonl",
)
