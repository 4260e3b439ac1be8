"""What is watched: a line for every input. Its rows are taken out in `streams.scan.feed`."""

from typing import Any, NamedTuple

from streams.scan.reference import COUNT, NUMBER, SHARE


class Input(NamedTuple):
    """A kind of lanes.

    Attributes
    ----------
    name
        In the state, for ever.
    watched
        What `input:` of a monitor says; empty where nobody looks at the lane itself.
    kind
        What is added up.
    of_rows
        Whether its sums are of all predictions of the model, of which it is told the share alone.
    complement
        Whether it is told of those predictions that are no part of the share.
    least
        How many rows a window must have.
    most
        So many names of a model have lanes, the largest; 0 for all.
    head
        What alerts say before the name; empty for what `watched` says.
    serves
        Which other input needs it, too; where nobody looks at it itself, empty is all.
    unit
        What one is, in the unit that alerts tell.
    worse
        In which direction it is worse; 0 for a change that is neither.
    cause
        What it points to where it is another than usual: data, model or environment.
    skewed
        Whether a few of its numbers are much larger than the others: they are no ranks.
    """

    name: str
    watched: str
    kind: int
    of_rows: bool = False
    complement: bool = False
    least: int = 20
    most: int = 0
    head: str = ""
    serves: str = ""
    unit: float = 1.0
    worse: int = 0
    cause: str = "data"
    skewed: bool = False


class Ranked(NamedTuple):
    """An input of numbers: lanes of their ranks, and of the numbers themselves for evidence.

    Attributes
    ----------
    spread
        How far ranks are from the middle; `None` where nobody asks.
    """

    level: Input
    value: Input
    spread: Input | None = None


def _ranked(name: str, *, watched: str, spread: bool = False, **more: Any) -> Ranked:
    return Ranked(
        Input(name, watched, NUMBER, **more),
        Input(f"{name} value", "", NUMBER),
        Input(f"{name} spread", watched, NUMBER, **more) if spread else None,
    )


MOST_NAMES = 20
"""So many classes, and segments, of a model have a loss of their own."""

LARGEST_LOG_LOSS = 8.0
"""A larger one counts as this: a single answer that was sure and wrong says no more."""

_FEW_ROWS = 5
_WORSE: dict[str, Any] = {"worse": 1, "cause": "model"}
_AROUND: dict[str, Any] = {"cause": "environment"}
_NAMED: dict[str, Any] = {"least": _FEW_ROWS, "most": MOST_NAMES, **_WORSE}
_CLASS: dict[str, Any] = {"watched": "loss_by_class", "head": "loss:class", **_NAMED}
_SEGMENT: dict[str, Any] = {"watched": "loss_by_segment", "head": "loss:segment", **_NAMED}

WRONG = Input("wrong", "loss", SHARE, **_WORSE)
DISTANCE = _ranked("distance", watched="loss", **_WORSE)
FEATURE = Ranked(
    Input("feature", "features", NUMBER, serves="type", head="feature"),
    Input("feature value", "", NUMBER),
    Input("feature spread", "features", NUMBER, head="feature"),
)
SCORE = _ranked("score", watched="score", spread=True)
LATENCY = _ranked("latency", watched="latency", **_AROUND)
DELAY = _ranked("delay", watched="label_delay", **_AROUND)
MISSING = Input("missing", "missing", SHARE, of_rows=True, complement=True)
CLASS = Input("class", "predictions", SHARE, of_rows=True, head="prediction")
TRAFFIC = Input("traffic", "traffic", COUNT, least=1, **_AROUND)
LABELS = Input("labels", "labels", COUNT, least=1, **_AROUND)
VERSION = Input("version", "", COUNT)
LOG_LOSS = Input("log loss", "log_loss", NUMBER, unit=LARGEST_LOG_LOSS, skewed=True, **_WORSE)
CLASS_WRONG = Input("class wrong", kind=SHARE, **_CLASS)
TYPE = Input("type", "type", SHARE)
UNSEEN = Input("unseen", "unseen", SHARE)
COVERAGE = Input("coverage", "coverage", SHARE, worse=-1, **_AROUND)
LABELLED = Input("labelled", "", COUNT, serves="coverage")
FAILED = Input("failed", "", COUNT)
SEGMENT_WRONG = Input("segment wrong", kind=SHARE, **_SEGMENT)
SEGMENT_DISTANCE = _ranked("segment distance", **_SEGMENT)
SEGMENT_CHANCE = _ranked("segment chance", **_SEGMENT)

RANKED = DISTANCE, FEATURE, SCORE, LATENCY, DELAY, SEGMENT_DISTANCE, SEGMENT_CHANCE
INPUTS: tuple[Input, ...] = (
    WRONG,
    *(one for ranked in RANKED[:5] for one in ranked if one is not None),
    MISSING,
    CLASS,
    TRAFFIC,
    LABELS,
    VERSION,
    LOG_LOSS,
    CLASS_WRONG,
    SEGMENT_WRONG,
    *(one for ranked in RANKED[5:] for one in ranked if one is not None),
    TYPE,
    UNSEEN,
    COVERAGE,
    LABELLED,
    FAILED,
)
"""Their places are in the state: others come at the end."""

BY_NAME = {one.name: place for place, one in enumerate(INPUTS)}
RANKED_BY_NAME = {one.level.name: one for one in RANKED}

RANKS_OF = {"segment distance": ("distance", ""), "segment chance": ("distance", "chance")}
"""Lanes whose ranks are those of another one, by its input and name."""

WATCHED = {
    "loss": "wrong predictions, or how far numbers are off",
    "loss_by_class": f"wrong predictions among those of each true class, the {MOST_NAMES} largest",
    "loss_by_segment": f"the loss of each segment, of the {MOST_NAMES} largest",
    "log_loss": "log loss of scores that are probabilities, each at most 8",
    "score": "scores: their level and spread",
    "features": "each feature that is a number: its level and spread",
    "missing": "how often each feature is missing",
    "type": "how often a feature is a text where numbers were",
    "unseen": "how often a feature is a category, or a number, that the first day did not have",
    "predictions": "how often each class is predicted",
    "traffic": "how many predictions come",
    "labels": "how many labels come",
    "coverage": "how many predictions of an hour have a label once the horizon has passed",
    "latency": "how long predictions take",
    "label_delay": "how long labels take to come",
}
"""What `input:` may say, and what it means."""


def label(place: int, name: str) -> str:
    """Return how alerts name a lane.

    Examples
    --------
    >>> label(BY_NAME["feature spread"], "age"), label(BY_NAME["wrong"], "")
    ('feature:age:spread', 'loss')
    """
    one = INPUTS[place]
    spread = ":spread" if one.name.endswith(" spread") else ""
    head = one.head or one.watched
    return f"{head}:{name}{spread}" if name else f"{head}{spread}"


CAUSES = {
    label(place, "").partition(":")[0]: one.cause for place, one in enumerate(INPUTS) if one.watched
}
"""What alerts on an input point to, by what they say before its name."""


def segment_of(place: int, name: str) -> str:
    """Return the segment that a lane is of; empty for all rows.

    Examples
    --------
    >>> segment_of(BY_NAME["segment wrong"], "site=b"), segment_of(BY_NAME["class"], "1")
    ('site=b', '')
    """
    return name if INPUTS[place].watched == _SEGMENT["watched"] else ""
