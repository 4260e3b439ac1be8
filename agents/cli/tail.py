"""``driftline tail``: print metrics, alerts, actions or dead letters as they come."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, NamedTuple

import typer

from agents.cli.command import Command, Group
from agents.cli.shared_options import Brokers, Json

FromBeginning = Annotated[
    bool, typer.Option("--from-beginning", help="Begin with the oldest record that is kept.")
]
Since = Annotated[
    str | None,
    typer.Option(metavar="DURATION", help="Begin with what was written so long ago, such as 1h."),
]
Latest = Annotated[
    bool,
    typer.Option(
        "--latest", help="Only the last of each there is now, without deleted ones; then stop."
    ),
]
Model = Annotated[str | None, typer.Option(help="Only this model.")]
Metric = Annotated[str | None, typer.Option(help="Only this metric.")]
Segment = Annotated[
    str | None, typer.Option(metavar="NAME=VALUE", help="Only this segment; '' is all traffic.")
]
Window = Annotated[
    str | None, typer.Option(metavar="DURATION", help="Only windows of this length.")
]
Final = Annotated[
    bool,
    typer.Option("--final", help="Only values that labels can change no more, and deletions."),
]
Follow = Annotated[bool, typer.Option(help="Go on, or stop at the end of what is there.")]


class Span(NamedTuple):
    """From where on records are printed, and until when."""

    since: Since = None
    from_beginning: FromBeginning = False
    follow: Follow = True


def _metrics(
    *,
    model: Model = None,
    metric: Metric = None,
    segment: Segment = None,
    window: Window = None,
    final: Final = False,
    latest: Latest = False,
    span: Span,
    brokers: Brokers,
    json_output: Json = False,
) -> None:
    """Print metric records as they come, and which were deleted."""
    chosen: dict[str, Any] = {"model": model, "metric": metric, "segment": segment, "final": final}
    if window is not None:
        chosen["window_ms"] = _duration_ms(window, "--window")
    _tail(
        "metrics",
        span,
        brokers=brokers,
        chosen=chosen,
        latest=latest,
        json_output=json_output,
    )


def _of_models(kind: str, what: str) -> Callable[..., None]:
    """Return the command for what has a model and a segment, and is there until it is deleted."""

    def command(
        *,
        model: Model = None,
        segment: Segment = None,
        latest: Latest = False,
        span: Span,
        brokers: Brokers,
        json_output: Json = False,
    ) -> None:
        _tail(
            kind,
            span,
            brokers=brokers,
            chosen={"model": model, "segment": segment},
            latest=latest,
            json_output=json_output,
        )

    command.__doc__ = what
    return command


def _dead_letters(
    *,
    model: Model = None,
    span: Span,
    brokers: Brokers,
    json_output: Json = False,
) -> None:
    """Print records that could not be used, where they were, and why."""
    _tail(
        "dlq",
        span,
        brokers=brokers,
        chosen={"model": model},
        json_output=json_output,
    )


def _tail(kind: str, span: Span, *, brokers: Brokers, chosen: dict[str, Any], **how: bool) -> None:
    import time  # noqa: PLC0415

    settings = brokers.settings
    since_ms = None
    if span.since is not None:
        since_ms = time.time_ns() // 1_000_000 - _duration_ms(span.since, "--since")
    how |= {"from_beginning": span.from_beginning, "follow": span.follow}
    from agents.tail import Selection, tail  # noqa: PLC0415

    raise typer.Exit(
        tail(settings, kind=kind, selection=Selection(**chosen), since_ms=since_ms, **how)
    )


def _duration_ms(text: str, option: str) -> int:
    from streams.durations import parse_duration_ms  # noqa: PLC0415

    return parse_duration_ms(text, setting=option)


GROUP = Group(
    "tail",
    "Print metrics, alerts, actions or dead letters as they come.",
    Command(
        _metrics,
        "driftline tail metrics --bootstrap-servers kafka:9092 --model fraud",
        "driftline tail metrics --latest --final --metric accuracy --segment '' --window 5m",
        "driftline tail metrics --since 1h --no-follow --json > metrics.jsonl",
        name="metrics",
    ),
    Command(
        _of_models("alerts", "Print alerts as they come."),
        "driftline tail alerts --bootstrap-servers kafka:9092",
        "driftline tail alerts --from-beginning --no-follow --json | jq .message",
        "driftline tail alerts --latest --model fraud",
        name="alerts",
    ),
    Command(
        _of_models("actions", "Print what alerts ask for as it comes."),
        "driftline tail actions --bootstrap-servers kafka:9092",
        "driftline tail actions --from-beginning --no-follow --json | jq .action",
        name="actions",
    ),
    Command(
        _dead_letters,
        "driftline tail dlq --bootstrap-servers kafka:9092",
        "driftline tail dlq --from-beginning --no-follow --json | jq -r .reason | sort | uniq -c",
        name="dlq",
    ),
)
