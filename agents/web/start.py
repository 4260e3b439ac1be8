"""Start the page: on a history that somebody writes, or on one of its own."""

from __future__ import annotations

import os

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


def show(url: str, address: Address) -> None:
    """Show a history that `driftline sink sql` writes."""
    run_page(History(database.url_of(url)), address)


def show_topics(settings: Settings, address: Address) -> None:
    """Show what is on the topics, in a history of the page's own."""
    from agents.web.own_history import OwnHistory  # noqa: PLC0415

    with OwnHistory(settings) as own:
        run_page(History(own.url), address, note=lambda: own.wrong)
