"""What a command of the command line is: a function, and examples of its use."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any, get_type_hints

import typer
from typer.core import TyperGroup


class Command:
    """A command.

    Parameters
    ----------
    run
        Its parameters are the options, its docstring is the help. A parameter whose type is a
        `NamedTuple` stands for an option of each of its fields.
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
        self.run, self.examples, self.name = _expanded(run), examples, name
        self.help_text = help_text

    def add_to(self, app: typer.Typer) -> None:
        """Make it a command of an application."""
        lines = ["Examples:", *(f"`{line}`" for line in self.examples)]
        add = app.command(self.name, help=self.help_text, epilog="\n\n".join(lines))
        add(self.run)


def _expanded(run: Callable[..., None]) -> Callable[..., None]:
    """Return a function with the options of all groups, which hands `run` the groups."""
    hints = get_type_hints(run, include_extras=True)
    groups = {name: hint for name, hint in hints.items() if hasattr(hint, "_fields")}
    if not groups:
        return run

    @wraps(run)
    def with_options(**values: Any) -> None:
        made = {
            name: group(*(values.pop(field) for field in group._fields))
            for name, group in groups.items()
        }
        run(**values, **made)

    parameters: list[inspect.Parameter] = []
    for one in inspect.signature(run).parameters.values():
        if one.name in groups:
            parameters += _options_of(groups[one.name])
        else:
            parameters.append(one.replace(annotation=hints[one.name]))
    with_options.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    with_options.__annotations__ = {one.name: one.annotation for one in parameters}
    return with_options


def _options_of(group: Any) -> list[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    kind, defaults = inspect.Parameter.KEYWORD_ONLY, group._field_defaults
    return [
        inspect.Parameter(name, kind, default=defaults[name], annotation=hints[name])
        for name in group._fields
    ]


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
