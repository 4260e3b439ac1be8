"""When rules are judged: at boundaries, while a model has any pane that a window could reach.

A gap in the traffic is skipped, but only once all panes have left every window: a rule sees
silence, and then sleeps.
"""

from typing import NamedTuple


class Course(NamedTuple):
    """How far the rules of a model have come.

    Attributes
    ----------
    boundary_ms
        The last boundary that was passed, -1 before the first.
    last_ms
        Start of the newest pane that has rows, -1 if every pane has left.
    """

    boundary_ms: int = -1
    last_ms: int = -1

    def anew(self, pane_ms: int, at_ms: int) -> "Course":
        """Return how far rules have come that count from now on, in panes of another length."""
        if self.last_ms < 0:
            return Course()
        return Course(*(ms // pane_ms * pane_ms for ms in (at_ms, self.last_ms)))


class Steps(NamedTuple):
    """Lengths that decide where boundaries are."""

    pane_ms: int
    evaluate_ms: int
    longest_ms: int

    def asleep_ms(self, last_ms: int) -> int:
        """Return the boundary at which the last pane has left every window.

        Examples
        --------
        >>> Steps(pane_ms=60, evaluate_ms=60, longest_ms=600).asleep_ms(120)
        780
        """
        ends_ms = last_ms + self.pane_ms + self.longest_ms
        return -(-ends_ms // self.evaluate_ms) * self.evaluate_ms


def pass_boundaries(
    course: Course, arrivals: list[tuple[int, int]], *, until_ms: int, steps: Steps
) -> tuple[Course, list[tuple[int, int]]]:
    """Go on to a time; return also the spans of boundaries that were passed.

    Parameters
    ----------
    arrivals
        When rows came: rising starts of panes, before `until_ms`; and of each the start of the
        newest pane that they are counted in, which is an older one for what is taken back.

    Returns
    -------
    list
        Spans: boundaries after the first, up to and including the second time.

    Examples
    --------
    >>> steps = Steps(pane_ms=60, evaluate_ms=60, longest_ms=120)
    >>> pass_boundaries(Course(), [(60, 60), (600, 600)], until_ms=700, steps=steps)
    (Course(boundary_ms=660, last_ms=600), [(60, 240), (600, 660)])
    """
    boundary_ms, last_ms = course
    spans = []
    for start_ms, newest_ms in [*arrivals, (until_ms, -1)]:
        if last_ms >= 0:
            asleep_ms = steps.asleep_ms(last_ms)
            end_ms = min(start_ms, asleep_ms)
            end_ms -= end_ms % steps.pane_ms
            if end_ms > boundary_ms:
                spans.append((boundary_ms, end_ms))
                boundary_ms = end_ms
            if boundary_ms >= asleep_ms:
                last_ms = -1
        if newest_ms >= 0:
            if last_ms < 0:
                boundary_ms = start_ms
            last_ms = max(last_ms, newest_ms)
    return Course(boundary_ms, last_ms), _joined(spans)


def _joined(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Put spans together that follow each other."""
    found: list[tuple[int, int]] = []
    for start_ms, end_ms in spans:
        if found and found[-1][1] == start_ms:
            found[-1] = (found[-1][0], end_ms)
        else:
            found.append((start_ms, end_ms))
    return found
