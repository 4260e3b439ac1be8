"""What a replay found of its recording: fates, dead letters, and what is odd about it."""

from __future__ import annotations

from agents.replay_results import Results
from agents.report.views import Shown
from agents.web.screens.pipeline import fates_panel, letters_panel
from agents.web.screens.screen import Answer, Panel
from agents.web.told import Letters


def recording(results: Results) -> Shown:
    """Return the view; its numbers are those of `replay --json`."""
    summary = results.summary()
    letters = [
        Letters(
            one["file"],
            one["reason"],
            one["records"],
            None,
            f"{one['file']}:{one['line']}",
            one["detail"],
            one["value"],
        )
        for one in summary["dead_letter_reasons"]
    ]
    remarks = [*map(str, results.kinds), *results.oddities]
    remarks += [f"left out {one.count} of {one}, and the like" for one in results.dropped]
    panels = {
        "fates": fates_panel(summary["fates"]),
        "letters": letters_panel(letters),
        "remarks": Panel(("remark",), [(one,) for one in remarks]),
    }
    facts = {name: summary[name] for name in ("lines", "readings", "disorder_ms", "metrics")}
    return Shown("pipeline", "Recording", {}, Answer(panels, {"recording": facts}))
