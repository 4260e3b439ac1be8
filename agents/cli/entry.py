"""What runs the command line: errors of the user are one line on standard error and exit code 2."""

from __future__ import annotations

import sys
from typing import NoReturn

import typer

from agents.cli.catalogue import app


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
