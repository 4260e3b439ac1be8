"""What a command of the command line is: a function, and examples of its use."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import typer
from typer.core import TyperGroup


class Command:
    """A command.

    Parameters
    ----------
    run
        Its parameters are the options, its docstring is the help.
    examples
        Command lines that are shown in the help; a test holds them against the options.
    name
        `None` for the name of the function.
    help_text
        `None` for the docstring of the function.
    """

    def __init__(
        self,
        run: Callable[..., None],
        *examples: str,
        name: str | None = None,
        help_text: str | None = None,
    ) -> None:
        self.run, self.examples, self.name, self.help_text = run, examples, name, help_text

    def add_to(self, app: typer.Typer) -> None:
        """Make it a command of an application."""
        lines = ["Examples:", *(f"`{line}`" for line in self.examples)]
        add = app.command(self.name, help=self.help_text, epilog="\n\n".join(lines))
        add(self.run)


class Group:
    """Commands under one name, such as ``driftline topics …``."""

    def __init__(
        self,
        name: str,
        help_text: str,
        *commands: Command,
        kind: type[TyperGroup] = TyperGroup,
    ) -> None:
        self.name, self.help_text, self._commands, self._kind = name, help_text, commands, kind

    @property
    def every(self) -> Iterable[Command]:
        """Every command, also those that are made when they are asked for."""
        return self._commands

    def add_to(self, app: typer.Typer) -> None:
        """Make it a group of an application."""
        group = typer.Typer(cls=self._kind, help=self.help_text, no_args_is_help=True)
        for command in self._commands:
            command.add_to(group)
        app.add_typer(group, name=self.name)
