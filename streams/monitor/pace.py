"""When to count, to take in order, to publish: a pure function of load and waiting time.

Publishing a window, counting rows, and taking them in order, cost about the same for one row of a
model as for hundreds. So that many models with few rows each cost no more than their rows do, a
step publishes a limited number of windows, and counts rows, and takes them in order, once there
are some of each model, or some time has passed. None of that changes a result: what is published
in the end, and what is found in order, depends on the records alone.
"""

from typing import NamedTuple

# To publish a window costs about as much as to count 100 rows and take them in order. So that with
# many models or short windows publishing takes a tenth of that, steps of many rows, of which more
# come soon, publish few. To take rows of a model in order, and to write its panes and
# detectors down, costs about half a millisecond, however few they are.
ROWS_PER_WINDOW = 1_000
MANY_ROWS = 10_000
STEPS_TO_PUBLISH = 32
ROWS_PER_MODEL = 128
PATIENCE_MS_PER_MODEL = 4
LONGEST_PATIENCE_MS = 30_000
# To count rows of a model costs about as much as 20 of its rows do.
COUNTED_ROWS_PER_MODEL = 32
COUNTING_PATIENCE_MS_PER_MODEL = 1
LONGEST_COUNTING_PATIENCE_MS = 5_000


class Load(NamedTuple):
    """What there is to do, and since when it waits.

    Attributes
    ----------
    models
        How many there are.
    arrived
        Rows that have come with this step.
    backlog
        Rows that are not counted yet, these included.
    due
        Rows that were counted, and could be taken in order, or only be written down.
    windows
        Windows that wait to be published.
    counted_ms, released_ms
        How long ago rows were last counted, and taken in order, by the wall clock; negative where
        it went back.
    idle
        Whether nothing more comes for now.
    """

    models: int
    arrived: int
    backlog: int
    due: int
    windows: int
    counted_ms: int
    released_ms: int
    idle: bool


class Budget(NamedTuple):
    """What a step does.

    Attributes
    ----------
    counts, releases
        Whether rows are counted, and taken in order.
    most_counted, most_released
        How many at most, but for the rest of a record, or of a moment.
    windows
        How many windows are published, at most.
    """

    counts: bool
    releases: bool
    most_counted: int
    most_released: int
    windows: int


def budget_of(load: Load, *, rows_at_once: int, least_windows: int, ordered: bool) -> Budget:
    """Say what a step does.

    Parameters
    ----------
    rows_at_once
        A step takes so many rows of a backlog beside those that have come with it.
    least_windows
        A step publishes that many windows, or more; one of many rows an eighth of them.
    ordered
        Whether anybody looks at rows in order.

    Examples
    --------
    >>> quiet = Load(10, 5, 5, 0, 3, counted_ms=100, released_ms=100, idle=False)
    >>> budget_of(quiet, rows_at_once=20_000, least_windows=200, ordered=True)[:2]
    (True, True)
    >>> many = quiet._replace(models=10_000)
    >>> budget_of(many, rows_at_once=20_000, least_windows=200, ordered=True)[:2]
    (False, False)
    """
    most = rows_at_once + load.arrived
    least = least_windows // (1 if load.arrived < MANY_ROWS else 8)
    release = load.idle or _worth_releasing(load)
    return Budget(
        counts=release or not ordered or _worth_counting(load),
        releases=release,
        most_counted=max(most, COUNTED_ROWS_PER_MODEL * load.models),
        most_released=max(most, ROWS_PER_MODEL * load.models),
        windows=max(least, load.arrived // ROWS_PER_WINDOW, load.windows // STEPS_TO_PUBLISH),
    )


def _worth_releasing(load: Load) -> bool:
    """Whether there is enough to be taken in order, or it has waited long enough."""
    patience_ms = min(PATIENCE_MS_PER_MODEL * load.models, LONGEST_PATIENCE_MS)
    if not 0 <= load.released_ms < patience_ms:
        return True
    return load.due + load.backlog >= ROWS_PER_MODEL * load.models


def _worth_counting(load: Load) -> bool:
    """Whether there is enough to be counted, or it has waited long enough."""
    patience_ms = min(COUNTING_PATIENCE_MS_PER_MODEL * load.models, LONGEST_COUNTING_PATIENCE_MS)
    if not 0 <= load.counted_ms < patience_ms:
        return True
    return load.backlog >= COUNTED_ROWS_PER_MODEL * load.models
