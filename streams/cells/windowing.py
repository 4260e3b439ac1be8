"""How windows are cut, from which panes each is merged, and for how long panes are kept."""

import copy
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from streams.cells.coarse import Finished
from streams.cells.levels import DAY_MS, DAYS, HOUR_MS, HOURS, merged_ms
from streams.durations import format_duration
from streams.errors import ConfigError, StateError
from streams.monitors import Coarse, Window, pane_ms

Key = tuple[int, int]
"""Size and hop of a window."""


class Layout(NamedTuple):
    """How the windows of a state were cut, and what is kept of them.

    Attributes
    ----------
    keep_ms, longest_ms
        See `Windowing`.
    since_ms
        By window: those that begin before are not published, since panes of them are gone; -1:
        there is no such time.
    """

    pane_ms: int
    keep_ms: int
    longest_ms: int
    since_ms: dict[Key, int]

    @property
    def packed(self) -> list[Any]:
        """What is written of it."""
        windows = [[*window, since_ms] for window, since_ms in self.since_ms.items()]
        return [self.pane_ms, self.keep_ms, self.longest_ms, windows]


class Windowing:
    """How windows are cut; the same for every model.

    Parameters
    ----------
    horizon_ms
        A window is final so long after its end: no label can change it any more.
    coarse
        How long finished panes are kept as coarser ones; `None` for not at all.
    baseline_ms, baseline_rows
        How much of a model's beginning later windows are compared with, see
        `streams.cells.baselines`.

    Attributes
    ----------
    longest_ms
        Longest of the windows that are merged from fine panes alone.
    keep_ms
        Rows that are older come too late for any window.
    since_ms
        See `Layout`; what is not in it has no such time.
    """

    def __init__(
        self,
        windows: tuple[Window, ...],
        *,
        horizon_ms: int,
        coarse: Coarse | None = None,
        baseline_ms: tuple[int, ...] = (),
        baseline_rows: int = 0,
    ) -> None:
        self.of_baselines: dict[str, Any] = {"spans_ms": baseline_ms, "rows": baseline_rows}
        self.windows, self.coarse = windows, coarse
        self.pane_ms = pane_ms(windows)
        self.horizon_ms = horizon_ms
        if coarse is not None:
            check_coarse(windows, coarse)
        sizes = [one.size_ms for one in windows if coarse is None or level_ms(one) < HOUR_MS]
        self.longest_ms = max(sizes, default=self.pane_ms)
        self.keep_ms = 2 * horizon_ms + self.longest_ms
        self.since_ms: dict[Key, int] = {}

    @property
    def layout(self) -> Layout:
        """What is written down of it: panes in the state go by that."""
        since_ms = {key: self.since_ms.get(key, -1) for key in map(key_of, self.windows)}
        return Layout(self.pane_ms, self.keep_ms, self.longest_ms, since_ms)

    @property
    def widest_ms(self) -> int:
        """Longest of all windows."""
        return max(one.size_ms for one in self.windows)

    def read(self, packed: Sequence[Any]) -> Layout:
        """Return the layout of a state; one that is sizes and hops alone was kept as this is."""
        if packed and isinstance(packed[0], int):
            pane_ms, keep_ms, longest_ms, windows = packed
            since_ms = {(size_ms, hop_ms): since for size_ms, hop_ms, since in windows}
            return Layout(pane_ms, keep_ms, longest_ms, since_ms)
        before = Windowing(tuple(Window(*one) for one in packed), horizon_ms=self.horizon_ms)
        return before.layout

    def on(self, layout: Layout) -> "Windowing":
        """Return these windows, merged from the panes of a state.

        Raises
        ------
        StateError
            Naming both and the fix: a window is no multiple of the panes.
        """
        for one in self.windows:
            if one.size_ms % layout.pane_ms or one.hop_ms % layout.pane_ms:
                before, now = said([Window(*key) for key in layout.since_ms]), said(self.windows)
                panes = format_duration(layout.pane_ms)
                raise StateError(
                    f"the state was made with windows of {before}, the settings say {now}; what is"
                    f" counted in panes of {panes} cannot be divided: take multiples of {panes},"
                    f" keep windows of {before}, or use another --prefix"
                )
        found = copy.copy(self)
        found.pane_ms = layout.pane_ms
        known = {key_of(one): layout.since_ms.get(key_of(one), -1) for one in self.windows}
        found.since_ms = {key: since_ms for key, since_ms in known.items() if since_ms >= 0}
        return found

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


def key_of(window: Window) -> Key:
    """Return size and hop of a window."""
    return window.size_ms, window.hop_ms


def said(windows: Sequence[Window]) -> str:
    """Name windows.

    Examples
    --------
    >>> said([Window(300_000, 300_000), Window(DAY_MS, HOUR_MS)])
    '5m, 1d every 1h'
    """
    return ", ".join(
        format_duration(one.size_ms)
        if one.size_ms == one.hop_ms
        else f"{format_duration(one.size_ms)} every {format_duration(one.hop_ms)}"
        for one in windows
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


class Since:
    """From when on windows are whole, after those of a state were changed to others.

    Parameters
    ----------
    clock_ms
        How far rows were taken in order.
    numbers
        Of all panes that there are.
    """

    def __init__(self, before: Layout, clock_ms: int, numbers: Collection[int]) -> None:
        self._before, self._clock_ms = before, clock_ms
        self._merged = merged_ms(numbers)
        self._first_ms = {
            level.length_ms: known[0] * level.length_ms
            for level in (HOURS, DAYS)
            if (known := level.known(numbers))
        }

    def of(self, window: Window) -> int:
        """Return since when windows are whole; -1 where nothing is gone."""
        if self._clock_ms < 0:
            return -1
        kept_ms, since_ms = self._clock_ms - self._before.keep_ms, self._before.since_ms
        known_ms = since_ms.get(key_of(window))
        if known_ms is not None:  # older ones were forgotten, and must not begin anew
            return max(known_ms, kept_ms - window.size_ms, -1)
        found = max(kept_ms - self._before.longest_ms, self._merged.get(0, -1), -1)
        for length_ms in (HOUR_MS, DAY_MS):
            if length_ms <= level_ms(window) and length_ms in self._first_ms:
                found = max(self._first_ms[length_ms], self._merged.get(length_ms, -1))
        return found
