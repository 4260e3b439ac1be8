"""Every sink of driftline: a new one is a file and a line here.

Those of other packages are found through the entry-point group ``driftline.sinks``: each names a
class that derives from `agents.sinks.contract.Sink`.
"""

from __future__ import annotations

from importlib.metadata import entry_points

from agents.sinks.contract import Sink
from agents.sinks.files import Files
from agents.sinks.sql import Sql
from streams.errors import ConfigError

GROUP = "driftline.sinks"

SINKS: tuple[type[Sink], ...] = (Sql, Files)


def others() -> dict[str, type[Sink]]:
    """Return the sinks of other packages, by name; ours cannot be replaced.

    Raises
    ------
    ConfigError
        If one cannot be loaded, or is no sink.
    """
    found: dict[str, type[Sink]] = {}
    for point in entry_points(group=GROUP):
        try:
            sink = point.load()
        except Exception as error:  # whatever another package raises
            raise ConfigError(
                f"sink {point.name!r} ({point.value}) cannot be loaded: {error}; repair or"
                " uninstall the package"
            ) from error
        if not (isinstance(sink, type) and issubclass(sink, Sink)):
            raise ConfigError(
                f"sink {point.name!r}: {point.value} is no class that derives from"
                " agents.sinks.contract.Sink; repair or uninstall the package"
            )
        found[point.name] = sink
    ours = {sink.name for sink in SINKS}
    return {name: sink for name, sink in found.items() if name not in ours}
