"""Several monitors of one model that fire together; see `streams.rules.composites`."""

from collections.abc import Iterable
from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

from streams.consequences import Then
from streams.errors import ConfigError
from streams.nearest import nearest
from streams.rule_kinds.kind import Severity

Names = tuple[str, ...]


class Quorum(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """So many of some."""

    of: Names
    count: Annotated[int, Meta(ge=1)]


class Composite(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rule over rules and detectors; of what it says, everything must hold at once."""

    name: str
    all: Names = ()
    any: Names = ()
    none: Names = ()
    at_least: Quorum | None = None
    model: str = "*"
    version: str = "*"
    severity: Severity = "critical"
    notify: bool = True
    then: Then = ()

    keys: ClassVar[tuple[str, ...]] = ("all", "any", "none", "at_least")
    help: ClassVar[str] = (
        "`all` of the monitors it names fire, `any`, `at_least` so many (`{of: […], count: 2}`),"
        " and `none` of others"
    )
    allowed: ClassVar[str] = "names of rules and detectors"

    @property
    def members(self) -> frozenset[str]:
        """Every monitor that it names."""
        counted = () if self.at_least is None else self.at_least.of
        return frozenset((*self.all, *self.any, *self.none, *counted))

    def holds(self, firing: Iterable[str]) -> bool:
        """Tell whether it holds where these monitors fire.

        Examples
        --------
        >>> both = Composite(name="c", all=("a", "b"), none=("d",))
        >>> both.holds(["a", "b"]), both.holds(["a"]), both.holds(["a", "b", "d"])
        (True, False, False)
        """
        fires = frozenset(firing)
        return (
            fires.issuperset(self.all)
            and (not self.any or not fires.isdisjoint(self.any))
            and fires.isdisjoint(self.none)
            and (self.at_least is None or len(fires & set(self.at_least.of)) >= self.at_least.count)
        )

    def check(self, where: str) -> None:
        """Refuse what names nothing, or what can never hold.

        Raises
        ------
        ConfigError
            Naming the key.
        """
        if not (self.all or self.any or self.at_least):
            said = "none alone would fire all the time" if self.none else "it names no monitors"
            raise ConfigError(f"{where}: {said}: give all, any or at_least")
        if self.at_least is not None and self.at_least.count > len(set(self.at_least.of)):
            count, different = self.at_least.count, len(set(self.at_least.of))
            raise ConfigError(
                f"{where}: at_least: {count} of {different} never fire: name more, or lower count"
            )
        needed = {*self.all, *(self.any if len(set(self.any)) == 1 else ())}
        if both := needed & set(self.none):
            raise ConfigError(f"{where}: {min(both)!r} must fire and must not: it never does")

    def check_members(self, known: Iterable[str], composites: Iterable[str], where: str) -> None:
        """Refuse members that there are not, or that are composites themselves.

        Raises
        ------
        ConfigError
            Naming the member, with what is near.
        """
        known = list(known)
        for member in sorted(self.members):
            if member in composites:
                raise ConfigError(
                    f"{where}: {member!r} is made of others itself: name its members instead"
                )
            if member not in known:
                raise ConfigError(f"{where}: {member!r} is no monitor{nearest(member, known)}")
