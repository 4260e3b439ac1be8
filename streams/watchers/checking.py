"""What is refused of a drift monitor in the monitors file."""

from streams.errors import ConfigError
from streams.monitors import SCAN, Drift
from streams.nearest import nearest
from streams.scan import parameters as scan
from streams.watchers import parameters_of, watcher_of


def check_drift(drift: Drift) -> None:
    """Refuse an input or parameters that its detector does not have.

    Raises
    ------
    ConfigError
        Naming the monitor, the key, its value and what is allowed.
    """
    where = f"drift {drift.name!r}"
    try:
        if drift.detector == SCAN:
            scan.check(drift)
            return
        _check_input(drift)
        parameters_of(watcher_of(drift.detector), drift.parameters)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None


def _check_input(drift: Drift) -> None:
    inputs = "loss", "score", "features"
    feature = drift.input.removeprefix("feature:")
    if drift.input not in inputs and (feature == drift.input or not feature):
        allowed = nearest(drift.input, [*inputs, "feature:<name>"])
        raise ConfigError(f"input: {drift.input!r} is unknown{allowed}")
