"""Suggest what somebody may have meant, for errors that name a wrong word."""

import difflib
from collections.abc import Iterable

_SIMILAR = 0.4
_MOST_NAMED = 40


def nearest(word: str, known: Iterable[str]) -> str:
    """Return the end of a sentence: the known word that is closest, or which there are.

    Examples
    --------
    >>> nearest("acuracy", ["accuracy", "recall"])
    '; did you mean accuracy?'
    >>> nearest("x", ["accuracy", "recall"])
    '; known are accuracy, recall'
    >>> nearest("x", [])
    '; there is none'
    """
    words = sorted(set(known))
    lower = {each.lower(): each for each in words}
    close = difflib.get_close_matches(word.lower(), list(lower), n=1, cutoff=_SIMILAR)
    if close:
        return f"; did you mean {lower[close[0]]}?"
    if not words:
        return "; there is none"
    more = f" and {len(words) - _MOST_NAMED} more" if len(words) > _MOST_NAMED else ""
    return f"; known are {', '.join(words[:_MOST_NAMED])}{more}"
