"""What happens to lanes as time passes: panes become hours, ranks get tables, references grow."""

import numpy as np

from streams.scan import reference
from streams.scan.early import units
from streams.scan.inputs import BY_NAME, FEATURE, INPUTS, RANKED_BY_NAME
from streams.scan.lanes import Ints, Lanes
from streams.scan.panes import (
    DAY_HOURS,
    FEWEST_DAYS,
    HOUR_PANES,
    KEPT_HOURS,
    KEPT_PANES,
    MOST_DAYS,
    UNIT,
    is_weekend,
)
from streams.scan.ranks import Tables
from streams.scan.reference import COUNT, SHARE, Moments
from streams.scan.samples import Samples

_FIRST_SAMPLE = 64
_LAST_SAMPLE = 60
_DAY_PANES = DAY_HOURS * HOUR_PANES
_FEWEST_ROWS = 60

_LEVELS = np.array([one.name in RANKED_BY_NAME for one in INPUTS])
_TYPE, _UNSEEN, _COVERAGE, _LABELLED, _FAILED = (
    BY_NAME[name] for name in ("type", "unseen", "coverage", "labelled", "failed")
)
_SHARES = np.array([one.of_rows for one in INPUTS])
_RESTS = np.array([one.complement for one in INPUTS])


def close_pane(lanes: Lanes, pane: int, *, traffic: Ints, still: Ints) -> None:
    """Keep what came in a pane, and begin with the next.

    Parameters
    ----------
    traffic
        By number of a model, the lane that counts its predictions; -1 for none.
    still
        Lanes whose totals stay as they are.
    """
    used = lanes["used"]
    places = lanes["place"]
    of_rows = np.flatnonzero(used & _SHARES[places])
    counting = np.flatnonzero(used & (lanes["kind"] == COUNT))
    if len(of_rows):
        owner = traffic[lanes["group"][of_rows]]
        failed = lanes.find(_FAILED, "", lanes["group"][of_rows])
        rows = np.where(owner >= 0, lanes["open_sum"][np.maximum(owner, 0)], 0)
        rows -= np.where(failed >= 0, lanes["open_sum"][np.maximum(failed, 0)], 0)
        lanes["open_rows"][of_rows] = rows
        rest = of_rows[_RESTS[places[of_rows]]]
        lanes["open_sum"][rest] = lanes["open_rows"][rest] * UNIT - lanes["open_sum"][rest]
    lanes["open_rows"][counting] = 1
    for lane in np.flatnonzero(used & (places == _TYPE)).tolist():
        lanes["open_rows"][lane] += lanes["open_rows"][numbers_of(lanes, lane)].sum()
    slot = pane % KEPT_PANES
    lanes["pane_rows"][slot] = lanes["open_rows"]
    lanes["pane_sum"][slot] = lanes["open_sum"]
    growing = used.copy()
    growing[still] = False
    for total, name in (
        ("total_rows", "open_rows"),
        ("total_sum", "open_sum"),
        ("total_squares", "open_squares"),
    ):
        lanes[total][growing] += lanes[name][growing]
        lanes[name][:] = 0


def close_coverage(lanes: Lanes, hour: int, *, traffic: Ints, horizon: int) -> None:
    """Let lanes of coverage have the hour whose horizon has passed; before its last pane is closed.

    Parameters
    ----------
    horizon
        In hours, not less than it is.
    """
    own = np.flatnonzero(lanes["used"] & (lanes["place"] == _COVERAGE))
    if not len(own):
        return
    groups, slot = lanes["group"][own], (hour - horizon) % KEPT_HOURS

    def count(found: Ints) -> Ints:
        sums: Ints = lanes["hour_sum"][slot, np.maximum(found, 0)]
        return np.where(found >= 0, sums, 0)

    made = count(traffic[groups]) - count(lanes.find(_FAILED, "", groups))
    lanes["open_rows"][own] = made
    lanes["open_sum"][own] = np.minimum(count(lanes.find(_LABELLED, "", groups)), made) * UNIT


def close_hour(lanes: Lanes, hour: int) -> None:
    """Keep the sums of an hour; lanes that still learn, its moments."""
    first = hour * HOUR_PANES % KEPT_PANES
    rows, sums = (lanes[n][first : first + HOUR_PANES] for n in ("pane_rows", "pane_sum"))
    lanes["hour_rows"][hour % KEPT_HOURS] = rows.sum(axis=0)
    lanes["hour_sum"][hour % KEPT_HOURS] = sums.sum(axis=0)
    learning = lanes["used"] & (lanes["days"] < MOST_DAYS) & (lanes["first_hour"] <= hour)
    own = np.flatnonzero(learning & _judged(lanes))
    if not len(own):
        return
    counts, shares = rows[:, own].astype(np.float64), sums[:, own] / units(lanes["kind"][own])
    found = np.zeros((2, 3, len(own)))
    for place, length in enumerate((1, 3)):
        n, s = (
            one.reshape(HOUR_PANES // length, length, -1).sum(axis=1) for one in (counts, shares)
        )
        for part, product in enumerate((s * s, s * n, n * n)):
            found[place, part] = product.sum(axis=0)
        held = np.where(lanes["kind"][own] == COUNT, s, n) > 0
        lanes["held"][place, own] += held.sum(axis=0)
    lanes.moments.add(hour % DAY_HOURS, int(is_weekend(hour)), own, found)


def draw_tables(lanes: Lanes, samples: Samples, tables: Tables, *, pane: int) -> list[int]:
    """Let lanes go by ranks among what came until now; return those whose table is another.

    A first table is there early, for gross changes; the last one, which the reference goes by, once
    a day has passed, and the lane begins anew with it.
    """
    changed = []
    drawing = lanes["used"] & (lanes["final"] == 0) & _LEVELS[lanes["place"]]
    old = pane + 1 - lanes["first_pane"] >= _DAY_PANES
    due = np.flatnonzero(drawing & (old | (lanes["table"] < 0))).tolist()
    samples.settle(due)
    for lane in due:
        count = samples.count(lane)
        last = bool(old[lane]) and count >= _LAST_SAMPLE
        if last or (lanes["table"][lane] < 0 and count >= _FIRST_SAMPLE):
            row = int(lanes["table"][lane])
            lanes["table"][lane] = tables.put(samples.values(lane), row=row)
            changed.append(lane)
            if last:
                lanes["final"][lane] = 1
                take_kinds(lanes, tables, np.array([lane]))
                _begin_anew(lanes, lane, pane=pane + 1)
    return changed


def numbers_of(lanes: Lanes, lane: int) -> Ints:
    """Return the lane of the numbers of a feature among which texts are counted."""
    name = lanes.names[lane]
    assert name is not None
    found = lanes.find(BY_NAME[FEATURE.level.name], name[2], lanes["group"][[lane]])
    return found[found >= 0]


def begin_with_none(lanes: Lanes, lane: int, *, pane: int) -> None:
    """Let the first text among numbers be judged as if texts had been looked for from the start.

    All rows before were numbers: what their lane has of rows is what this one would have.
    """
    for other in numbers_of(lanes, lane).tolist():
        for name in ("first_hour", "first_pane", "pane_rows", "hour_rows", "total_rows", "held"):
            lanes[name][..., lane] = lanes[name][..., other]
        days = int(lanes["days"][other])
        if days == MOST_DAYS:
            lanes["first_hour"][lane] = pane // HOUR_PANES - KEPT_HOURS
        if days:
            _learn(lanes, np.array([lane]), days)


def close_sets(lanes: Lanes, *, pane: int) -> list[int]:
    """Let no more categories be known once a day has passed; return of which lanes."""
    due = lanes["used"] & (lanes["final"] == 0) & (lanes["place"] == _UNSEEN)
    due &= (pane + 1 - lanes["first_pane"] >= _DAY_PANES) & (lanes["total_rows"] >= _LAST_SAMPLE)
    found: list[int] = np.flatnonzero(due).tolist()
    for lane in found:
        lanes["final"][lane] = 1
        lanes.begin_anew(lane, pane=pane + 1)
    return found


def copy_table(lanes: Lanes, tables: Tables, lane: int, other: int) -> None:
    """Let a lane that begins go by the ranks of another, as they are for good."""
    lanes["table"][lane] = tables.put(tables.sample(int(lanes["table"][other])))
    lanes["final"][lane] = 1
    take_kinds(lanes, tables, np.array([lane]))


def take_kinds(lanes: Lanes, tables: Tables, own: Ints) -> None:
    """Judge numbers that are flags as shares: their tails are those of counts."""
    last = own[(lanes["final"][own] == 1) & (lanes["table"][own] >= 0)]
    lanes["kind"][last[tables.few[lanes["table"][last]]]] = SHARE


def _begin_anew(lanes: Lanes, lane: int, *, pane: int) -> None:
    ranked = RANKED_BY_NAME[INPUTS[lanes["place"][lane]].name]
    for other in lanes.alongside(lane, ranked):
        lanes.begin_anew(other, pane=pane)


def learn_due(lanes: Lanes, hour: int, *, still: Ints) -> Ints:
    """Let references grow that have seen another whole day at the end of an hour; return which.

    Parameters
    ----------
    still
        Lanes whose level is another than usual: nothing is learnt of that.
    """
    age = hour + 1 - lanes["first_hour"]
    due = lanes["used"] & (lanes["days"] < MOST_DAYS) & (age % DAY_HOURS == 0)
    due &= (age >= FEWEST_DAYS * DAY_HOURS) & _judged(lanes)
    due[still] = False
    late = due & (age > MOST_DAYS * DAY_HOURS)
    due &= ~late | (lanes["days"] == 0)
    lanes["first_hour"][due & late] = hour + 1 - MOST_DAYS * DAY_HOURS
    found = []
    days = np.minimum(age // DAY_HOURS, MOST_DAYS)
    for many in np.unique(days[due]).tolist():
        own = np.flatnonzero(due & (days == many))
        found.append(_learn(lanes, own, int(many)))
    return np.concatenate(found) if found else np.empty(0, np.int64)


def _judged(lanes: Lanes) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    watched = np.array([bool(one.watched) for one in INPUTS])
    judged: np.ndarray[tuple[int], np.dtype[np.bool_]] = watched[lanes["place"]]
    return judged


def _learn(lanes: Lanes, own: Ints, days: int) -> Ints:
    hours = reference.hours_since(lanes["first_hour"][own], days)
    counts = lanes["hour_rows"][hours, own].astype(np.float64)
    enough = (counts.sum(axis=0) >= _FEWEST_ROWS) | (lanes["kind"][own] == COUNT)
    own, counts, hours = own[enough], counts[:, enough], hours[:, enough]
    if not len(own):
        return own
    kinds = lanes["kind"][own]
    rows = np.maximum(lanes["total_rows"][own], 1)
    mean = lanes["total_sum"][own] / UNIT / rows
    variance = lanes["total_squares"][own] / UNIT / rows - mean**2
    cells = np.moveaxis(lanes.moments.of(own), 0, 2)  # weekend, window, hour, ...
    found = reference.learn(
        counts,
        lanes["hour_sum"][hours, own] / units(kinds),
        kinds=kinds,
        first_hours=lanes["first_hour"][own],
        variance=np.maximum(variance, 0.0),
        moments=Moments(np.swapaxes(cells, 0, 1), lanes["held"][:, own].astype(np.float64)),
    )
    lanes.learn(own, found, days=days)
    forget_moments(lanes, own)
    return own


def forget_moments(lanes: Lanes, own: Ints) -> None:
    """Forget what lanes have learnt from once they learn no more."""
    lanes.moments.forget(own[lanes["days"][own] == MOST_DAYS].tolist())
