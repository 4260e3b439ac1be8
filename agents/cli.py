"""The command line. Commands are thin: they read settings, call one function, set the exit code.

Imports are inside the commands, so that ``driftline version`` does not load Kafka and numpy.
Errors of the user are one line on standard error and exit code 2.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from agents.settings import Settings


def _examples(*lines: str) -> str:
    return "\n\n".join(["Examples:", *(f"`{line}`" for line in lines)])


app = typer.Typer(
    name="driftline",
    help="Watch machine-learning models in production, per event, on Kafka.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
topics_app = typer.Typer(
    help="Create the topics of an installation, check them, or start anew.", no_args_is_help=True
)
tail_app = typer.Typer(
    help="Print metrics, alerts or dead letters as they come.", no_args_is_help=True
)
app.add_typer(topics_app, name="topics")
app.add_typer(tail_app, name="tail")
monitors_app = typer.Typer(help="Check what is to be watched.", no_args_is_help=True)
app.add_typer(monitors_app, name="monitors")

Servers = Annotated[
    str | None,
    typer.Option(metavar="HOST:PORT[,…]", help="Kafka brokers. Default: localhost:9092."),
]
Prefix = Annotated[
    str | None, typer.Option(help="First part of every topic's name. Default: driftline.")
]
Kafka = Annotated[
    list[str] | None,
    typer.Option(metavar="KEY=VALUE", help="A librdkafka setting, for TLS or SASL; repeatable."),
]
Window = Annotated[
    str | None, typer.Option(metavar="DURATION", help="Length of a metric window. Default: 5m.")
]
Horizon = Annotated[
    str | None,
    typer.Option(metavar="DURATION", help="How long a label is waited for. Default: 1h."),
]
MonitorsFile = Annotated[
    str | None, typer.Option(metavar="FILE", help="What to watch, in YAML. Default: everything.")
]
Columns = Annotated[
    str | None,
    typer.Option(
        metavar="NAME=COLUMN,…", help="Columns of a table: prediction=…,label=…,timestamp=…"
    ),
]
Missing = Annotated[
    str | None,
    typer.Option(
        metavar="TEXT,…",
        help="Cells of a table that are read as empty. Default: NA, NULL, None, NaN and the "
        "like; '' for empty ones alone.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]


@app.command(
    epilog=_examples(
        "driftline worker --bootstrap-servers kafka:9092",
        "driftline worker --bootstrap-servers kafka:9092 --window 1m --monitors m.yaml",
        "driftline worker --bootstrap-servers kafka-1:9092,kafka-2:9092 --session-timeout 20s",
        "driftline worker --kafka security.protocol=sasl_ssl --kafka sasl.username=me …",
    )
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
    settings = _settings(values, kafka=extra, embedded=in_process)
    from agents.app import run_worker  # noqa: PLC0415

    run_worker(settings)


@topics_app.command(
    "create",
    epilog=_examples(
        "driftline topics create --bootstrap-servers kafka:9092 --partitions 16",
        "driftline topics create --partitions 4 --replication-factor 3 --json",
    ),
)
def topics_create(
    *,
    bootstrap_servers: Servers = None,
    prefix: Prefix = None,
    partitions: Annotated[str, typer.Option(metavar="N", help="Partitions of every topic.")] = "4",
    replication_factor: Annotated[
        str,
        typer.Option(
            metavar="N",
            help="Copies of every topic; -1 is the broker's default. From 3 on, two brokers must "
            "have a record before it counts as written (min.insync.replicas).",
        ),
    ] = "-1",
    kafka: Kafka = None,
    json_output: Json = False,
) -> None:
    """Create the topics that are missing; run it again as often as you like."""
    settings = _settings({"bootstrap_servers": bootstrap_servers, "prefix": prefix}, kafka=kafka)
    from agents.topics_admin import Created, create  # noqa: PLC0415

    def show(one: Created) -> None:
        if not json_output:
            verb = "created" if one.new else "exists "
            typer.echo(f"{verb} {one.name} ({one.partitions} partitions)")

    results = create(
        settings,
        _integer("--partitions", partitions, 1, 10_000),
        _integer("--replication-factor", replication_factor, -1, 100),
        progress=show,
    )
    if json_output:
        _print_json([one._asdict() for one in results])


@topics_app.command(
    "check",
    epilog=_examples(
        "driftline topics check --bootstrap-servers kafka:9092",
        "driftline topics check --sample",
    ),
)
def topics_check(
    *,
    bootstrap_servers: Servers = None,
    prefix: Prefix = None,
    sample: Annotated[
        bool,
        typer.Option(
            "--sample",
            help="Read some records: are predictions and labels sent to the same partitions?",
        ),
    ] = False,
    kafka: Kafka = None,
    json_output: Json = False,
) -> None:
    """Check that all topics are there and fit together; exit code 2 if not."""
    settings = _settings({"bootstrap_servers": bootstrap_servers, "prefix": prefix}, kafka=kafka)
    from agents.topics_admin import check  # noqa: PLC0415

    counts = check(settings)
    if not json_output:
        for name, count in counts.items():
            typer.echo(f"{name} ({count} partitions)")
    if sample:
        from agents.key_sample import check_sample, describe  # noqa: PLC0415
        from streams.topics import Topics  # noqa: PLC0415

        keys = check_sample(settings, partitions=counts[Topics(settings.prefix).predictions])
        if not json_output:
            typer.echo(describe(keys))
    if json_output:
        _print_json(counts)
        return
    typer.echo("all topics are there and fit together")


@topics_app.command(
    "reset",
    epilog=_examples(
        "driftline topics reset --bootstrap-servers kafka:9092",
        "driftline topics reset --keep-results --yes --json",
    ),
)
def topics_reset(
    *,
    bootstrap_servers: Servers = None,
    prefix: Prefix = None,
    keep_results: Annotated[
        bool,
        typer.Option("--keep-results", help="Leave metrics, alerts and dead letters as they are."),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    kafka: Kafka = None,
    json_output: Json = False,
) -> None:
    """Start anew: forget what workers have read and remember, and read the inputs again.

    Says first what will be lost, and asks. Topics are deleted and made again with the same number
    of partitions, replicas and configuration. Nothing is done while workers are alive.
    """
    settings = _settings({"bootstrap_servers": bootstrap_servers, "prefix": prefix}, kafka=kafka)
    from agents.topics_reset import plan, reset  # noqa: PLC0415

    planned = plan(settings, keep_results=keep_results)
    for line in planned.lines():
        typer.echo(line, err=json_output)
    if not yes and not typer.confirm("Start anew?", err=json_output):
        typer.echo("nothing was changed", err=json_output)
        raise typer.Abort
    reset(planned, progress=lambda line: typer.echo(line, err=json_output))
    if json_output:
        _print_json(
            {
                "group": settings.group,
                "emptied": [topic._asdict() for topic in planned.emptied],
                "inputs": [topic._asdict() for topic in planned.inputs],
            }
        )


@topics_app.command(
    "acls",
    epilog=_examples(
        "driftline topics acls --bootstrap-servers kafka:9092 > acls.sh",
        "driftline topics acls --prefix acme --alerts-group pager --json",
    ),
)
def topics_acls(
    *,
    bootstrap_servers: Servers = None,
    prefix: Prefix = None,
    alerts_group: Annotated[
        str | None,
        typer.Option(metavar="GROUP", help="The group_id of the alert consumer. Default: none."),
    ] = None,
    json_output: Json = False,
) -> None:
    """Print a script for `kafka-acls.sh` that gives each part the rights it needs, no more.

    Variables say who gets them (`WORKER=User:fraud-worker`), and with which client properties the
    script logs in (`ADMIN_CONFIG=admin.properties`). Nothing is asked of Kafka.
    """
    settings = _settings({"bootstrap_servers": bootstrap_servers, "prefix": prefix})
    from agents.acls import grants, shell_script  # noqa: PLC0415

    wanted = grants(settings.prefix, alerts_group=alerts_group)
    if json_output:
        _print_json([grant._asdict() for grant in wanted])
        return
    for line in shell_script(wanted, settings):
        typer.echo(line)


FromBeginning = Annotated[
    bool, typer.Option("--from-beginning", help="Begin with the oldest record that is kept.")
]
Model = Annotated[str | None, typer.Option(help="Only this model.")]
Follow = Annotated[bool, typer.Option(help="Go on, or stop at the end of what is there.")]


@tail_app.command(
    "metrics",
    epilog=_examples(
        "driftline tail metrics --bootstrap-servers kafka:9092 --model fraud",
        "driftline tail metrics --from-beginning --no-follow --json > metrics.jsonl",
    ),
)
def tail_metrics(
    *,
    bootstrap_servers: Servers = None,
    prefix: Prefix = None,
    model: Model = None,
    from_beginning: FromBeginning = False,
    follow: Follow = True,
    kafka: Kafka = None,
    json_output: Json = False,
) -> None:
    """Print metric records as they come."""
    _tail("metrics", **locals())


@tail_app.command(
    "alerts",
    epilog=_examples(
        "driftline tail alerts --bootstrap-servers kafka:9092",
        "driftline tail alerts --from-beginning --no-follow --json | jq .message",
    ),
)
def tail_alerts(
    *,
    bootstrap_servers: Servers = None,
    prefix: Prefix = None,
    model: Model = None,
    from_beginning: FromBeginning = False,
    follow: Follow = True,
    kafka: Kafka = None,
    json_output: Json = False,
) -> None:
    """Print alerts as they come."""
    _tail("alerts", **locals())


@tail_app.command(
    "dlq",
    epilog=_examples(
        "driftline tail dlq --bootstrap-servers kafka:9092",
        "driftline tail dlq --from-beginning --no-follow --json | jq -r .reason | sort | uniq -c",
    ),
)
def tail_dlq(
    *,
    bootstrap_servers: Servers = None,
    prefix: Prefix = None,
    model: Model = None,
    from_beginning: FromBeginning = False,
    follow: Follow = True,
    kafka: Kafka = None,
    json_output: Json = False,
) -> None:
    """Print records that could not be used, where they were, and why."""
    _tail("dlq", **locals())


def _tail(
    kind: str,
    *,
    bootstrap_servers: str | None,
    prefix: str | None,
    model: str | None,
    from_beginning: bool,
    follow: bool,
    kafka: list[str] | None,
    json_output: bool,
) -> NoReturn:
    settings = _settings({"bootstrap_servers": bootstrap_servers, "prefix": prefix}, kafka=kafka)
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


@monitors_app.command(
    "check",
    epilog=_examples(
        "driftline monitors check monitors.yaml",
        "driftline monitors check monitors.yaml --against events.jsonl.gz",
        "driftline monitors check m.yaml --against answers.csv --columns prediction=pred,…",
    ),
)
def monitors_check(
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
    settings = _settings({"monitors": file, "window": window, "horizon": horizon})
    from agents.monitors_check import check_monitors  # noqa: PLC0415

    assert settings.monitors is not None
    raise typer.Exit(
        check_monitors(
            settings.monitors,
            against=against or [],
            columns=columns,
            missing=_missing(missing),
            settings=settings,
            json_output=json_output,
        )
    )


@app.command(
    epilog=_examples(
        "driftline replay events.jsonl.gz --out results --window 5m --horizon 1h",
        "driftline replay answers.csv --columns prediction=pred,label=truth,timestamp=at",
        "driftline replay old.jsonl --dead-letters refused.jsonl",
    )
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
    columns: Columns = None,
    missing: Missing = None,
    dead_letters: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Where to write each record that cannot be used, and why."
        ),
    ] = None,
    json_output: Json = False,
) -> None:
    """Compute metrics and alerts of recorded events, without a broker.

    Exit code 3 if there are records and none of them can be used.
    """
    from agents.settings import read_option  # noqa: PLC0415

    settings = _settings({"monitors": monitors, "window": window, "horizon": horizon})
    from agents.replay import run_replay  # noqa: PLC0415

    raise typer.Exit(
        run_replay(
            files,
            monitors=settings.monitors,
            out=out,
            window_ms=settings.window_ms,
            horizon_ms=settings.horizon_ms,
            partitions=_integer("--partitions", partitions, 1, 10_000),
            disorder_ms=None if disorder is None else read_option("disorder", disorder),
            columns=columns,
            limits=settings.limits,
            json_output=json_output,
            missing=_missing(missing),
            dead_letters=dead_letters,
        )
    )


@app.command(
    epilog=_examples(
        "driftline status",
        "driftline status --costs 127.0.0.1:9464 127.0.0.1:9465",
        "driftline status --json | jq '.[].unready'",
    )
)
def status(
    *,
    addresses: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[HOST:PORT…]",
            help="Where workers answer Prometheus. Default: 127.0.0.1, ports 9464 to 9473.",
            show_default=False,
        ),
    ] = None,
    costs: Annotated[
        bool, typer.Option("--costs", help="What work, monitors and models cost, too.")
    ] = False,
    json_output: Json = False,
) -> None:
    """Ask running workers how they are, and what models and monitors cost them."""
    from agents.status import ask, ask_here, show  # noqa: PLC0415

    found = [ask(address) for address in addresses] if addresses else ask_here()
    show(found, costs=costs, json_output=json_output)


@app.command(epilog=_examples("driftline demo", "driftline demo --seconds 15 --json"))
def demo(
    *,
    seconds: Annotated[
        str | None, typer.Option(metavar="N", help="How long the traffic takes.")
    ] = None,
    json_output: Json = False,
) -> None:
    """Show it all in less than a minute: a broker, a worker, a model that goes wrong."""
    from agents.demo import run_demo  # noqa: PLC0415

    length = None if seconds is None else _integer("--seconds", seconds, 1, 3_600)
    raise typer.Exit(run_demo(seconds=length, json_output=json_output))


@app.command(epilog=_examples("driftline version"))
def version(json_output: Json = False) -> None:
    """Print the version."""
    from agents.version import installed_version  # noqa: PLC0415

    number = installed_version()
    if json_output:
        _print_json({"version": number})
    else:
        typer.echo(f"driftline {number}")


def _settings(
    values: dict[str, str | None], *, kafka: list[str] | None = None, embedded: bool = False
) -> Settings:
    from agents.settings import resolve  # noqa: PLC0415

    return resolve(values, environ=os.environ, kafka=tuple(kafka or ()), embedded=embedded)


def _missing(text: str | None) -> Sequence[str]:
    from agents.cells import MISSING  # noqa: PLC0415

    return MISSING if text is None else text.split(",")


def _integer(option: str, text: str, lowest: int, highest: int) -> int:
    from agents.options import integer  # noqa: PLC0415

    return integer(lowest, highest)(text, option)


def _print_json(value: object) -> None:
    import json  # noqa: PLC0415

    typer.echo(json.dumps(value, indent=2))


def main() -> NoReturn:
    """Run the command line and exit."""
    from agents.exits import EXIT_UNEXPECTED  # noqa: PLC0415
    from streams.errors import ConfigError, NoAnswerError  # noqa: PLC0415

    for stream in (sys.stdout, sys.stderr):  # a terminal that has no é is no reason to end
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        code = app(prog_name="driftline", standalone_mode=False)
    except NoAnswerError as error:
        _fail(str(error), code=EXIT_UNEXPECTED)
    except ConfigError as error:
        _fail(str(error))
    except (typer.Abort, KeyboardInterrupt):
        sys.exit(130)
    except Exception as error:
        _fail_usage(error)
        raise
    sys.exit(code if isinstance(code, int) else 0)


def _fail_usage(error: Exception) -> None:
    """Report errors of the command line itself, such as unknown options; others are not ours."""
    message = getattr(error, "format_message", None)
    if message is not None:
        context = getattr(error, "ctx", None)
        hint = f"; see: {context.command_path} --help" if context is not None else ""
        text = message()
        if text:
            _fail(f"{text.rstrip('.')}{hint}")
        sys.exit(2)


def _fail(message: str, *, code: int = 2) -> NoReturn:
    from agents.printable import printable  # noqa: PLC0415

    sys.stderr.write(f"driftline: {printable(message)}\n")
    sys.exit(code)


if __name__ == "__main__":
    main()
