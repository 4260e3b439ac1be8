"""What is watched: a line for every input. Its rows are taken out in `streams.scan.feed`."""

from typing import NamedTuple

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
    """

    name: str
    watched: str
    kind: int
    of_rows: bool = False
    complement: bool = False
    least: int = 20


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


def _ranked(name: str, *, watched: str, spread: bool = False) -> Ranked:
    return Ranked(
        Input(name, watched, NUMBER),
        Input(f"{name} value", "", NUMBER),
        Input(f"{name} spread", watched, NUMBER) if spread else None,
    )


WRONG = Input("wrong", "loss", SHARE)
DISTANCE = _ranked("distance", watched="loss")
FEATURE = _ranked("feature", watched="features", spread=True)
SCORE = _ranked("score", watched="score", spread=True)
LATENCY = _ranked("latency", watched="latency")
DELAY = _ranked("delay", watched="label_delay")
MISSING = Input("missing", "missing", SHARE, of_rows=True, complement=True)
CLASS = Input("class", "predictions", SHARE, of_rows=True)
TRAFFIC = Input("traffic", "traffic", COUNT, least=1)
LABELS = Input("labels", "labels", COUNT, least=1)
VERSION = Input("version", "", COUNT)

RANKED = DISTANCE, FEATURE, SCORE, LATENCY, DELAY
INPUTS: tuple[Input, ...] = (
    WRONG,
    *(one for ranked in RANKED for one in ranked if one is not None),
    MISSING,
    CLASS,
    TRAFFIC,
    LABELS,
    VERSION,
)
BY_NAME = {one.name: place for place, one in enumerate(INPUTS)}
RANKED_BY_NAME = {one.level.name: one for one in RANKED}

WATCHED = {
    "loss": "wrong predictions, or how far numbers are off",
    "score": "scores: their level and spread",
    "features": "each feature that is a number: its level and spread",
    "missing": "how often each feature is missing, or a text where numbers were",
    "predictions": "how often each class is predicted",
    "traffic": "how many predictions come",
    "labels": "how many labels come",
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
    head = _HEADS.get(one.name.removesuffix(" spread"), one.watched)
    return f"{head}:{name}{spread}" if name else f"{head}{spread}"


_HEADS = {"feature": "feature", "class": "prediction"}
