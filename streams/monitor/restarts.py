"""What begins anew, since the state that was read back has it in another version: said, counted."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime

from streams import families
from streams.cells.lacking import EVERYTHING
from streams.families.family import Family

_ABOUT = {
    "lanes": "drift detectors",
    "rule": "counts of rules",
    "reference": "references of rules",
    "course": "boundaries of rules",
    "firing": "alerts that fire",
    "fates": "records by model and fate",
    "predictions": "counts of predictions",
    "outcomes": "counts of labels",
}


class Restarts:
    """Parts of one partition's state that begin anew; filled while the state is read.

    Parameters
    ----------
    counted
        Families that are counted; what there is of others is left out, as was asked for.

    Attributes
    ----------
    parts
        Families, or tables, of another version.
    unknown
        Names that this build does not know.
    detectors
        Drift monitors whose detectors begin anew.
    unreadable
        Models with alerts that fire and cannot be read.
    """

    def __init__(self, counted: Iterable[Family]) -> None:
        self._left_out = {one.name for one in families.CATALOGUE.families}
        self._left_out -= {one.name for one in counted}
        self.parts: set[str] = set()
        self.unknown: set[str] = set()
        self.detectors: set[str] = set()
        self.unreadable: set[str] = set()
        self._said = False

    def families(self, names: set[str]) -> None:
        """Note families that a record has not, or in another version."""
        known = {one.name for one in families.CATALOGUE.families} | {EVERYTHING}
        names = names - self._left_out
        self.unknown |= names - known
        self.parts |= names & known

    def detector(self, drift: str) -> None:
        """Note that the detectors of a drift monitor begin anew."""
        self.parts.add("lanes")
        self.detectors.add(drift)

    def take(self) -> list[str]:
        """Return, once, what has begun anew, by the names that telemetry has for it."""
        taken = sorted(name or "rows" for name in self.parts)
        self.parts.clear()
        return taken

    def say(self, partition: int, lacking: Mapping[str, int]) -> Iterator[str]:
        """Yield, once, what people should know of it.

        Parameters
        ----------
        lacking
            What windows lack, and when the last pane ends that lacks it.
        """
        if self._said:
            return
        self._said = True
        head = f"the state of partition {partition}"
        known = {one.name for one in families.CATALOGUE.families if one.columns} | {EVERYTHING}
        silent = {name: ends_ms for name, ends_ms in lacking.items() if name in known}
        own = {name for name in self.parts if name in known}
        if silent or own:
            names = ", ".join(sorted(name or "everything" for name in own | set(silent)))
            until = f" before {_time(max(silent.values()))}" if silent else " under way"
            yield (
                f"{head} was counted without this version of {names}: that begins anew with the"
                f" next pane; windows with panes{until} get no more metrics of it"
            )
        tables = sorted(self.parts - known - ({"lanes"} if self.detectors else set()))
        if tables:
            names = ", ".join(_ABOUT.get(name, name) for name in tables)
            yield f"{head} has {names} in another version: these begin anew"
        if self.detectors:
            names = ", ".join(sorted(self.detectors))
            yield (
                f"{head} has detectors of {names} in another version, or with other parameters:"
                " these begin anew"
            )
        if self.unreadable:
            names = ", ".join(sorted(self.unreadable))
            yield f"{head} has alerts of {names} that cannot be read: they stay open"
        if self.unknown:
            names = ", ".join(sorted(self.unknown))
            yield f"{head} has {names}, which this build does not know: left out"


def _time(ends_ms: int) -> str:
    """Return a time as people write it.

    Examples
    --------
    >>> _time(1_700_000_000_000)
    '2023-11-14 22:13 UTC'
    """
    try:
        return datetime.fromtimestamp(ends_ms / 1_000, UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (OverflowError, ValueError, OSError):
        return f"{ends_ms} ms"
