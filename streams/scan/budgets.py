"""How many false alarms a lane may raise: a model's budget, shared by monitors and their lanes."""

from collections.abc import Callable, Sequence

import numpy as np

from streams.monitors import Drift
from streams.scan.inputs import INPUTS
from streams.scan.lanes import Floats, Ints, Lanes, Name
from streams.scan.parameters import WARNINGS_PER_MONTH, allowances

_UNKNOWN, _NOBODY = -2, -1
JUDGED = np.array([bool(one.watched) for one in INPUTS])


class Budgets:
    """Budgets of all lanes.

    Parameters
    ----------
    drift_of
        Returns the monitor of a lane, by its name.
    watching
        Returns all monitors of a model.

    Attributes
    ----------
    per_month
        So many warnings a month all lanes of a model may raise together where nothing changes.
    """

    def __init__(
        self,
        lanes: Lanes,
        *,
        drift_of: Callable[[Name], Drift | None],
        watching: Callable[[str], Sequence[Drift]],
    ) -> None:
        self._lanes, self._drift_of, self._watching = lanes, drift_of, watching
        self.per_month = WARNINGS_PER_MONTH
        self._monitors: list[str] = []
        self._monitor_of = np.empty(0, np.int64)
        self._budget: Floats | None = None

    def begin_anew(self) -> None:
        """Ask again who looks at which lane."""
        self._monitors, self._monitor_of = [], np.empty(0, np.int64)
        self._budget = None

    def changed(self, lanes: Ints) -> None:
        """Note that lanes are another's."""
        self._monitor_of[lanes[lanes < len(self._monitor_of)]] = _UNKNOWN
        self._budget = None

    def of(self, own: Ints) -> Floats:
        """Return how many false alarms a year lanes may raise; 0 where nobody looks."""
        if self._budget is None:
            self._budget = self._shared()
        return self._budget[own]

    def judged_lanes(self) -> Ints:
        """Return the lanes that monitors look at."""
        used = self._lanes.used()
        found: Ints = used[JUDGED[self._lanes["place"][used]]]
        return found

    def _shared(self) -> Floats:
        used, groups = self.judged_lanes(), self._lanes["group"]
        monitors = self._monitors_of(used)
        own = used[monitors >= 0]
        keys = groups[own] * len(self._monitors) + monitors[monitors >= 0]
        pairs, places, counts = np.unique(keys, return_inverse=True, return_counts=True)
        budget = np.zeros(len(self._lanes.names))
        if len(pairs):
            group_of, monitor_of = np.divmod(pairs, len(self._monitors))
            allowed = self._allowed(group_of)[monitor_of, places_of(group_of)]
            budget[own] = (allowed / counts)[places]
        return budget

    def _allowed(self, groups: Ints) -> Floats:
        """Return what monitors may raise of models: monitors x models, each model once."""
        number = {name: place for place, name in enumerate(self._monitors)}
        known: dict[tuple[str, ...], Floats] = {}
        columns = []
        for group in np.unique(groups).tolist():
            drifts = self._watching(self._lanes.models[group])
            names = tuple(one.name for one in drifts)
            if names not in known:
                column = np.zeros(len(number))
                for name, per_year in allowances(drifts, per_month=self.per_month).items():
                    if name in number:
                        column[number[name]] = per_year
                known[names] = column
            columns.append(known[names])
        return np.stack(columns, axis=1)

    def _monitors_of(self, used: Ints) -> Ints:
        """Return the numbers of the monitors that look at lanes."""
        more = len(self._lanes.names) - len(self._monitor_of)
        if more > 0:
            self._monitor_of = np.append(self._monitor_of, np.full(more, _UNKNOWN))
        number = {name: place for place, name in enumerate(self._monitors)}
        for lane in used[self._monitor_of[used] == _UNKNOWN].tolist():
            name = self._lanes.names[lane]
            drift = None if name is None else self._drift_of(name)
            if drift is None:
                self._monitor_of[lane] = _NOBODY
                continue
            if drift.name not in number:
                number[drift.name] = len(number)
                self._monitors.append(drift.name)
            self._monitor_of[lane] = number[drift.name]
        found: Ints = self._monitor_of[used]
        return found


def places_of(values: Ints) -> Ints:
    """Return the place of each value among the different ones.

    Examples
    --------
    >>> places_of(np.array([7, 7, 3])).tolist()
    [1, 1, 0]
    """
    found: Ints = np.unique(values, return_inverse=True)[1]
    return found
