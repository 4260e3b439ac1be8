"""What rules of every kind know of the models of a partition."""

from collections.abc import Sequence

from streams.cells.windows import WindowCells
from streams.families.family import Family
from streams.model_keys import Name
from streams.monitor.alerts import Alerts
from streams.monitor.plans import Plans
from streams.monitors import Monitors
from streams.rules import Judge
from streams.rules.absences import Absences
from streams.rules.composites import Composites
from streams.rules.paced import PacedRules


class RuleStates:
    """What rules of every kind know.

    Attributes
    ----------
    judge
        Judges those.
    limits
        Rules that hold metrics against limits, and what these look at.
    lives
        What such rules remember from one look to the next.
    absences, composites
        Rules on what does not come, and on what fires.
    """

    def __init__(
        self,
        families: Sequence[Family],
        monitors: Monitors,
        *,
        plans: Plans,
        windows: WindowCells,
        judge: Judge,
        names: Sequence[Name],
        alerts: Alerts,
    ) -> None:
        self.judge, self.lives = judge, judge.lives
        self.absences = Absences(is_firing=alerts.is_firing)
        self.composites = Composites(firing_of=alerts.firing_of, is_firing=alerts.is_firing)
        self.limits = PacedRules(
            families,
            windows.grid.world,
            plan_of=plans.of,
            plans=plans.every,
            judge=judge,
            names=names,
            enough=monitors.reference,
            baselines=windows.baselines,
        )

    def watch(self, code: int, name: Name, monitors: Monitors, *, bucket: int) -> bool:
        """Let rules on absence, and composites, be for a model; tell if any looks at its rows."""
        absences = monitors.absences_of(*name)
        self.absences.watch(code, name, absences, bucket=bucket)
        self.composites.watch(code, monitors.composites_of(*name))
        return bool(absences)

    def forget(self, code: int) -> None:
        """Forget what rules remember of a model from one look to the next."""
        self.lives.forget([code])
        self.judge.usuals.forget([code])
        self.absences.forget(code)
        self.composites.watch(code, ())
