"""``driftline tune``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agents.cli.command import Command
from agents.cli.shared_options import (
    Columns,
    ForgetAfter,
    Horizon,
    Json,
    Missing,
    Window,
    empty_cells,
    integer,
    settings_of,
)

if TYPE_CHECKING:
    from agents.tuning import Limits, Wish

_MOST = 1_000_000_000


def tune(
    *,
    files: Annotated[list[Path], typer.Argument(metavar="EVENTS…", help="Recorded events.")],
    monitors: Annotated[str, typer.Option(metavar="FILE", help="The new monitors file.")],
    against: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The old one. Default: the default monitors."),
    ] = None,
    verdicts: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|URL",
            help="What was said of alerts: JSON lines, or a history as `driftline sink sql` "
            "writes it.",
        ),
    ] = None,
    fail_on: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CHANGE",
            help="Exit code 4 if any alarm is gained, lost, moved, changed (any of these) or "
            "lost-true; repeatable.",
        ),
    ] = None,
    most_gained: Annotated[
        str | None, typer.Option(metavar="N", help="Exit code 4 if more are gained.")
    ] = None,
    most_lost: Annotated[
        str | None, typer.Option(metavar="N", help="Exit code 4 if more are lost.")
    ] = None,
    within: Annotated[
        str,
        typer.Option(
            metavar="DURATION", help="Alarms so near to each other are one that has moved."
        ),
    ] = "1d",
    propose: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Propose another limit for this rule of the new file."),
    ] = None,
    alarms: Annotated[
        str | None,
        typer.Option(metavar="N", help="With so many alarms a month at most. Default: 1."),
    ] = None,
    window: Window = None,
    horizon: Horizon = None,
    forget_after: ForgetAfter = None,
    columns: Columns = None,
    missing: Missing = None,
    json_output: Json = False,
) -> None:
    """Tell which alarms other monitors would have raised over recorded events.

    Replays the events with the old and the new monitors, and prints, by monitor and model, how many
    alarms are gained, lost, or come sooner or later.
    """
    settings = settings_of(
        {
            "monitors": monitors,
            "window": window,
            "horizon": horizon,
            "forget_after": forget_after,
        }
    )
    limits = _limits(fail_on or [], most_gained, most_lost)
    wish = _wish(propose, alarms)
    from agents.tuning import run_tune  # noqa: PLC0415
    from agents.verdicts_read import verdicts_of  # noqa: PLC0415

    raise typer.Exit(
        run_tune(
            files,
            against=against,
            verdicts={} if verdicts is None else verdicts_of(verdicts),
            within_ms=_duration_ms(within),
            limits=limits,
            wish=wish,
            columns=columns,
            missing=empty_cells(missing),
            settings=settings,
            json_output=json_output,
        )
    )


def _duration_ms(text: str) -> int:
    from streams.durations import parse_duration_ms  # noqa: PLC0415

    return parse_duration_ms(text, setting="--within")


def _limits(fails_on: list[str], most_gained: str | None, most_lost: str | None) -> Limits:
    from agents.tuning import CHANGES, Limits  # noqa: PLC0415
    from streams.errors import ConfigError  # noqa: PLC0415

    for one in fails_on:
        if one not in CHANGES:
            raise ConfigError(f"--fail-on: {one!r} must be one of {', '.join(CHANGES)}")
    gained, lost = (
        None if text is None else integer(option, text, 0, _MOST)
        for option, text in (("--most-gained", most_gained), ("--most-lost", most_lost))
    )
    return Limits(frozenset(fails_on), gained, lost)


def _wish(name: str | None, alarms: str | None) -> Wish | None:
    from agents.tuning import Wish  # noqa: PLC0415
    from streams.errors import ConfigError  # noqa: PLC0415

    if name is None:
        if alarms is not None:
            raise ConfigError("--alarms: name the rule with --propose, too")
        return None
    return Wish(name, 1 if alarms is None else integer("--alarms", alarms, 0, _MOST))


COMMAND = Command(
    tune,
    "driftline tune events.jsonl.gz --monitors new.yaml --against monitors.yaml",
    "driftline tune events.jsonl --monitors new.yaml --fail-on lost-true --most-gained 3 "
    "--verdicts history.db",
    "driftline tune events.jsonl --monitors new.yaml --propose accuracy-floor --alarms 2",
)
