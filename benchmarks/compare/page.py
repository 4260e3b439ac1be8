"""docs/comparison.md: what the numbers are, side by side."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from string import Template

from benchmarks.compare.data import DataSet
from benchmarks.compare.verdict import BINNED, EVIDENTLY, NANNYML, P_VALUES, RAW, Row

DISTANCES = ("psi", "js", "ks", "wasserstein", "cramers_v")

TEMPLATE = Template((Path(__file__).parent / "template.md").read_text(encoding="utf-8"))


def page(
    found: Mapping[DataSet, Sequence[Row]],
    *,
    versions: Mapping[str, Mapping[str, str]],
    absent: Mapping[str, str],
) -> str:
    """Return the page.

    Parameters
    ----------
    found
        The metrics of every data set.
    versions
        Of packages, by environment.
    absent
        Tools that have no numbers here, and why.
    """
    summary = _summary([row for rows in found.values() for row in rows])
    missing = [f"\n**{tool}** has no numbers here: {why}.\n" for tool, why in absent.items()]
    return TEMPLATE.substitute(
        summary=summary + "".join(missing),
        versions=_versions(versions),
        sections="\n".join(_section(data, rows) for data, rows in found.items()),
    )


def _summary(rows: Sequence[Row]) -> str:
    lines = ["| | numbers | the same within the tolerance | another quantity or definition |"]
    lines.append("|---|---|---|---|")
    for side in (RAW, BINNED, EVIDENTLY, NANNYML):
        of = [row for row in rows if side in row.theirs]
        others = sum(side in row.others for row in of)
        lines.append(f"| {side} | {len(of)} | {len(of) - others} | {_reasons(of, side)} |")
    return "\n".join(lines) + "\n"


def _reasons(rows: Sequence[Row], side: str) -> str:
    """Say how many numbers are others, by metric and reason."""
    counts: dict[str, int] = {}
    for row in rows:
        if side in row.others:
            reason = f"`{row.name}`: {row.why[side]}"
            counts[reason] = counts.get(reason, 0) + 1
    return "<br>".join(f"{count} {reason}" for reason, count in counts.items()) or "none"


def _versions(versions: Mapping[str, Mapping[str, str]]) -> str:
    lines = ["| environment | packages |", "|---|---|"]
    for name, packages in versions.items():
        lines.append(f"| {name} | {', '.join(' '.join(one) for one in packages.items())} |")
    return "\n".join(lines) + "\n"


def _section(data: DataSet, rows: Sequence[Row]) -> str:
    sizes = f"{len(data.reference)} rows are the baseline, {len(data.window)} the window"
    distances = [row for row in rows if row.name in DISTANCES]
    quality = [row for row in rows if row.name not in DISTANCES]
    title = data.name.replace("_", " ").capitalize()
    tables = (
        _table(quality, sides=(RAW, EVIDENTLY, NANNYML)),
        _table(distances, sides=(RAW, BINNED, EVIDENTLY, NANNYML)),
    )
    return f"## {title}\n\n{data.source}; {sizes}.\n\n" + "\n".join(tables)


def _table(rows: Sequence[Row], *, sides: Sequence[str]) -> str:
    head = ("metric", "tolerance", "driftline", *sides, "largest difference", "the same", "why not")
    lines = [_line(head), _line("---" for _ in head)]
    for row in rows:
        values = (_value(row, side) for side in sides)
        different = f"{max(row.differences.values()):.1g}"
        first = (f"`{row.metric}`", str(row.tolerance), f"{row.ours:.6g}")
        lines.append(_line((*first, *values, different, _same(row), _why(row))))
    return "\n".join(lines) + "\n"


def _why(row: Row) -> str:
    """Say why others are others, each reason once."""
    sides: dict[str, list[str]] = {}
    for side, reason in row.why.items():
        sides.setdefault(reason, []).append(side)
    return "; ".join(f"{' and '.join(of)}: {reason}" for reason, of in sides.items())


def _value(row: Row, side: str) -> str:
    if side not in row.theirs:
        return "–"
    sign = "p " if (side, row.name) in P_VALUES else ""
    return f"{sign}{row.theirs[side]:.6g}"


def _same(row: Row) -> str:
    if not row.others:
        return "all"
    return ", ".join(side for side in row.theirs if side not in row.others) or "none"


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"
