"""Every model in a line: what *Fleet* shows, and what is open of alerts.

Rules of this file:

* A line is made of the history alone, so that a board of ten o'clock is made as that of now is.
* Of many models each asks the database little: those of a few hundred are made by one statement.
* A board is never changed: whoever holds one may go on reading while the next is made.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from statistics import median
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, CursorResult, text

from agents.web.known import Known
from streams.families import CATALOGUE
from streams.families.family import ON_LABELS

SPARK = 24
"""So many windows has a small line."""

_AT_ONCE = 200
_FIRST, _MORE = 200, 1_000
_AHEAD_MS = 300_000
_SILENT_WINDOWS, _SILENT_MS = 6, 900_000
_LEAST_USUAL = 3

SEVERITIES = ("critical", "warning", "info")
HEALTHS = (*SEVERITIES, "silent", "ok")
"""What a model may be, the worst first."""

QUALITY = tuple(
    name
    for name, metric in CATALOGUE.metrics.items()
    if metric.headline and metric.better != "neither" and metric.rests_on == ON_LABELS
    if not metric.counts
)
"""What stands for a model's quality: the first of these that it has."""

_BESIDE = ("error_rate", "latency_p95_ms")
_WANTED = (*_BESIDE, *QUALITY)
_RECENT = range(4)
_FURTHER = (range(4, SPARK), (32, 48, 64, 96, 144, 216, 288), (432, 576, 864, 1_152, 1_728, 2_016))
"""How many windows before the newest labels are looked for: a week of windows of five minutes."""

Pair = tuple[str, str]
"""A model and one of its versions."""

Open = dict[str, list[dict[str, Any]]]
"""Alerts that fire, by model, the newest first."""

Found = dict[str, dict[int, tuple[Any, ...]]]
"""Value, interval, coverage and whether it is final, by metric and the window's start."""


class Line(msgspec.Struct, frozen=True):
    """A version of a model.

    Attributes
    ----------
    length_ms
        Of its windows, of several lengths the shortest.
    newest_ms
        When the newest of them begins.
    predictions
        Of the newest window that is over.
    quality, quality_ms, value, low, high, final
        What stands for its quality, of the newest window that has it; where labels take more than
        a day, of one of the newest.
    usual
        Median of it over the older half of the last windows, final ones if there are; None of fewer
        than three.
    spark, traffic
        Quality and predictions of the last windows, the oldest first; None where there is none.
    """

    model: str
    version: str
    length_ms: int
    newest_ms: int
    predictions: int | None = None
    coverage: float | None = None
    error_rate: float | None = None
    latency_p95_ms: float | None = None
    quality: str = ""
    quality_ms: int | None = None
    value: float | None = None
    low: float | None = None
    high: float | None = None
    final: bool = False
    usual: float | None = None
    spark: tuple[float | None, ...] = ()
    traffic: tuple[float | None, ...] = ()


class Board(NamedTuple):
    """Models and open alerts at a time.

    Attributes
    ----------
    lines
        By model and version; those that have readings of hosts alone are in `hosts`.
    hosts
        Names of what has readings and no predictions.
    open
        Alerts that fire, by model.
    owners, tags
        By model, of its newest alert that names any: specifications are not in the history; see
        `agents.web.owning`.
    """

    lines: dict[Pair, Line]
    hosts: frozenset[str]
    open: Open
    owners: dict[str, str]
    tags: dict[str, dict[str, str]]

    def newest(self) -> dict[str, Line]:
        """Return the version of every model that was heard of last."""
        found: dict[str, Line] = {}
        for line in self.lines.values():
            known = found.get(line.model)
            if known is None or (line.newest_ms, line.version) > (known.newest_ms, known.version):
                found[line.model] = line
        return found

    def health(self, line: Line, at_ms: int) -> str:
        """Judge a model: by its worst open alert, then by whether anything comes."""
        firing = {alert["severity"] for alert in self.open.get(line.model, ())}
        for severity in SEVERITIES:
            if severity in firing:
                return severity
        silent_ms = at_ms - line.newest_ms - line.length_ms
        return "silent" if silent_ms > max(_SILENT_WINDOWS * line.length_ms, _SILENT_MS) else "ok"


EMPTY = Board({}, frozenset(), {}, {}, {})


def board_of(known: Known, at_ms: int) -> Board:
    """Read a board from the history."""
    *_, board = boards_of(known, at_ms)
    return board


def boards_of(known: Known, at_ms: int) -> Iterator[Board]:
    """Yield boards with more and more models, and all of them in the end."""
    names = known.names()
    board = renewed(EMPTY, known, at_ms, names[:_FIRST])
    yield board
    for first in range(_FIRST, len(names), _MORE):
        some = names[first : first + _MORE]
        board = renewed(board, known, at_ms, some, alerts=False)
        yield board


def renewed(
    board: Board, known: Known, at_ms: int, pairs: Sequence[Pair], *, alerts: bool = True
) -> Board:
    """Return a board on which some lines are read anew, and alerts if they have changed."""
    lines, hosts = dict(board.lines), set(board.hosts)
    for first in range(0, len(pairs), _AT_ONCE):
        some = pairs[first : first + _AT_ONCE]
        for pair in some:
            lines.pop(pair, None)
        for line in _lines(known, some, at_ms):
            if line.traffic or line.quality:
                lines[line.model, line.version] = line
            else:
                hosts.add(line.model)
    if not alerts:
        return board._replace(lines=lines, hosts=frozenset(hosts))
    return Board(lines, frozenset(hosts), *_alerts(known))


def _alerts(known: Known) -> tuple[Open, dict[str, str], dict[str, dict[str, str]]]:
    firing: Open = defaultdict(list)
    for alert in known.alerts(state="firing"):  # the newest first
        if alert["kind"] != "incident":  # which says of its alerts what they say
            firing[alert["model"]].append(alert)
    owned = known.owners()
    owners = {model: owner for model, owner, _ in owned if owner}
    return dict(firing), owners, {model: tags for model, _, tags in owned if tags}


# ------------------------------------------------------------------ lines
Windows = dict[Pair, tuple[int, int]]
"""Of every pair, when a window begins, and how long windows are."""


def _lines(known: Known, pairs: Sequence[Pair], at_ms: int) -> Iterator[Line]:
    newest = {(m, v): (start, length) for m, v, start, length in _newest(known, pairs)}
    recent = _values(known, newest, _WANTED, _RECENT)
    labelled = _labelled(known, newest, recent)
    traffic = _values(known, newest, ("predictions",), range(SPARK))
    quality: dict[Pair, Found] = {}
    for name in dict.fromkeys(name for name, _ in labelled.values()):
        windows = {pair: at for pair, (own, at) in labelled.items() if own == name}
        quality |= _values(known, windows, (name,), range(SPARK))
    for pair, (newest_ms, length_ms) in newest.items():
        line = Line(*pair, length_ms=length_ms, newest_ms=newest_ms)
        if pair in traffic:
            facts = _traffic(traffic[pair], recent.get(pair, {}), line, at_ms)
            line = msgspec.structs.replace(line, **facts)
        if pair in quality:
            name, (last_ms, _) = labelled[pair]
            facts = _quality(quality[pair][name], name, last_ms, length_ms)
            line = msgspec.structs.replace(line, **facts)
        yield line


def _labelled(
    known: Known, newest: Windows, recent: dict[Pair, Found]
) -> dict[Pair, tuple[str, tuple[int, int]]]:
    """Find what stands for the quality of each, and the newest window that has it, or almost.

    Labels may take days: windows are looked at that are further and further back.
    """
    looking, found = newest, dict(recent)
    labelled: dict[Pair, tuple[str, tuple[int, int]]] = {}
    for backs in (None, *_FURTHER):
        if backs is not None:
            found = _values(known, looking, QUALITY, backs)
        for pair, metrics in found.items():
            name = next((one for one in QUALITY if metrics.get(one)), None)
            if name is not None and pair in looking:
                labelled[pair] = name, (max(metrics[name]), newest[pair][1])
        looking = {pair: at for pair, at in looking.items() if pair not in labelled}
    return labelled


def _traffic(found: Found, recent: Found, line: Line, at_ms: int) -> dict[str, Any]:
    """Return what does not wait for labels, of the newest window that is over if there is one."""
    predictions = found["predictions"]
    over = [start for start in predictions if start <= at_ms - line.length_ms]
    last = max(over or predictions)
    own = {name: recent[name][last][0] for name in _BESIDE if last in recent.get(name, ())}
    starts = _starts(line.newest_ms, line.length_ms)
    values = tuple(predictions[start][0] if start in predictions else None for start in starts)
    return {"predictions": int(predictions[last][0]), "traffic": values, **own}


def _quality(
    points: dict[int, tuple[Any, ...]], name: str, last_ms: int, length_ms: int
) -> dict[str, Any]:
    value, low, high, coverage, final = points[last_ms]
    old = [points[start] for start in sorted(points)[: len(points) // 2]]
    settled = [one for one in old if one[4]]
    before = [one[0] for one in (settled if len(settled) >= _LEAST_USUAL else old)]
    starts = _starts(last_ms, length_ms)
    return {
        "quality": name,
        "quality_ms": last_ms,
        "value": value,
        "low": low,
        "high": high,
        "coverage": coverage,
        "final": bool(final),
        "usual": median(before) if len(before) >= _LEAST_USUAL else None,
        "spark": tuple(points[start][0] if start in points else None for start in starts),
    }


def _starts(last_ms: int, length_ms: int) -> list[int]:
    return [last_ms - length_ms * back for back in range(SPARK - 1, -1, -1)]


def _newest(known: Known, pairs: Sequence[Pair]) -> Iterable[Any]:
    """Find of every pair when the newest window begins, and its length."""
    live = known.until_ms is None
    names = {f"m{n}": model for n, (model, _) in enumerate(pairs)}
    names |= {f"v{n}": version for n, (_, version) in enumerate(pairs)}
    rows = ", ".join(f"(:m{n}, :v{n})" for n in range(len(pairs)))
    question = (_NEWEST if live else _NEWEST_ASOF).format(pairs=rows)
    return _read(known.connection, question, names, until_ms=known.until_ms)


def _values(
    known: Known, windows: Windows, wanted: Sequence[str], backs: Iterable[int]
) -> dict[Pair, Found]:
    """Read metrics of windows and of those before them."""
    if not windows:
        return {}
    bound: dict[str, Any] = {}
    for n, ((model, version), (start, length)) in enumerate(windows.items()):
        bound |= {f"m{n}": model, f"v{n}": version, f"s{n}": start, f"l{n}": length}
    pairs = ", ".join(
        f"(:m{n}, :v{n}, CAST(:s{n} AS BIGINT), CAST(:l{n} AS BIGINT))" for n in range(len(windows))
    )
    question = (_VALUES if known.until_ms is None else _VALUES_ASOF).format(
        pairs=pairs,
        wanted=", ".join(f"('{name}')" for name in wanted),
        backs=", ".join(f"({back})" for back in backs),
    )
    found: dict[Pair, Found] = {}
    for row in _read(known.connection, question, bound, until_ms=known.until_ms).fetchall():
        model, version, metric, start_ms, *values = tuple(row)
        found.setdefault((model, version), {}).setdefault(metric, {})[start_ms] = tuple(values)
    return found


def _read(
    connection: Connection, question: str, bound: dict[str, Any], *, until_ms: int | None
) -> CursorResult[Any]:
    if until_ms is not None:
        bound |= {"until": until_ms, "ahead": until_ms + _AHEAD_MS}
    return connection.execute(text(question), bound)


_NEWEST = """
WITH pairs(model, version) AS (VALUES {pairs}), newest AS (
    SELECT model, version, (
        SELECT max(r.window_start_ms) FROM metrics r
        WHERE r.model = pairs.model AND r.version = pairs.version AND r.segment = ''
    ) AS start_ms FROM pairs
)
SELECT model, version, start_ms, (
    SELECT min(r.window_end_ms) FROM metrics r
    WHERE r.model = newest.model AND r.version = newest.version AND r.segment = ''
      AND r.window_start_ms = start_ms
) - start_ms FROM newest WHERE start_ms IS NOT NULL
"""
_NEWEST_ASOF = """
WITH pairs(model, version) AS (VALUES {pairs}), newest AS (
    SELECT model, version, (
        SELECT r.window_start_ms FROM metric_revisions r
        WHERE r.model = pairs.model AND r.version = pairs.version AND r.segment = ''
          AND r.window_start_ms <= :ahead AND r.visible_at_ms <= :until
        ORDER BY r.window_start_ms DESC LIMIT 1
    ) AS start_ms FROM pairs
)
SELECT model, version, start_ms, (
    SELECT min(r.window_end_ms) FROM metric_revisions r
    WHERE r.model = newest.model AND r.version = newest.version AND r.segment = ''
      AND r.window_start_ms = start_ms AND r.visible_at_ms <= :until
) - start_ms FROM newest WHERE start_ms IS NOT NULL
"""
_WITH = """
WITH pairs(model, version, start_ms, length_ms) AS (VALUES {pairs}),
wanted(metric) AS (VALUES {wanted}), backs(back) AS (VALUES {backs})
SELECT r.model, r.version, r.metric, r.window_start_ms, r.value, r.low, r.high, r.coverage, r.final
FROM pairs CROSS JOIN backs CROSS JOIN wanted
"""
_VALUES = f"""{_WITH} CROSS JOIN metrics r
WHERE r.model = pairs.model AND r.version = pairs.version AND r.segment = ''
  AND r.window_start_ms = pairs.start_ms - back * pairs.length_ms
  AND r.window_end_ms = pairs.start_ms - back * pairs.length_ms + pairs.length_ms
  AND r.metric = wanted.metric
"""
_VALUES_ASOF = f"""{_WITH} CROSS JOIN metric_revisions r
WHERE r.id = (
    SELECT max(x.id) FROM metric_revisions x
    WHERE x.model = pairs.model AND x.version = pairs.version AND x.segment = ''
      AND x.window_start_ms = pairs.start_ms - back * pairs.length_ms
      AND x.window_end_ms = pairs.start_ms - back * pairs.length_ms + pairs.length_ms
      AND x.metric = wanted.metric AND x.visible_at_ms <= :until
  ) AND NOT r.deleted
"""
