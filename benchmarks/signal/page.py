"""docs/signal.md: the tables, and how to read them."""

from collections.abc import Sequence
from pathlib import Path
from string import Template

from benchmarks.signal.jobs import ROWS, Done
from benchmarks.signal.stationary import RATES, Row
from benchmarks.signal.tables import changes_table, evidence_table, noise_table

_HERE = Path(__file__).parent
PAGE = _HERE.parents[1] / "docs" / "signal.md"
_ROWS = list(ROWS.values())
_TEMPLATE = Template((_HERE / "template.md").read_text(encoding="utf-8"))


def page(found: Sequence[Done], *, monitors: Path | None = None) -> str:
    """Return the page.

    Parameters
    ----------
    monitors
        Those that were judged; `None` for the defaults.
    """
    judged = "the default monitors" if monitors is None else f"the monitors of `{monitors}`"
    return _TEMPLATE.substitute(
        judged=judged,
        rates=" or ".join(f"{size:,}" for size in sorted({o.rate for o in found} & set(RATES))),
        noise=noise_table(found),
        changes=changes_table(found),
        evidence=evidence_table(found),
        seeds=_seeds(found),
    )


def _seeds(found: Sequence[Done]) -> str:
    """Say how many streams each row has at every rate, and where not all rows have been run."""
    parts = []
    for rate in sorted({one.rate for one in found}):
        numbers = sorted({one.seed for one in found if one.rate == rate})
        seeds = f"seeds {numbers[0]} to {numbers[-1]}" if numbers[1:] else f"seed {numbers[0]}"
        rows = len({one.name for one in found if one.rate == rate})
        every = sum(rate in one.rates if isinstance(one, Row) else rate in RATES for one in _ROWS)
        part = "" if rows == every else f", {rows} of {every} rows"
        parts.append(f"{len(numbers)} at {rate:,} ({seeds}{part})")
    return ", ".join(parts)
