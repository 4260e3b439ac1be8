"""Start the page: on a history that somebody writes, or on one of its own."""

from __future__ import annotations

import os
from functools import partial

from agents.history import database
from agents.settings import Settings
from agents.web.history import History
from agents.web.run import Address, run_page

TOKEN = "DRIFTLINE_WEB_TOKEN"  # noqa: S105 - the name of a variable


def token() -> str | None:
    """Return the token that the environment sets."""
    return os.environ.get(TOKEN) or None


def given_history(history: str | None, servers: str | None) -> str | None:
    """Return which history is meant; None: one of the page's own.

    Brokers that are named on the command line count more than the environment.
    """
    if history is not None:
        return history
    return None if servers is not None else os.environ.get(database.VARIABLE)


def show(url: str, address: Address, settings: Settings | None = None) -> None:
    """Show a history that `driftline sink sql` writes, and workers if brokers are named."""
    from agents import feedback  # noqa: PLC0415
    from agents.web.listening import Listening  # noqa: PLC0415

    history = History(database.url_of(url))
    if settings is None:
        run_page(history, address)
        return
    with Listening(settings) as listening:
        run_page(history, address, told=listening.told, judge=partial(feedback.write, settings))


def show_topics(settings: Settings, address: Address) -> None:
    """Show what is on the topics, in a history of the page's own."""
    from agents import feedback  # noqa: PLC0415
    from agents.web.listening import Listening  # noqa: PLC0415
    from agents.web.own_history import OwnHistory  # noqa: PLC0415

    with OwnHistory(settings) as own, Listening(settings) as listening:
        history = History(own.url)
        judge = partial(feedback.write, settings)
        run_page(history, address, note=lambda: own.wrong, told=listening.told, judge=judge)
