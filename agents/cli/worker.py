"""``driftline worker``."""

from __future__ import annotations

from typing import Annotated

import typer

from agents.cli.command import Command
from agents.cli.shared_options import (
    CategoryKeyFile,
    ForgetAfter,
    Horizon,
    Kafka,
    MaxClasses,
    MaxModelFeatures,
    MaxModelSegments,
    MonitorsFile,
    Prefix,
    Servers,
    Window,
    settings_of,
)


def worker(
    *,
    bootstrap_servers: Servers = None,
    prefix: Prefix = None,
    window: Window = None,
    horizon: Horizon = None,
    disorder: Annotated[
        str | None,
        typer.Option(
            metavar="DURATION",
            help="How long detectors and rules wait for events that come out of order; later "
            "ones only revise metrics. Default: 5s.",
        ),
    ] = None,
    forget_after: ForgetAfter = None,
    idle_timeout: Annotated[
        str | None,
        typer.Option(
            metavar="DURATION",
            help="A quiet input stops holding back the clock after this. Default: 5s.",
        ),
    ] = None,
    tick_after: Annotated[
        str | None,
        typer.Option(
            metavar="DURATION",
            help="Where nothing at all comes, windows become final by the time that passes, from"
            " then on. Default: 1m.",
        ),
    ] = None,
    monitors: MonitorsFile = None,
    worker_id: Annotated[
        str | None,
        typer.Option(help="Identity of this worker, unique among those that run. Default: random."),
    ] = None,
    category_key_file: CategoryKeyFile = None,
    metrics_host: Annotated[
        str | None, typer.Option(help="Address for Prometheus. Default: 127.0.0.1.")
    ] = None,
    metrics_port: Annotated[
        str | None,
        typer.Option(
            metavar="PORT",
            help="Port for it; 0 is off. Default: auto, 9464 or the next one that is free.",
        ),
    ] = None,
    join_commit_interval: Annotated[
        str | None, typer.Option(metavar="DURATION", help="Between commits. Default: 100ms.")
    ] = None,
    monitor_commit_interval: Annotated[
        str | None, typer.Option(metavar="DURATION", help="Between results. Default: 200ms.")
    ] = None,
    metrics_linger: Annotated[
        str | None,
        typer.Option(
            metavar="DURATION",
            help="A window that has changed is published again after so long, as far as its "
            "numbers moved. Default: 2s.",
        ),
    ] = None,
    metrics_refresh: Annotated[
        str | None,
        typer.Option(
            metavar="DURATION", help="Numbers that hardly moved, after so long. Default: 30s."
        ),
    ] = None,
    session_timeout: Annotated[
        str | None,
        typer.Option(
            metavar="DURATION", help="A worker silent this long is given up. Default: 10s."
        ),
    ] = None,
    stall_timeout: Annotated[
        str | None,
        typer.Option(
            metavar="DURATION",
            help="A worker that makes no progress for this long ends itself. Default: 1m.",
        ),
    ] = None,
    memory_budget: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE",
            help="A worker that uses this much memory ends itself, such as 2GiB; 0 is off. "
            "Default: auto, nine tenths of the container's limit or the host's memory.",
        ),
    ] = None,
    max_classes: MaxClasses = None,
    max_model_features: MaxModelFeatures = None,
    max_model_segments: MaxModelSegments = None,
    max_record_bytes: Annotated[
        str | None,
        typer.Option(metavar="N", help="Larger records are dead letters. Default: 1000000."),
    ] = None,
    max_name_bytes: Annotated[
        str | None,
        typer.Option(
            metavar="N",
            help="Longer ids and names of models are dead letters, longer names of features, "
            "segments and scores are left out. Default: 256.",
        ),
    ] = None,
    max_features: Annotated[
        str | None,
        typer.Option(
            metavar="N", help="More features of a prediction are left out. Default: 1000."
        ),
    ] = None,
    max_segments: Annotated[
        str | None,
        typer.Option(metavar="N", help="More segments of a prediction are left out. Default: 16."),
    ] = None,
    max_scores: Annotated[
        str | None,
        typer.Option(metavar="N", help="More entries of scores are left out. Default: 1000."),
    ] = None,
    kafka: Kafka = None,
    embedded: Annotated[bool, typer.Option("--embedded", hidden=True)] = False,
) -> None:
    """Join predictions with labels, and publish metrics and alerts.

    Run as many workers as you like, up to the number of partitions; each is started the same way.
    Every option can also be set as an environment variable (`--window` is `DRIFTLINE_WINDOW`) or in
    the `settings` section of the monitors file.
    """
    values = dict(locals())
    extra, in_process = values.pop("kafka"), values.pop("embedded")
    settings = settings_of(values, kafka=extra, embedded=in_process)
    from agents.app import run_worker  # noqa: PLC0415

    run_worker(settings)


COMMAND = Command(
    worker,
    "driftline worker --bootstrap-servers kafka:9092",
    "driftline worker --bootstrap-servers kafka:9092 --window 1m --monitors m.yaml",
    "driftline worker --bootstrap-servers kafka-1:9092,kafka-2:9092 --session-timeout 20s",
    "driftline worker --kafka security.protocol=sasl_ssl --kafka sasl.username=me …",
)
