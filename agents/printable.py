"""Names as a terminal may have them.

Names of models, features, segments and classes come from whoever may write a record. One with an
escape sequence must not steer the terminal, one with a line break not write a line of its own into
the log, and one with a right-to-left override not pass for another.
"""

from __future__ import annotations

import unicodedata

_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def printable(text: object) -> str:
    r"""Escape what does not show as a character of its own.

    Examples
    --------
    >>> print(printable("fraud \x1b[31m\u202e 詐欺 [prod]"))
    fraud \x1b[31m\u202e 詐欺 [prod]
    """
    shown = str(text)
    if shown.isascii() and shown.isprintable():
        return shown
    return "".join(_escaped(char) if _is_unseen(char) else char for char in shown)


def printable_json(text: str) -> str:
    r"""Escape the same in JSON, which means the same afterwards.

    Examples
    --------
    >>> print(printable_json('{"model": "a\x9b31m"}'))
    {"model": "a\u009b31m"}
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_json_escaped(char) if _is_unseen(char) else char for char in text)


def _is_unseen(char: str) -> bool:
    return unicodedata.category(char) in _UNSEEN


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode()


def _json_escaped(char: str) -> str:
    units = char.encode("utf-16-be", errors="surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
