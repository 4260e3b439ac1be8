"""Options that several commands have, declared once, and what becomes of their values."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

if TYPE_CHECKING:
    from agents.settings import Settings


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


class Brokers(NamedTuple):
    """Where the brokers are: the options of every command that needs nothing else of settings."""

    bootstrap_servers: Servers = None
    prefix: Prefix = None
    kafka: Kafka = None

    @property
    def settings(self) -> Settings:
        """The settings that these make with the environment and the defaults."""
        where = {"bootstrap_servers": self.bootstrap_servers, "prefix": self.prefix}
        return settings_of(where, kafka=self.kafka)


Window = Annotated[
    str | None, typer.Option(metavar="DURATION", help="Length of a metric window. Default: 5m.")
]
Horizon = Annotated[
    str | None,
    typer.Option(metavar="DURATION", help="How long a label is waited for. Default: 1h."),
]
ForgetAfter = Annotated[
    str | None,
    typer.Option(
        metavar="DURATION", help="Models that are silent for so long are forgotten. Default: 35d."
    ),
]
CategoryKeyFile = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="A secret by which categories of distributions are named. Default: none.",
    ),
]
MaxClasses = Annotated[
    str | None,
    typer.Option(metavar="N", help="A model with more different classes is text. Default: 1000."),
]
MaxModelFeatures = Annotated[
    str | None,
    typer.Option(
        metavar="N",
        help="Of a model with more different features, the first are watched. Default: 1000.",
    ),
]
MaxModelSegments = Annotated[
    str | None,
    typer.Option(
        metavar="N",
        help="Of a model with more different segments, the first are watched. Default: 1000.",
    ),
]
At = Annotated[
    str | None,
    typer.Option(
        metavar="TIME",
        help="Event time from which on it holds: 2026-01-31T12:00:00Z, or milliseconds since 1970. "
        "Default: now.",
    ),
]
MonitorsFile = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="What to watch, in YAML. Default: the default monitors, of every model.",
    ),
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
History = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="Where `driftline sink sql` writes. Default: DRIFTLINE_HISTORY of the environment, or "
        "driftline-history.db.",
    ),
]
OneModel = Annotated[str | None, typer.Option("--model", help="Only this model.")]
Time = Annotated[
    str,
    typer.Argument(
        metavar="TIME",
        help="A time of today (UTC), such as 10:00, or a date, such as 2026-11-29T10:00.",
        show_default=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]


def settings_of(
    values: dict[str, str | None], *, kafka: list[str] | None = None, embedded: bool = False
) -> Settings:
    """Return the settings that flags, environment, monitors file and defaults make together."""
    from agents.settings import resolve  # noqa: PLC0415

    return resolve(values, environ=os.environ, kafka=tuple(kafka or ()), embedded=embedded)


def empty_cells(text: str | None) -> Sequence[str]:
    """Return which cells of a table are read as empty; `None` for the usual ones."""
    from agents.cells import MISSING  # noqa: PLC0415

    return MISSING if text is None else text.split(",")


def integer(option: str, text: str, lowest: int, highest: int) -> int:
    """Return the whole number that an option has; both limits are allowed.

    Raises
    ------
    ConfigError
        Naming option, text and limits.
    """
    from agents.options import integer  # noqa: PLC0415

    return integer(lowest, highest)(text, option)


def print_json(value: object) -> None:
    """Print a value as JSON that people can read, too."""
    import json  # noqa: PLC0415

    typer.echo(json.dumps(value, indent=2))
