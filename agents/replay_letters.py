"""Dead letters of a replay: of each reason how many, the first of them, and on request all."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import msgspec

from agents.printable import printable
from agents.recordings import Line, Recordings
from streams.errors import ConfigError
from streams.steps import DeadLetter

_SHOWN_CHARS = 120


class First(msgspec.Struct):
    """The first record in the recording that could not be used for a reason.

    Attributes
    ----------
    records
        How many there are for this reason.
    detail
        What is wrong with the first of them.
    """

    reason: str
    records: int
    place: int
    detail: str
    value: bytes


class Letters:
    """Dead letters, of which only the first for each reason are kept.

    Parameters
    ----------
    file
        Where to write all of them, as JSON lines; None for nowhere.
    """

    def __init__(self, recordings: Recordings, file: Path | None) -> None:
        self.recordings, self._file = recordings, file
        self._first: dict[str, First] = {}
        self._to: IO[str] | None = None
        self.refused = 0

    def __enter__(self) -> Letters:
        if self._file is not None:
            if any(self._file.resolve() == file.resolve() for file in self.recordings.files):
                raise ConfigError(f"--dead-letters: {self._file} is one of the recordings")
            try:
                self._to = self._file.open("w", encoding="utf-8")
            except OSError as error:
                raise ConfigError(
                    f"--dead-letters: {self._file}: cannot be written: {error.strerror}"
                ) from None
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if self._to is not None:
            self._to.close()

    def take(self, lines: Iterable[Line], letters: Iterable[DeadLetter]) -> None:
        """Take what was refused before the stages, and what they refused."""
        found = [
            First(line.error.reason, 1, line.place, line.error.detail, line.value)
            for line in lines
            if line.error is not None
        ]
        self.refused += len(found)
        found += [
            First(letter.reason, 1, letter.offset, letter.detail, letter.value or b"")
            for letter in letters
        ]
        for one in sorted(found, key=lambda one: one.place):
            self._write(one)
            known = self._first.setdefault(one.reason, one)
            if known is one:
                continue
            known.records += 1
            if one.place < known.place:  # a label is late only once its prediction has come
                known.place, known.detail, known.value = one.place, one.detail, one.value

    def _write(self, one: First) -> None:
        if self._to is not None:
            self._to.write(json.dumps(self._facts(one) | _value(one.value)) + "\n")

    def _facts(self, one: First) -> dict[str, Any]:
        file, line = self.recordings.where(one.place)
        return {"reason": one.reason, "file": str(file), "line": line, "detail": one.detail}

    def summary(self) -> list[dict[str, Any]]:
        """Return every reason with its first record, as plain values."""
        return [
            {"reason": one.reason, "records": one.records}
            | {name: fact for name, fact in self._facts(one).items() if name != "reason"}
            | {"value": one.value[:_SHOWN_CHARS].decode(errors="replace")}
            for _, one in sorted(self._first.items())
        ]

    def counts(self) -> dict[str, int]:
        """Return how many there are for every reason."""
        return {reason: one.records for reason, one in sorted(self._first.items())}

    def sentences(self) -> list[str]:
        """Return two lines for people of every reason: what is wrong, and with what."""
        return [
            line
            for one in self.summary()
            for line in (
                f"{one['records']} {one['reason']}, first {_at(one)}: {printable(one['detail'])}",
                f"    {printable(one['value'])}",
            )
        ]


def _at(facts: dict[str, Any]) -> str:
    return f"{printable(facts['file'])}:{facts['line']}"


def _value(value: bytes) -> dict[str, str]:
    try:
        return {"value": value.decode()}
    except UnicodeDecodeError:
        return {"value_base64": base64.b64encode(value).decode()}
