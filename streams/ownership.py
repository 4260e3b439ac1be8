"""Whom a model belongs to, as its alerts carry it: so that they reach who can do something."""

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

import msgspec

from streams.errors import ConfigError
from streams.limits import LIMITS

_TAG = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_MOST_TAGS = 32
_LONGEST_URL = 2_000


class Ownership(msgspec.Struct, frozen=True):
    """What is said of a model beside what it is.

    Attributes
    ----------
    owner
        A team or a person.
    runbook
        URL of what to do.
    tags
        What else alerts are routed by; names are those that Prometheus allows for labels.
    """

    owner: str = ""
    runbook: str = ""
    tags: dict[str, str] = {}


def check_ownership(
    *, owner: str | None, runbook: str | None, tags: Mapping[str, object], where: str
) -> Ownership:
    """Return what was written, if it can be used.

    Parameters
    ----------
    owner, runbook
        `None` where nothing was written.
    where
        The entry, for errors.

    Raises
    ------
    ConfigError
        Naming the entry, the value and what is allowed.

    Examples
    --------
    >>> check_ownership(owner="risk", runbook=None, tags={"tier": "1"}, where="model 'fraud'")
    Ownership(owner='risk', runbook='', tags={'tier': '1'})
    >>> check_ownership(owner=None, runbook="wiki", tags={}, where="model 'fraud'")
    Traceback (most recent call last):
    streams.errors.ConfigError: model 'fraud': runbook: 'wiki' is no URL such as https://host/page
    """
    if owner is not None:
        _check_text(owner, f"{where}: owner")
    if runbook is not None and not is_url(runbook):
        raise ConfigError(f"{where}: runbook: {runbook!r:.60} is no URL such as https://host/page")
    if len(tags) > _MOST_TAGS:
        raise ConfigError(f"{where}: tags: {len(tags)} are too many; at most {_MOST_TAGS}")
    return Ownership(owner or "", runbook or "", {k: _tag(k, v, where) for k, v in tags.items()})


def _tag(name: str, value: object, where: str) -> str:
    if not _TAG.fullmatch(name):
        raise ConfigError(
            f"{where}: tags: {name!r:.80} is no name of up to 64 letters (a to z), digits and _"
            " that begins with no digit"
        )
    if not isinstance(value, str):
        raise ConfigError(f"{where}: tags: {name}: {value!r:.60} is no text; write it in quotes")
    _check_text(value, f"{where}: tags: {name}")
    return value


def _check_text(text: str, where: str) -> None:
    if not text.strip():
        raise ConfigError(f"{where}: {text!r:.60} is empty; leave it out")
    if not LIMITS.allow(text):
        raise ConfigError(f"{where}: {text!r:.60}… has over {LIMITS.name_bytes} bytes")
    if not text.isprintable():
        raise ConfigError(f"{where}: {text!r:.60} has characters that cannot be shown")


def is_url(text: str) -> bool:
    """Tell whether a text is a URL that can be shown as a link.

    One with a password is none: alerts go to many.

    Examples
    --------
    >>> is_url("https://wiki.example.com/fraud?a=1#top"), is_url("javascript:alert(1)")
    (True, False)
    >>> is_url("https://me:secret@wiki.example.com/"), is_url("https://a/ b"), is_url("https://[")
    (False, False, False)
    """
    if len(text) > _LONGEST_URL or not text.isprintable() or set(text) & set(" <>\"'|\\^`{}"):
        return False
    try:
        found = urlsplit(text)
        host = found.hostname
    except ValueError:
        return False
    return found.scheme in ("http", "https") and bool(host) and "@" not in found.netloc
