"""A line chart as SVG: few points, logarithmic x, no dependency."""

import math
from collections.abc import Sequence
from xml.sax.saxutils import escape

_WIDTH, _HEIGHT = 640, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 20, 36, 46
_STYLE = 'font-family="sans-serif" font-size="12" fill="#444"'


def chart(title: str, points: Sequence[tuple[float, float]], *, x: str, y: str) -> str:
    """Draw points and the line through them; x begins at 1, y at 0.

    Parameters
    ----------
    points
        At least one, x ascending; x of 0 is drawn where 1 is.
    x, y
        What the axes say.
    """
    decades = max(math.log10(max(points[-1][0], 10)), 1)
    highest = max(value for _, value in points) * 1.15 or 1.0
    places = [
        (
            _LEFT + math.log10(max(at, 1)) / decades * (_WIDTH - _LEFT - _RIGHT),
            _HEIGHT - _BOTTOM - value / highest * (_HEIGHT - _TOP - _BOTTOM),
        )
        for at, value in points
    ]
    floor = _HEIGHT - _BOTTOM
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
        _text(title, _LEFT, 20, anchor="start"),
        _text(f"{x} (logarithmic)", (_LEFT + _WIDTH) / 2, _HEIGHT - 8),
        _text(y, _LEFT, _TOP - 2, anchor="start"),
        f'<path d="M{_LEFT} {_TOP}V{floor}H{_WIDTH - _RIGHT}" stroke="#999" fill="none"/>',
        f'<polyline points="{" ".join(f"{a:.1f},{b:.1f}" for a, b in places)}"'
        ' stroke="#1f6fb4" stroke-width="2" fill="none"/>',
    ]
    for (at, value), (a, b) in zip(points, places, strict=True):
        parts.append(f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3.5" fill="#1f6fb4"/>')
        parts.append(_text(f"{value:,.2f}", a, b - 8))
        parts.append(_text(f"{at:,.0f}", a, floor + 16))
    return "\n".join([*parts, "</svg>", ""])


def _text(text: str, x: float, y: float, *, anchor: str = "middle") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f"<text {place} {_STYLE}>{escape(text)}</text>"
