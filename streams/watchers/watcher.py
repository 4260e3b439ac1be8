"""What a watcher is: one file that declares its parameters and the state of a lane.

A *lane* is one input of one model version that one drift monitor watches. Numbering lanes, taking
values in order, the scale of an input, levels in its own unit, state that is written down and read
again: all of that is done for every watcher alike (`streams.watchers.lanes`). A watcher itself
only looks at the next values of many lanes at once, and says after which of them a level changed.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, NamedTuple

import msgspec
from msgspec import Meta

from streams.watchers.scaling import Scales
from streams.watchers.series import Ints, Series
from streams.watchers.state import State

Whole = Annotated[int, Meta(ge=1, le=10**12)]


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `monitors.yaml` may set of a watcher; bounds are in the types.

    Attributes
    ----------
    reference
        So many first values of an input say what is usual; nothing is found among them.
    """

    reference: Whole = 500


class Shift(NamedTuple):
    """A change of level that a watcher found.

    Attributes
    ----------
    place
        Of the value after which it was found, see `Series.place`.
    lane
        Where.
    before, after
        Levels, in the unit of the values that the watcher saw.
    """

    place: int
    lane: int
    before: float
    after: float


class Watcher(ABC):
    """Looks for changes of level, in all lanes of a drift monitor at once.

    Attributes
    ----------
    name
        What `detector:` says in `monitors.yaml`.
    version
        Lanes whose state another version has written begin anew.
    parameters
        Type of what can be set.
    state
        Columns of a lane's state, each with what it is at the start: a whole number, a float, or
        an array of them.
    bulk
        Likewise, columns of which only a part is in use: `pack_rest` writes that down.
    takes_own_scale
        An input with a scale of its own (the loss) comes as it is. Otherwise every input comes in
        spreads about its centre, from the first value after the reference on.
    of_means
        It looks at means of many values: rare values are told apart however far away they are
        (`wide` of `streams.scale.measure`), and mean and deviation of the reference are learnt.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    parameters: ClassVar[type[Parameters]] = Parameters
    state: ClassVar[Mapping[str, Any]]
    bulk: ClassVar[Mapping[str, Any]] = {}
    takes_own_scale: ClassVar[bool] = False
    of_means: ClassVar[bool] = False

    @abstractmethod
    def advance(
        self, state: State, series: Series, parameters: Any, *, scales: Scales | None
    ) -> Iterator[Shift]:
        """Take the next values; yield what was found, of each lane in order.

        Parameters
        ----------
        state
            Of all lanes; what is changed, is changed in place.
        scales
            Of the lanes; `None` where the input comes as it is.
        """

    def is_sound(self, state: State, lanes: Ints, parameters: Any) -> bool:  # noqa: ARG002
        """Tell whether state that was read can be what this watcher has written."""
        return True

    def pack_rest(self, state: State, lane: int) -> bytes:  # noqa: ARG002
        """Return what there is of a lane's state beside the columns."""
        return b""

    def restore_rest(  # noqa: B027 - most watchers have none
        self, state: State, lane: int, packed: bytes, parameters: Any
    ) -> None:
        """Put back what `pack_rest` returned.

        Raises
        ------
        StateError
            If it is something else.
        """
