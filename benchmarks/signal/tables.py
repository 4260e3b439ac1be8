"""The tables: a line for every row that stays as it is, one for every change."""

from collections.abc import Callable, Iterable, Sequence
from statistics import median

from benchmarks.signal.change import Change
from benchmarks.signal.jobs import OLD, OTHERS, OURS, ROWS, Done
from benchmarks.signal.stationary import RATES, Row
from benchmarks.signal.verdict import Noise, Noticed, Rate, Summary, rate, summary

MOST_WARNINGS, MOST_INFOS = 1.0, 5.0
"""A month, of one model: what the defaults are held to."""

Found = Sequence[Done]

_NONE = "·"
"""Where no stream was run."""


def noise_table(found: Found) -> str:
    """Return false alarms of rows in which nothing changes, a cell for all rates of a row."""
    methods, rates = _methods(found), _rates(found)
    head = ["stationary row", "warnings", "at most", "infos", "at most", *methods]
    lines = [_line(head), _line(["---"] * len(head))]
    for row in ROWS.values():
        own = _by_rate(found, row.name, rates)
        if isinstance(row, Row) and any(own):
            lines.append(_line([row.title, *_noise_cells(own, methods)]))
    return "\n".join(lines) + "\n"


def _noise_cells(own: Sequence[Found], methods: Sequence[str]) -> list[str]:
    warnings = [_rate(of, OURS, _warnings) for of in own]
    infos = [_rate(of, OURS, _infos) for of in own]
    cells = [
        _cell(_marked(one, MOST_WARNINGS) for one in warnings),
        _cell(_limit(one) for one in warnings),
        _cell(_marked(one, MOST_INFOS) for one in infos),
        _cell(_limit(one) for one in infos),
    ]
    for name in methods:
        every = [_rate(of, name, lambda one: one.warnings + one.infos) for of in own]
        cells.append(_cell(_marked(one, None) for one in every))
    return cells


def changes_table(found: Found) -> str:
    """Return what became of changes: shares noticed and delays by rate, and what each costs."""
    methods, rates = _methods(found), _rates(found)
    ours = [f"{size // 1_000}k" for size in rates]
    head = ["change", *ours, "alerts", "of one input", "open", *methods]
    lines = [_line(head), _line(["---"] * len(head))]
    for row in ROWS.values():
        own = _by_rate(found, row.name, rates)
        if isinstance(row, Change) and any(own):
            lines.append(_line([row.title, *_change_cells(own, methods)]))
    return "\n".join(lines) + "\n"


def _change_cells(own: Sequence[Found], methods: Sequence[str]) -> list[str]:
    ours = [summary(_noticed(of, OURS)) for of in own]
    cells = [_delay(one) for one in ours]
    seen = [one for one in ours if one is not None]
    cells.append(_cell(number(one.alerts) for one in seen))
    cells.append(_cell(number(one.most) for one in seen))
    cells.append(_cell(f"{one.open:.0%}" if one.share else "–" for one in seen))
    others = [[summary(_noticed(of, name)) for of in own] for name in methods]
    return [*cells, *(_cell(map(_delay, every)) for every in others)]


def evidence_table(found: Found) -> str:
    """Return what the first alert says of the new level and of the onset, beside the truth."""
    head = ["change", "truth", "first alert says", "onset off by, hours"]
    lines = [_line(head), _line(["---"] * len(head))]
    for row in ROWS.values():
        if not isinstance(row, Change) or row.after is None:
            continue
        own = [_noticed(of, OURS) for of in _by_rate(found, row.name, _rates(found))]
        levels = [[one.after for one in of if one.after is not None] for of in own]
        onsets = [[abs(one.onset_h) for one in of if one.onset_h is not None] for of in own]
        if any(levels):
            cells = _cell(map(_median, levels)), _cell(map(_median, onsets))
            lines.append(_line([row.title, f"{row.after:.3g}", *cells]))
    return "\n".join(lines) + "\n"


def _median(values: Sequence[float]) -> str:
    return f"{median(values):.3g}" if values else "–"


def _delay(one: Summary | None) -> str:
    """Say how soon a change was noticed, and how often, unless that is always."""
    if one is None:
        return _NONE
    if one.delay_h is None:
        return "never"
    share = "" if one.share == 1 else f" ({one.share:.0%})"
    return f"{number(one.delay_h)}{share}"


def _methods(found: Found) -> list[str]:
    """Return what stands beside."""
    names = {name for one in found for name in (*one.noise, *one.noticed)}
    return [name for name in (OLD, *OTHERS) if name in names]


def _rates(found: Found) -> list[int]:
    return sorted({one.rate for one in found} & set(RATES))


def _by_rate(found: Found, name: str, rates: Sequence[int]) -> list[Found]:
    """Return the streams of a row, by rate; of a row that has other rates, by these."""
    own = [one for one in found if one.name == name]
    there = sorted({one.rate for one in own})
    return [
        [one for one in own if one.rate == size]
        for size in (rates if set(there) <= set(rates) else there)
    ]


def _rate(of: Found, method: str, count: Callable[[Noise], int]) -> Rate | None:
    counts = [count(one.noise[method]) for one in of if method in one.noise]
    return rate(counts) if counts else None


def _warnings(noise: Noise) -> int:
    return noise.warnings


def _infos(noise: Noise) -> int:
    return noise.infos


def _noticed(of: Found, method: str) -> list[Noticed]:
    return [one.noticed[method] for one in of if method in one.noticed]


def _marked(one: Rate | None, most: float | None) -> str:
    if one is None:
        return _NONE
    text = number(one.mean)
    return f"**{text}**" if most is not None and one.mean > most else text


def _limit(one: Rate | None) -> str:
    return _NONE if one is None else number(one.limit)


def number(value: float) -> str:
    """Write two digits that count.

    Examples
    --------
    >>> [number(one) for one in (0, 0.04, 0.94, 1.0, 3.14159, 27.2, 1208.0)]
    ['0', '0.04', '0.9', '1', '3.1', '27', '1208']
    """
    if value == 0 or value >= 10:
        return f"{value:.0f}"
    return f"{value:.2f}" if value < 0.1 else f"{value:.1f}".removesuffix(".0")


def _cell(values: Iterable[str]) -> str:
    every = list(values)
    return every[0] if len(set(every)) == 1 else " / ".join(every) or _NONE


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"
