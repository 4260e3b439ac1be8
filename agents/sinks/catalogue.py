"""Every sink of driftline, by name: a new one is a file and a line here.

Those of other packages are found through the entry-point group ``driftline.sinks``: each names a
class that derives from `agents.sinks.contract.Sink`. One is loaded when it is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import EntryPoint, entry_points

from agents.sinks.contract import Sink
from streams.errors import ConfigError

GROUP = "driftline.sinks"

SINKS = {
    "sql": "agents.sinks.sql:Sql",
    "prometheus": "agents.sinks.prometheus:Prometheus",
    "alertmanager": "agents.sinks.alertmanager:Alertmanager",
    "webhook": "agents.sinks.webhook:Webhook",
    "apprise": "agents.sinks.apprise:Apprise",
    "elasticsearch": "agents.sinks.elasticsearch:Elasticsearch",
    "mlflow": "agents.sinks.mlflow:Mlflow",
    "otlp": "agents.sinks.otlp:Otlp",
    "files": "agents.sinks.files:Files",
    "parquet": "agents.sinks.parquet:Parquet",
    "tensorboard": "agents.sinks.tensorboard:Tensorboard",
}


def names() -> list[str]:
    """Return the names of all sinks, ours first."""
    return list(_points())


def find(name: str) -> type[Sink] | None:
    """Return the sink of a name; None if there is none.

    Raises
    ------
    ConfigError
        If it cannot be loaded, or is no sink.
    """
    point = _points().get(name)
    return None if point is None else _loaded(point)


def ours() -> Iterator[type[Sink]]:
    """Yield the sinks of driftline itself."""
    for name in SINKS:
        yield _loaded(_points()[name])


def _points() -> dict[str, EntryPoint]:
    """Return where each is; ours cannot be replaced."""
    mine = {name: EntryPoint(name, where, GROUP) for name, where in SINKS.items()}
    found = sorted(entry_points(group=GROUP))
    return mine | {point.name: point for point in found if point.name not in mine}


def _loaded(point: EntryPoint) -> type[Sink]:
    try:
        sink = point.load()
    except Exception as error:  # whatever another package raises
        raise ConfigError(
            f"sink {point.name!r} ({point.value}) cannot be loaded: {error}; repair or uninstall"
            " the package"
        ) from error
    if not (isinstance(sink, type) and issubclass(sink, Sink)):
        raise ConfigError(
            f"sink {point.name!r}: {point.value} is no class that derives from"
            " agents.sinks.contract.Sink; repair or uninstall the package"
        )
    return sink
