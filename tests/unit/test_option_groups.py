"""Options that several commands have are declared once, as a group."""

import inspect
from typing import Annotated, NamedTuple

import typer
from typer.testing import CliRunner

from agents.cli.command import Command


def test_a_group_of_options_is_declared_once_and_handed_on_as_one_value() -> None:
    class Where(NamedTuple):
        host: Annotated[str | None, typer.Option(help="A host.")] = None
        port: Annotated[int, typer.Option(help="A port.")] = 80

    taken: list[object] = []

    def go(*, name: Annotated[str, typer.Argument()], where: Where, loud: bool = False) -> None:
        """Go."""
        taken.append((name, where, loud))

    app = typer.Typer()
    Command(go).add_to(app)

    given = CliRunner().invoke(app, ["a", "--host", "h", "--loud"])
    defaults = CliRunner().invoke(app, ["b"])

    assert (given.exit_code, defaults.exit_code) == (0, 0), given.output
    assert taken == [("a", Where("h", 80), True), ("b", Where(None, 80), False)]
    assert list(inspect.signature(Command(go).run).parameters) == ["name", "host", "port", "loud"]
