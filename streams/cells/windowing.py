"""How windows are cut, from which panes each is merged, and for how long panes are kept."""

from streams.cells.coarse import Finished
from streams.cells.levels import DAY_MS, HOUR_MS
from streams.durations import format_duration
from streams.errors import ConfigError
from streams.monitors import Coarse, Window, pane_ms


class Windowing:
    """How windows are cut; the same for every model.

    Parameters
    ----------
    horizon_ms
        A window is final so long after its end: no label can change it any more.
    coarse
        How long finished panes are kept as coarser ones; `None` for not at all.

    Attributes
    ----------
    longest_ms
        Longest of the windows that are merged from fine panes alone.
    keep_ms
        Rows that are older come too late for any window.
    """

    def __init__(
        self, windows: tuple[Window, ...], *, horizon_ms: int, coarse: Coarse | None = None
    ) -> None:
        self.windows, self.coarse = windows, coarse
        self.pane_ms = pane_ms(windows)
        self.horizon_ms = horizon_ms
        if coarse is not None:
            check_coarse(windows, coarse)
        sizes = [one.size_ms for one in windows if coarse is None or level_ms(one) < HOUR_MS]
        self.longest_ms = max(sizes, default=self.pane_ms)
        self.keep_ms = 2 * horizon_ms + self.longest_ms

    @property
    def layout(self) -> list[list[int]]:
        """Size and hop of every window: what panes in the state depend on."""
        return [[window.size_ms, window.hop_ms] for window in self.windows]

    def finished_ms(self, clock_ms: int) -> int:
        """Return until when fine panes are in no window that may still be revised."""
        return clock_ms - self.keep_ms - self.longest_ms

    def finished(self, clock_ms: int, unpublished_ms: dict[int, int]) -> Finished:
        """Return until when panes of each length are not needed as such any more.

        Parameters
        ----------
        unpublished_ms
            By the level of windows, when the first of them begins that is still to be published.
        """
        assert self.coarse is not None
        until_ms = self.finished_ms(clock_ms)
        before = {level: unpublished_ms.get(level, until_ms) for level in (0, HOUR_MS, DAY_MS)}
        return Finished(
            panes_ms=min(until_ms, before[0]),
            hours_ms=min(until_ms - self.coarse.hours_ms, before[0], before[HOUR_MS]),
            days_ms=min(until_ms - self.coarse.days_ms, *before.values()),
            hours_of_week=self.coarse.hours_of_week,
        )


def level_ms(window: Window) -> int:
    """Return the length of the longest panes that a window can be merged from: 0 for fine ones.

    Examples
    --------
    >>> [level_ms(Window(hours * HOUR_MS, HOUR_MS)) // HOUR_MS for hours in (1, 24)]
    [1, 1]
    >>> level_ms(Window(7 * DAY_MS, DAY_MS)) == DAY_MS, level_ms(Window(HOUR_MS, 60_000))
    (True, 0)
    """
    for length_ms in (DAY_MS, HOUR_MS):
        if window.size_ms % length_ms == window.hop_ms % length_ms == 0:
            return length_ms
    return 0


def check_coarse(windows: tuple[Window, ...], coarse: Coarse) -> None:
    """Refuse what coarse panes cannot be made of, and windows that are longer than they are kept.

    Raises
    ------
    ConfigError
        Naming the value and the fix.

    Examples
    --------
    >>> check_coarse((Window(7 * DAY_MS, HOUR_MS),), Coarse())
    Traceback (most recent call last):
    streams.errors.ConfigError: coarse: hours: 3d is shorter than the window of 7d every 1h, which \
is merged from hours: keep hours for 7d, or let it hop by whole days
    """
    if not any(map(level_ms, windows)):
        raise ConfigError(
            "coarse: no window is merged from hours or days, so nobody would read them; add one to"
            " windows, such as {size: 1d, hop: 1h}, or take coarse away"
        )
    length_ms = pane_ms(windows)
    if HOUR_MS % length_ms:
        raise ConfigError(
            f"coarse: panes of {format_duration(length_ms)} do not divide an hour; take windows"
            " that do, such as 5m"
        )
    if coarse.days_ms < coarse.hours_ms:
        raise ConfigError(
            f"coarse: days: {format_duration(coarse.days_ms)} is shorter than"
            f" hours: {format_duration(coarse.hours_ms)}"
        )
    kept = {HOUR_MS: ("hours", coarse.hours_ms), DAY_MS: ("days", coarse.days_ms)}
    for window in windows:
        name, kept_ms = kept.get(level_ms(window), ("", window.size_ms))
        if window.size_ms > kept_ms:
            size, hop = format_duration(window.size_ms), format_duration(window.hop_ms)
            other = ", or let it hop by whole days" if name == "hours" else ""
            raise ConfigError(
                f"coarse: {name}: {format_duration(kept_ms)} is shorter than the window of {size}"
                f" every {hop}, which is merged from {name}: keep {name} for {size}{other}"
            )
