"""``driftline topics``: create the topics of an installation, check them, or start anew."""

from __future__ import annotations

from typing import Annotated

import typer

from agents.cli.command import Command, Group
from agents.cli.shared_options import Json, Kafka, Prefix, Servers, integer, print_json, settings_of


def _counted(partitions: int) -> str:
    return "1 partition" if partitions == 1 else f"{partitions} partitions"


def create_topics(
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
    metrics_retention: Annotated[
        str,
        typer.Option(
            metavar="DURATION",
            help="How long the topic of metrics keeps windows, 8d to 3650d; a history in SQL has "
            "its own retention. For a topic that is new.",
        ),
    ] = "35d",
    kafka: Kafka = None,
    json_output: Json = False,
) -> None:
    """Create the topics that are missing; run it again as often as you like.

    Topics of results that exist are told to keep every revision for seven days, if they do not.
    """
    settings = settings_of({"bootstrap_servers": bootstrap_servers, "prefix": prefix}, kafka=kafka)
    from agents.options import duration  # noqa: PLC0415
    from agents.topics_admin import Created, create  # noqa: PLC0415

    metrics_ms = duration("8d", "3650d")(metrics_retention, "--metrics-retention")

    def show(one: Created) -> None:
        if not json_output:
            verb = "created" if one.new else "exists "
            typer.echo(f"{verb} {one.name} ({_counted(one.partitions)})")
            for key, value in one.altered.items():
                typer.echo(f"        now with {key}={value}")

    results = create(
        settings,
        integer("--partitions", partitions, 1, 10_000),
        integer("--replication-factor", replication_factor, -1, 100),
        metrics_ms=metrics_ms,
        progress=show,
    )
    if json_output:
        print_json([one._asdict() for one in results])


def check_topics(
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
    settings = settings_of({"bootstrap_servers": bootstrap_servers, "prefix": prefix}, kafka=kafka)
    from agents.topics_admin import check  # noqa: PLC0415

    counts = check(settings)
    if not json_output:
        for name, count in counts.items():
            typer.echo(f"{name} ({_counted(count)})")
    if sample:
        from agents.key_sample import check_sample, describe  # noqa: PLC0415
        from streams.topics import Topics  # noqa: PLC0415

        keys = check_sample(settings, partitions=counts[Topics(settings.prefix).predictions])
        if not json_output:
            typer.echo(describe(keys))
    if json_output:
        print_json(counts)
        return
    typer.echo("all topics are there and fit together")


def reset_topics(
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
    settings = settings_of({"bootstrap_servers": bootstrap_servers, "prefix": prefix}, kafka=kafka)
    from agents.topics_reset import plan, reset  # noqa: PLC0415

    planned = plan(settings, keep_results=keep_results)
    for line in planned.lines():
        typer.echo(line, err=json_output)
    if not yes and not typer.confirm("Start anew?", err=json_output):
        typer.echo("nothing was changed", err=json_output)
        raise typer.Abort
    reset(planned, progress=lambda line: typer.echo(line, err=json_output))
    if json_output:
        print_json(
            {
                "group": settings.group,
                "emptied": [topic._asdict() for topic in planned.emptied],
                "inputs": [topic._asdict() for topic in planned.inputs],
            }
        )


def print_acls(
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
    settings = settings_of({"bootstrap_servers": bootstrap_servers, "prefix": prefix})
    from agents.acls import grants, shell_script  # noqa: PLC0415

    wanted = grants(settings.prefix, alerts_group=alerts_group)
    if json_output:
        print_json([grant._asdict() for grant in wanted])
        return
    for line in shell_script(wanted, settings):
        typer.echo(line)


GROUP = Group(
    "topics",
    "Create the topics of an installation, check them, or start anew.",
    Command(
        create_topics,
        "driftline topics create --bootstrap-servers kafka:9092 --partitions 16",
        "driftline topics create --partitions 4 --replication-factor 3 --json",
        name="create",
    ),
    Command(
        check_topics,
        "driftline topics check --bootstrap-servers kafka:9092",
        "driftline topics check --sample",
        name="check",
    ),
    Command(
        reset_topics,
        "driftline topics reset --bootstrap-servers kafka:9092",
        "driftline topics reset --keep-results --yes --json",
        name="reset",
    ),
    Command(
        print_acls,
        "driftline topics acls --bootstrap-servers kafka:9092 > acls.sh",
        "driftline topics acls --prefix acme --alerts-group pager --json",
        name="acls",
    ),
)
