"""Which values are one class: the one rule for predictions, labels, `scores`, rules and `positive`.

1. A number is its value: `1`, `1.0` and `true` are one class, and so are `2` and `2.0`.
2. A text that is a plain whole number, with or without `.0`, is that number: `"1"`, `"1.0"`,
   `"-0"`. Plain is what programs write: ASCII digits, no sign but a minus, no blank, no zero in
   front, no exponent. `"01"`, `"007"`, `"+1"`, `" 1"`, `"1_000"`, `"1E3"`, `"18_24"`, `"nan"` and
   full-width digits are codes and words, and stay what they are; so does `"1.50"`, since version
   1.10 is not 1.1. Whole numbers of any size are told apart by their digits, where a float could
   not: 2**53 + 1 is not 2**53.
3. Of all other texts only `true false yes no positive negative` ignore case; `US` is not `us`.
   While there are at most two classes, `true yes positive` are 1 and `false no negative` are 0.
   Beside a third class, such as *neutral*, they are words, in lower case, and no numbers: there, 0
   may be the neutral one of -1, 0 and 1, which is not *negative*.

`class_name` is all that a value alone decides (1, 2, and the case of 3); it is what is counted.
`merged` adds the rest of 3 for classes that are seen together. Where nobody knows all classes of a
model (is this label a correction, or the same again? which entry of `scores` is it?), two values
are the same if they are among two classes: `same_class`.
"""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

from streams.events import Scalar

POSITIVE, NEGATIVE = "1", "0"
_WORDS = {
    **dict.fromkeys(("true", "yes", "positive"), POSITIVE),
    **dict.fromkeys(("false", "no", "negative"), NEGATIVE),
}
_LONGEST_WORD = max(map(len, _WORDS))
_MOST = 2
"""So many classes, at most, leave no third one beside which words stay words."""

_is_whole = re.compile(r"-?(?:0|[1-9][0-9]*)").fullmatch


def class_name(value: Scalar) -> str:
    """Name the class of a value; the name of a name is the same.

    Examples
    --------
    >>> [class_name(value) for value in (True, 1.0, "1", "1.0", -0.0, "2.0", 0.5)]
    ['1', '1', '1', '1', '0', '2', '0.5']
    >>> [class_name(text) for text in ("Yes", "US", "01", "1E3", "1.50", "9007199254740993.0")]
    ['yes', 'US', '01', '1E3', '1.50', '9007199254740993']
    """
    if isinstance(value, str):
        return _name_of_text(value)
    if isinstance(value, float) and not (value.is_integer() and abs(value) <= 2**63):
        return repr(value)
    return str(int(value))


def _name_of_text(text: str) -> str:
    if text.endswith(".0") and _is_whole(text[:-2]):
        text = text[:-2]
    if text == "-0":
        return "0"
    if len(text) <= _LONGEST_WORD and (word := text.lower()) in _WORDS:
        return word
    return text


def binary_name(name: str) -> str:
    """Return what a class, by its name, is among two classes.

    Examples
    --------
    >>> binary_name("yes"), binary_name("0"), binary_name("cat")
    ('1', '0', 'cat')
    """
    return _WORDS.get(name, name)


def same_class(one: Scalar, other: Scalar) -> bool:
    """Tell whether two values are one class, if there is no third.

    Examples
    --------
    >>> same_class("Positive", 1), same_class("US", "us"), same_class("01", 1)
    (True, False, False)
    """
    return binary_name(class_name(one)) == binary_name(class_name(other))


def merged(names: Iterable[str]) -> dict[str, str]:
    """Say of classes, by name, which are one: words are 1 and 0, unless that leaves a third class.

    Examples
    --------
    >>> merged(["yes", "0", "1"])
    {'yes': '1', '0': '0', '1': '1'}
    >>> merged(["positive", "negative", "neutral"])["positive"]
    'positive'
    """
    names = list(names)
    classes = {name: binary_name(name) for name in names}
    if len(set(classes.values())) > _MOST:
        return {name: name for name in names}
    return classes


# --- scores by class


def scores_by_class(scores: Mapping[str, float]) -> dict[str, float]:
    """Return `scores` by class; of two that name one class the first counts.

    Examples
    --------
    >>> scores_by_class({"False": 0.2, "True": 0.8}), scores_by_class({"0.0": 0.2, "1.0": 0.8})
    ({'0': 0.2, '1': 0.8}, {'0': 0.2, '1': 0.8})
    """
    texts, found = tuple(scores), dict[str, float]()
    names = _few_names(texts) if len(texts) <= _FEW else _many_names(texts)
    for name, score in zip(names, scores.values(), strict=True):
        found.setdefault(name, score)
    return found


def _names(texts: tuple[str, ...]) -> tuple[str, ...]:
    """Name the classes of `scores`."""
    names = [class_name(text) for text in texts]
    classes = merged(names)
    return tuple(classes[name] for name in names)


# A model names the same with every prediction. But one that names others each time, a thousand of
# 256 bytes, would have 300 MB kept if as many were kept of them as of the usual few.
_FEW = 16
_few_names = lru_cache(maxsize=1_024)(_names)
_many_names = lru_cache(maxsize=32)(_names)


def score_of(scores: Mapping[str, float], value: Scalar) -> float | None:
    """Return the score of a class, from what `scores_by_class` returned; `None` if it has none.

    Examples
    --------
    >>> score_of({"0": 0.2, "1": 0.8}, "Yes"), score_of({"0": 0.2, "1": 0.8}, "cat")
    (0.8, None)
    >>> score_of({"positive": 0.7, "neutral": 0.2, "negative": 0.1}, "Positive")
    0.7
    """
    name = class_name(value)
    return scores.get(name if len(scores) > _MOST else binary_name(name))
