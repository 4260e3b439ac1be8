"""Every command, in the order of ``driftline --help``: a new one is a file and a line here."""

from __future__ import annotations

import typer

from agents.cli import (
    alerts,
    asof,
    demo,
    diff,
    models,
    monitors,
    profile,
    replay,
    report,
    sink,
    status,
    tail,
    topics,
    tune,
    version,
    watch_host,
    web,
    worker,
)

CATALOGUE = (
    worker.COMMAND,
    replay.COMMAND,
    tune.COMMAND,
    profile.COMMAND,
    watch_host.COMMAND,
    status.COMMAND,
    web.COMMAND,
    report.COMMAND,
    demo.COMMAND,
    version.COMMAND,
    topics.GROUP,
    tail.GROUP,
    alerts.GROUP,
    asof.COMMAND,
    diff.COMMAND,
    sink.GROUP,
    monitors.GROUP,
    models.GROUP,
)

app = typer.Typer(
    name="driftline",
    help="Watch machine-learning models in production, per event, on Kafka.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
for entry in CATALOGUE:
    entry.add_to(app)
