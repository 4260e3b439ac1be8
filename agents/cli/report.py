"""``driftline report``: the page in one file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agents.cli.command import Command

History = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="Where `driftline sink sql` writes: a SQLite file, or postgresql://… Default: "
        "DRIFTLINE_HISTORY of the environment, or driftline-history.db.",
    ),
]
Models = Annotated[
    list[str] | None,
    typer.Option(
        "--model", help="Only this one; repeatable. Default: ten, those in trouble first."
    ),
]
Out = Annotated[Path, typer.Option(metavar="FILE", help="Where to write it.")]
At = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="As of a time, such as 10:00 (UTC) or 2026-11-29T10:00."),
]
Range = Annotated[
    str, typer.Option("--range", metavar="DURATION", help="How far back from the newest window.")
]


def report(
    *,
    history: History = None,
    models: Models = None,
    out: Out = Path("driftline-report.html"),
    at: At = None,
    time_range: Range = "7d",
) -> None:
    """Write what the page shows into one HTML file, which opens from disk and asks nobody.

    Of a recording: `driftline replay FILE --report out.html`. Needs: pip install 'driftline[web]'.
    """
    from agents.sinks.sql import needed  # noqa: PLC0415

    needed()
    import os  # noqa: PLC0415
    from datetime import UTC, datetime  # noqa: PLC0415

    from agents.history import database  # noqa: PLC0415
    from agents.history.times import parse_time_ms  # noqa: PLC0415
    from agents.report.make import of_history  # noqa: PLC0415
    from agents.sinks.contract import AwayError  # noqa: PLC0415
    from streams.durations import parse_duration_ms  # noqa: PLC0415
    from streams.errors import ConfigError  # noqa: PLC0415

    try:
        views = of_history(
            history or os.environ.get(database.VARIABLE) or database.DEFAULT,
            out,
            models=models or [],
            at_ms=None if at is None else parse_time_ms(at, now=datetime.now(UTC)),
            range_ms=parse_duration_ms(time_range, setting="--range"),
        )
    except AwayError as error:  # the page asks again, but this is asked once
        raise ConfigError(f"--history: {error}") from None
    print(f"{out}: {views} views")


COMMAND = Command(
    report,
    "driftline report --history history.db --out report.html",
    "driftline report --history postgresql://driftline@db/driftline --model fraud --range 30d",
    "driftline report --at 2026-11-29T10:00 --model fraud --model churn",
)
