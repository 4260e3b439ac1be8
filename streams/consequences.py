"""What a rule or a detector lets others do: its consequence, as `then` in a monitors file.

driftline does nothing to a model itself. It writes what is to be done to the topic of actions, in
the transaction of the alert, and whoever is in charge of that reads it.
"""

import math
from collections.abc import Iterable
from functools import cached_property
from typing import Annotated, Literal, TypeAlias, get_args

import msgspec
from msgspec import Meta

from streams.alerts import Alert
from streams.durations import parse_duration_ms
from streams.errors import ConfigError

Deed: TypeAlias = Literal["rollback", "retrain", "promote", "request_labels"]
DEEDS: tuple[Deed, ...] = get_args(Deed)
PROMOTE = "promote"

_MOST = 32
_Text = Annotated[str, Meta(max_length=1_000)]
_Key = Annotated[str, Meta(min_length=1, max_length=200)]
_Whole = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]  # what state and JSON hold


class Consequence(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, dict=True):
    """What is to be done once an alert begins.

    Attributes
    ----------
    parameters
        What the action carries for whoever takes it.
    cooldown
        The same is not asked for again, of the same model, for so long.
    """

    action: Deed
    parameters: dict[_Key, _Text | _Whole | float | bool] = {}
    cooldown: str = "1d"

    @cached_property
    def cooldown_ms(self) -> int:
        """For how long the same is not asked for again."""
        return parse_duration_ms(self.cooldown)


Then: TypeAlias = Deed | Consequence | tuple[Deed | Consequence, ...]


def consequences(then: Then) -> tuple[Consequence, ...]:
    """Return what `then` says, at length.

    Examples
    --------
    >>> [one.cooldown for one in consequences("rollback")]
    ['1d']
    """
    some = then if isinstance(then, tuple) else (then,)
    return tuple(Consequence(action=one) if isinstance(one, str) else one for one in some)


def check_then(then: Then, where: str, *, published: bool) -> None:
    """Refuse consequences of what nobody sees, or that are said twice.

    Parameters
    ----------
    published
        Whether the alerts of the monitor are.

    Raises
    ------
    ConfigError
        Naming the key.
    """
    found = consequences(then)
    if found and not published:
        raise ConfigError(
            f"{where}: then: an action names its alert, and with notify: false there is none to"
            " see: leave one of the two out"
        )
    names = [one.action for one in found]
    for one in found:
        if names.count(one.action) > 1:
            raise ConfigError(f"{where}: then: {one.action} is there twice")
        parse_duration_ms(one.cooldown, setting=f"{where}: then: {one.action}: cooldown")
        if len(one.parameters) > _MOST:
            raise ConfigError(
                f"{where}: then: {one.action}: {len(one.parameters)} parameters are too many; at"
                f" most {_MOST}"
            )
        for name, value in one.parameters.items():
            if isinstance(value, float) and not math.isfinite(value):
                raise ConfigError(f"{where}: then: {one.action}: {name}: {value} is no number")


def check_promotion(then: Then, where: str, *, of_loss: bool) -> None:
    """Refuse to promote by what never gets better.

    Raises
    ------
    ConfigError
        With what does.
    """
    if not of_loss and any(one.action == PROMOTE for one in consequences(then)):
        raise ConfigError(
            f"{where}: then: promote never comes of this detector, whose input is neither better"
            " nor worse: take input: loss, or a rule such as accuracy above a limit"
        )


def asked(then: Iterable[Consequence], alert: Alert) -> list[Consequence]:
    """Return what an alert that begins asks for.

    A detector finds changes for the better, too: these are a reason to promote, and for nothing
    else; those for the worse are none to promote.
    """
    if alert.kind != "drift":
        return list(then)
    better = alert.direction == "better"
    return [one for one in then if (one.action == PROMOTE) == better]
