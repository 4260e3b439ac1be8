"""What a sink of files knows to be complete: next offsets, and what else belongs to them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streams.errors import ConfigError

if TYPE_CHECKING:
    from driftline.places import Place

NAME = "positions.json"


@contextmanager
def opening(folder: Path) -> Iterator[None]:
    """Make a folder, in which files are then brought to what is known to be complete.

    Raises
    ------
    ConfigError
        If it cannot be written, or is of another program: with what to do.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise ConfigError(
            f"folder {str(folder)!r} cannot be written: {error.strerror}; name another"
        ) from None
    except (ValueError, KeyError, TypeError):
        raise ConfigError(f"{folder} was not written by this sink; name another folder") from None


def recall(folder: Path, **first: Any) -> tuple[dict[Place, int], dict[str, Any]]:
    """Return the next offsets, and what was written beside them; before that, what is `first`.

    Raises
    ------
    ValueError, KeyError, TypeError
        If the file is not of such a sink.
    """
    path = folder / NAME
    known = json.loads(path.read_text()) if path.exists() else {"next": [], **first}
    return {(topic, number): offset for topic, number, offset in known["next"]}, known


def of_same_topics(
    following: Mapping[Place, int], known: Mapping[str, str], now: Mapping[str, str]
) -> dict[str, str]:
    """Return the ids of topics, by name, that are to be written down beside the offsets.

    Parameters
    ----------
    following
        The next offsets.
    known, now
        Ids that were written down, and those that brokers tell.

    Raises
    ------
    ConfigError
        If a topic of which something was read was deleted and created again: offsets of the old
        one say nothing of it, and once it has as many records, a reader would go on in its midst.

    Examples
    --------
    >>> of_same_topics({("t", 0): 5}, {}, {"t": "a"})
    {'t': 'a'}
    >>> of_same_topics({("t", 0): 5}, {"t": "a"}, {"t": "b"})
    Traceback (most recent call last):
    streams.errors.ConfigError: t was deleted and created again: its id was a, and is b; what is \
here is of the old one: name another folder
    """
    read = {topic for topic, _ in following}
    anew = [
        f"{topic} was deleted and created again: its id was {known[topic]}, and is {one}"
        for topic, one in now.items()
        if topic in read and known.get(topic, one) != one
    ]
    if anew:
        raise ConfigError(f"{'; '.join(anew)}; what is here is of the old one: name another folder")
    return {**known, **now}


def remember(folder: Path, following: Mapping[Place, int], **more: Any) -> None:
    """Write down the next offsets and what belongs to them, all of it or nothing."""
    places = [[topic, number, offset] for (topic, number), offset in following.items()]
    path = folder / f"{NAME}.new"
    with path.open("w") as file:
        json.dump({"next": places, **more}, file)
        file.flush()
        os.fsync(file.fileno())
    path.replace(folder / NAME)
