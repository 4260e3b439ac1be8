"""How close numbers have to be, and why some cannot be."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

Numbers = Mapping[str, float]

RAW, BINNED, EVIDENTLY, NANNYML = "scikit-learn, scipy", "same bins", "Evidently", "NannyML"


class Tolerance(NamedTuple):
    """How far numbers may be apart: absolutely, or as a share of driftline's."""

    distance: float
    share: bool = False

    def __str__(self) -> str:
        """Say it as the page does."""
        return f"{100 * self.distance:g} %" if self.share else f"{self.distance:g}"


EXACT = Tolerance(1e-9)
QUANTILE = Tolerance(0.008, share=True)
TOLERANCES = {
    "roc_auc": Tolerance(0.005),
    "pr_auc": Tolerance(0.005),
    "feature_p05": QUANTILE,
    "feature_p50": QUANTILE,
    "feature_p95": QUANTILE,
    "psi": Tolerance(0.025),
    "js": Tolerance(0.0125),
    "ks": Tolerance(0.005),
    "wasserstein": Tolerance(0.01),
    "cramers_v": Tolerance(0.001),
}
"""By metric, of the values themselves; all others are exact."""

P_VALUES = {(EVIDENTLY, "ks")}
"""What is another quantity: the probability of such a distance by chance."""

_FEW = "of few rows, one bin holds more than 0.5 %; of the same bins it is equal"
_BETWEEN = "it interpolates between two values, which are far apart here"
REASONS = {
    (RAW, "ks"): _FEW,
    (NANNYML, "ks"): _FEW,
    (EVIDENTLY, "ks"): "the p-value of the distance, not the distance",
    (EVIDENTLY, "psi"): "Sturges' bins, of equal width, over both halves; empty ones hold 0.0001",
    (EVIDENTLY, "js"): "Sturges' bins, of equal width, over both halves",
    (NANNYML, "js"): "Doane's bins, of equal width, of the first half",
    (EVIDENTLY, "feature_p05"): _BETWEEN,
    (EVIDENTLY, "feature_p50"): _BETWEEN,
    (EVIDENTLY, "feature_p95"): _BETWEEN,
    (NANNYML, "feature_p50"): _BETWEEN,
}
"""Why a number of theirs may be another one."""


class UnexplainedError(RuntimeError):
    """A number differs and nobody knows why."""


@dataclass(frozen=True)
class Row:
    """A metric on every side.

    Attributes
    ----------
    metric
        Its name.
    ours, theirs
        driftline's number, and those of all that have one.
    """

    metric: str
    ours: float
    theirs: dict[str, float]

    @property
    def name(self) -> str:
        """What the metric is called without its feature."""
        return self.metric.partition(":")[0]

    @property
    def tolerance(self) -> Tolerance:
        """How far from driftline's number others may be, which have the values themselves."""
        return TOLERANCES.get(self.name, EXACT)

    def tolerance_of(self, side: str) -> Tolerance:
        """Return how far from driftline's number a side's may be."""
        return EXACT if side == BINNED else self.tolerance

    @property
    def differences(self) -> dict[str, float]:
        """How far from driftline's number the others are, which are the same quantity."""
        return {
            side: abs(value - self.ours)
            for side, value in self.theirs.items()
            if (side, self.name) not in P_VALUES
        }

    def within(self, side: str) -> bool:
        """Say whether a side's number is the same, within the tolerance."""
        distance, share = self.tolerance_of(side)
        if share:
            distance *= abs(self.ours)
        return side in self.differences and self.differences[side] <= distance

    @property
    def others(self) -> list[str]:
        """Return sides whose number is another one."""
        return [side for side in self.theirs if not self.within(side)]

    @property
    def why(self) -> dict[str, str]:
        """Return why that is, by side.

        Raises
        ------
        UnexplainedError
            If it is not known.
        """
        reasons = {side: REASONS.get((side, self.name)) for side in self.others}
        for side, reason in reasons.items():
            if reason is None:
                raise UnexplainedError(
                    f"{self.metric} is {self.ours!r}, and {self.theirs[side]!r} of {side}: "
                    f"not within {self.tolerance_of(side)}"
                )
        return {side: reason for side, reason in reasons.items() if reason}


def rows(ours: Numbers, theirs: Mapping[str, Numbers]) -> list[Row]:
    """Put numbers beside each other, in the order in which the first of the others has them.

    Raises
    ------
    UnexplainedError
        If others have a number that driftline has not.
    """
    names = list(dict.fromkeys(name for numbers in theirs.values() for name in numbers))
    missing = [name for name in names if name not in ours]
    if missing:
        raise UnexplainedError(f"driftline has no {', '.join(missing)}")
    return [
        Row(name, ours[name], {side: has[name] for side, has in theirs.items() if name in has})
        for name in names
    ]
