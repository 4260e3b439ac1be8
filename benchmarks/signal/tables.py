"""The tables: a line for every row that stays as it is, one for every change."""

from collections.abc import Callable, Iterable, Sequence
from statistics import median

from benchmarks.signal.change import Change
from benchmarks.signal.jobs import OLD, OTHERS, OURS, ROWS, Done
from benchmarks.signal.stationary import Row
from benchmarks.signal.verdict import Noise, Noticed, Rate, Summary, rate, summary

MOST_WARNINGS, MOST_INFOS = 1.0, 5.0
"""A month, of one model: what the defaults are held to."""

Found = Sequence[Done]


def noise_table(found: Found) -> str:
    """Return false alarms of rows in which nothing changes, a cell for all rates of a row."""
    methods = [name for name in (OLD, *OTHERS) if _has(found, name)]
    head = ["stationary row", "warnings", "at most", "infos", "at most", *methods]
    lines = [_line(head), _line(["---"] * len(head))]
    for row in ROWS.values():
        own = _by_rate(found, row.name)
        if isinstance(row, Row) and own:
            lines.append(_line([row.title, *_noise_cells(own, methods)]))
    return "\n".join(lines) + "\n"


def _noise_cells(own: Sequence[Found], methods: Sequence[str]) -> list[str]:
    warnings = [_rate(of, OURS, _warnings) for of in own]
    infos = [_rate(of, OURS, _infos) for of in own]
    cells = [
        _cell(_marked(one.mean, one.mean > MOST_WARNINGS) for one in warnings),
        _cell(number(one.limit) for one in warnings),
        _cell(_marked(one.mean, one.mean > MOST_INFOS) for one in infos),
        _cell(number(one.limit) for one in infos),
    ]
    for name in methods:
        every = [_rate(of, name, _warnings).mean + _rate(of, name, _infos).mean for of in own]
        cells.append(_cell(map(number, every)))
    return cells


def changes_table(found: Found) -> str:
    """Return what became of changes: shares noticed and delays by rate, and what each costs."""
    rates = sorted({one.rate for one in found if one.noticed})
    methods = [name for name in (OLD, *OTHERS) if _has(found, name)]
    ours = [f"{size // 1_000}k" for size in rates]
    head = ["change", *ours, "alerts", "of one input", "open", *methods]
    lines = [_line(head), _line(["---"] * len(head))]
    for row in ROWS.values():
        own = _by_rate(found, row.name)
        if isinstance(row, Change) and own:
            lines.append(_line([row.title, *_change_cells(own, methods)]))
    return "\n".join(lines) + "\n"


def _change_cells(own: Sequence[Found], methods: Sequence[str]) -> list[str]:
    ours = [summary(_noticed(of, OURS)) for of in own]
    cells = [_delay(one) for one in ours]
    cells.append(_cell(number(one.alerts) for one in ours))
    cells.append(_cell(number(one.most) for one in ours))
    cells.append(_cell(f"{one.open:.0%}" if one.share else "–" for one in ours))
    others = [[summary(_noticed(of, name)) for of in own] for name in methods]
    return [*cells, *(_cell(map(_delay, every)) for every in others)]


def evidence_table(found: Found) -> str:
    """Return what the first alert says of the new level and of the onset, beside the truth."""
    head = ["change", "truth", "first alert says", "onset off by, hours"]
    lines = [_line(head), _line(["---"] * len(head))]
    for row in ROWS.values():
        if not isinstance(row, Change) or row.after is None:
            continue
        own = [_noticed(of, OURS) for of in _by_rate(found, row.name)]
        levels = [[one.after for one in of if one.after is not None] for of in own]
        onsets = [[abs(one.onset_h) for one in of if one.onset_h is not None] for of in own]
        if any(levels):
            cells = _cell(map(_median, levels)), _cell(map(_median, onsets))
            lines.append(_line([row.title, f"{row.after:.3g}", *cells]))
    return "\n".join(lines) + "\n"


def _median(values: Sequence[float]) -> str:
    return f"{median(values):.3g}" if values else "–"


def _delay(one: Summary) -> str:
    """Say how soon a change was noticed, and how often, unless that is always."""
    if one.delay_h is None:
        return "never"
    share = "" if one.share == 1 else f" ({one.share:.0%})"
    return f"{number(one.delay_h)}{share}"


def _by_rate(found: Found, name: str) -> list[Found]:
    own = [one for one in found if one.name == name]
    return [[one for one in own if one.rate == size] for size in sorted({o.rate for o in own})]


def _rate(of: Found, method: str, count: Callable[[Noise], int]) -> Rate:
    return rate([count(one.noise[method]) for one in of if method in one.noise] or [0])


def _warnings(noise: Noise) -> int:
    return noise.warnings


def _infos(noise: Noise) -> int:
    return noise.infos


def _noticed(of: Found, method: str) -> list[Noticed]:
    return [one.noticed[method] for one in of if method in one.noticed]


def _has(found: Found, method: str) -> bool:
    return any(method in one.noise or method in one.noticed for one in found)


def _marked(value: float, beyond: bool) -> str:
    return f"**{number(value)}**" if beyond else number(value)


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
    return every[0] if len(set(every)) == 1 else " / ".join(every)


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"
