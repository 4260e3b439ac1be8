"""Files that are only appended to, so that every record is in them once.

Their lengths and the next offsets are written together, under another name first: at the start,
files are cut to the lengths that belong to the offsets.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from agents.sinks import positions
from agents.sinks.contract import AwayError

if TYPE_CHECKING:
    from driftline.places import Place


class AppendedFiles:
    """Collect what is to be appended, and append it all together.

    Parameters
    ----------
    pattern
        Which files of the folder, and of those below it, are of this sink.
    head
        What a file begins with.
    """

    def __init__(self, folder: Path, *, pattern: str, head: bytes = b"") -> None:
        self._folder, self._pattern, self._head = folder, pattern, head
        self._next: dict[Place, int] = {}
        self._sizes: dict[str, int] = {}
        self._parts: dict[str, list[bytes]] = defaultdict(list)
        self._topics: dict[str, str] = {}
        self._moved = False

    def start(self, topics: Mapping[str, str]) -> dict[Place, int]:
        """Cut files to what is known to be complete, and return the offsets after that.

        Parameters
        ----------
        topics
            Ids by name, as far as brokers tell.

        Raises
        ------
        ConfigError
            If the folder cannot be written, or is of another program or of other topics.
        """
        with positions.opening(self._folder):
            self._next, known = positions.recall(self._folder, sizes={})
            before = known.get("topics", {})
            self._topics = positions.of_same_topics(self._next, before, topics)
            self._sizes = {str(name): int(size) for name, size in known["sizes"].items()}
            for file in self._folder.glob(self._pattern):
                name = file.relative_to(self._folder).as_posix()
                self._sizes[name] = min(self._sizes.get(name, 0), file.stat().st_size)
                os.truncate(file, self._sizes[name])
        return dict(self._next)

    def passed(self, place: Place, offset: int) -> None:
        """Take note that an offset is done with, whatever was added of it."""
        self._next[place], self._moved = offset + 1, True

    def add(self, name: str, part: bytes) -> None:
        """Keep what is to be appended to a file.

        Raises
        ------
        ValueError
            If the name leads out of the folder: it is a defect of who made it.
        """
        if not name or any(part in ("", ".", "..") for part in name.split("/")):
            raise ValueError(f"{name!r} leads out of the folder")
        self._parts[name].append(part)

    def flush(self) -> None:
        """Append, and then say how long the files are.

        Raises
        ------
        AwayError
            If that failed; all that was added is to be added again.
        """
        if not self._moved:
            return
        try:
            grown = {name: self._append(name, parts) for name, parts in self._parts.items()}
            sizes = {**self._sizes, **grown}
            positions.remember(self._folder, self._next, topics=self._topics, sizes=sizes)
            self._sizes, self._moved = sizes, False
        except OSError as error:
            raise AwayError(f"{self._folder}: {error.strerror}") from None
        finally:
            self._parts.clear()

    def _append(self, name: str, parts: list[bytes]) -> int:
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            known = min(self._sizes.get(name, 0), file.tell())  # it may have been taken away
            file.truncate(known)  # what an attempt before left half done
            file.write(b"".join(parts if known else [self._head, *parts]))
            file.flush()
            os.fsync(file.fileno())
            return file.tell()
