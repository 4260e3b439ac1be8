"""Durations as people write them (`5m`), and as the code carries them (milliseconds)."""

import re

from streams.errors import ConfigError

_UNIT_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_PATTERN = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")


def parse_duration_ms(text: str, *, setting: str = "duration") -> int:
    """Turn `90s`, `1h30m` or `250ms` into milliseconds.

    Parameters
    ----------
    text
        One or more numbers, each with a unit out of `ms s m h d`.
    setting
        Name of the setting, for the error.

    Raises
    ------
    ConfigError
        If the text is no duration or comes to less than one millisecond.

    Examples
    --------
    >>> parse_duration_ms("1h30m")
    5400000
    >>> parse_duration_ms("soon", setting="--window")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    streams.errors.ConfigError: --window: 'soon' is no duration; write a number and a unit, ...
    """
    parts = _PATTERN.findall(text.strip())
    total = round(sum(float(number) * _UNIT_MS[unit] for number, unit in parts))
    if "".join(number + unit for number, unit in parts) != text.strip() or total < 1:
        raise ConfigError(
            f"{setting}: {text!r} is no duration; "
            "write a number and a unit, such as 250ms, 30s, 5m, 1h or 7d"
        )
    return total


def format_duration(duration_ms: int) -> str:
    """Write milliseconds with the largest units that divide them.

    Examples
    --------
    >>> format_duration(5_400_000)
    '1h30m'
    """
    parts = []
    for unit in ("d", "h", "m", "s", "ms"):
        count, duration_ms = divmod(duration_ms, _UNIT_MS[unit])
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0ms"
