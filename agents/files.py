"""Opening recorded files; what is wrong with one is a sentence that names it and the way out."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from streams.errors import ConfigError

BOM = b"\xef\xbb\xbf"
_GZIP = b"\x1f\x8b"
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


@contextmanager
def opened(file: Path) -> Iterator[io.BufferedReader]:
    """Open a file for reading bytes, by its name through gzip.

    Raises
    ------
    ConfigError
        Also in the middle, where data are damaged.
    """
    try:
        with file.open("rb") as raw:
            if file.suffix != ".gz":
                yield raw
            else:  # the buffer on top makes lines as fast as those of a plain file
                with gzip.GzipFile(fileobj=raw) as unpacked:
                    yield io.BufferedReader(cast(io.RawIOBase, unpacked))
    except EOFError:  # which Typer would take for Ctrl-D
        raise ConfigError(
            f"{file}: its end is missing: the gzip file was cut off; copy or write it again"
        ) from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise ConfigError(
            f"{file}: no gzip file, or a damaged one ({error}); if it was never compressed, name it"
            " without .gz"
        ) from None
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror or error}") from None


def refuse_other_encodings(file: Path, head: bytes) -> None:
    """Refuse what is no UTF-8 text by its first bytes."""
    if head.startswith(_GZIP):
        raise ConfigError(f"{file}: is a gzip file; name it {file.name}.gz")
    if head.startswith(_UTF_16):
        raise ConfigError(
            f"{file}: is in UTF-16, not UTF-8; convert it: iconv -f UTF-16 -t UTF-8 {file.name}"
        )
