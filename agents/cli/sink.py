"""``driftline sink NAME``: hand metrics and alerts on to where people look."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, MutableMapping
from typing import Annotated, Any, get_type_hints

import msgspec
import typer
from typer.core import TyperGroup

from agents.cli.command import Command, Group
from agents.cli.shared_options import Kafka, Prefix, Servers, settings_of
from agents.sinks import catalogue
from agents.sinks.contract import AwayError, RefusedError, Sink
from streams.errors import ConfigError

Name = Annotated[
    str | None,
    typer.Option(
        "--name",
        help="What this sink is called; a second one of its kind needs a name of its own. Default: "
        "its kind.",
    ),
]
DeadLetters = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="Where records go that cannot be used. Default: driftline-NAME.dead.jsonl.",
    ),
]
MetricsHost = Annotated[str | None, typer.Option(help="Address for Prometheus and probes.")]
MetricsPort = Annotated[
    str | None,
    typer.Option(
        metavar="PORT",
        help="Port for them; 0 is off. Default: auto, 9564 of `prometheus`, 9565 or the next one "
        "that is free of others.",
    ),
]
_SHARED = {
    "bootstrap_servers": Servers,
    "prefix": Prefix,
    "name": Name,
    "dead_letters": DeadLetters,
    "metrics_host": MetricsHost,
    "metrics_port": MetricsPort,
    "kafka": Kafka,
}


def _command(sink: type[Sink]) -> Command:
    """Return the command that runs a sink: its options, and those that all have."""

    def run(**values: Any) -> None:
        own = {field: values.pop(field) for field in list(values) if field not in _SHARED}
        _run(sink, own, values)

    parameters = [*_own_parameters(sink.options), *map(_shared_parameter, _SHARED)]
    _shape(run, parameters)
    return Command(run, *sink.examples, name=sink.name, help_text=inspect.getdoc(sink))


def _shape(run: Callable[..., None], parameters: list[inspect.Parameter]) -> None:
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in parameters}


def _shared_parameter(name: str) -> inspect.Parameter:
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, kind, default=None, annotation=_SHARED[name])


def _own_parameters(options: type[msgspec.Struct]) -> list[inspect.Parameter]:
    hints = get_type_hints(options, include_extras=True)
    found = []
    for field in msgspec.structs.fields(options):
        told, (meta, *_) = hints[field.name].__origin__, hints[field.name].__metadata__
        default = inspect.Parameter.empty if field.required else field.default
        found.append(
            inspect.Parameter(
                field.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=default,
                annotation=Annotated[told, _typer(field.name, told, meta)],
            )
        )
    return found


def _typer(name: str, told: object, meta: msgspec.Meta) -> Any:
    metavar, text = (meta.extra or {}).get("metavar"), meta.description
    if name == "target":
        return typer.Argument(metavar=metavar, help=text, show_default=False)
    flag = f"--{name.replace('_', '-')}"
    if told is bool:
        return typer.Option(flag, help=text)
    return typer.Option(flag, metavar=metavar, help=text)


def _run(sink: type[Sink], own: dict[str, Any], shared: dict[str, Any]) -> None:
    made = sink(sink.options(**own))  # type: ignore[call-arg]
    if own.get("test"):
        try:
            made.test()
        except (AwayError, RefusedError) as error:
            raise ConfigError(f"the test was not delivered: {error}") from None
        typer.echo("the test was delivered")
        return
    settings = settings_of(
        {
            name: shared[name]
            for name in ("bootstrap_servers", "prefix", "metrics_host", "metrics_port")
        },
        kafka=shared["kafka"],
    )
    from pathlib import Path  # noqa: PLC0415

    from agents.sinks.run import Identity, run_sink  # noqa: PLC0415

    letters = shared["dead_letters"]
    identity = Identity(
        name=shared["name"] or sink.name,
        dead_letters=None if letters is None else Path(letters),
        host=settings.metrics_host,
        port=settings.metrics_port,
    )
    run_sink(made, settings, identity)


class _Sinks(TyperGroup):
    """Loads a sink when it is asked for, those of other packages, too."""

    @property
    def commands(self) -> MutableMapping[str, Any]:
        """Those of driftline itself."""
        return {name: _built(catalogue.find(name)) for name in catalogue.SINKS}

    @commands.setter
    def commands(self, given: MutableMapping[str, Any]) -> None:
        assert not given

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - what is overridden has it
        return catalogue.names()

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002 - likewise
        return _built(catalogue.find(cmd_name))


def _built(sink: type[Sink] | None) -> Any:
    if sink is None:
        return None
    alone = typer.Typer(
        add_completion=False,
        rich_markup_mode="markdown",
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    _command(sink).add_to(alone)
    built = typer.main.get_command(alone)
    built.name = sink.name
    return built


class _Group(Group):
    """The commands are those of the catalogue of sinks."""

    @property
    def every(self) -> Iterator[Command]:
        """Every command."""
        return map(_command, catalogue.ours())


GROUP = _Group(
    "sink",
    "Hand metrics and alerts on to where people look; each sink is a process of its own.",
    kind=_Sinks,
)
