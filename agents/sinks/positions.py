"""What a sink of files knows to be complete: next offsets, and what else belongs to them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from driftline.places import Place

NAME = "positions.json"


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


def remember(folder: Path, following: Mapping[Place, int], **more: Any) -> None:
    """Write down the next offsets and what belongs to them, all of it or nothing."""
    places = [[topic, number, offset] for (topic, number), offset in following.items()]
    path = folder / f"{NAME}.new"
    with path.open("w") as file:
        json.dump({"next": places, **more}, file)
        file.flush()
        os.fsync(file.fileno())
    path.replace(folder / NAME)
