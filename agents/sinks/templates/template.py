"""What a template is: two functions that return JSON."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from agents.sinks.notifying import Summary
from streams.alerts import Alert


class Template(NamedTuple):
    """How alerts and summaries are written.

    Attributes
    ----------
    alert, summary
        Take what is told, and the key.
    needs_key
        Whether the receiver wants a key in the body.
    """

    alert: Callable[[Alert, str], dict[str, Any]]
    summary: Callable[[Summary, str], dict[str, Any]]
    needs_key: bool = False
