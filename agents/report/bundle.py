"""Make one script of the page's modules, which a page opened from disk could not load.

The modules are written so that this stays simple: named imports of files beside them, named
exports of declarations, no cycles. Anything else is refused here, not found out by a reader.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

_IMPORT = re.compile(r'^import \{(?P<names>[^}]*)\} from "\./(?P<file>[\w-]+)\.js";$', re.MULTILINE)
_EXPORT = re.compile(
    r"^export (?P<kind>(?:async )?function|class|const|let) (?P<name>\w+)", re.MULTILINE
)
_OTHER = re.compile(r"^\s*(?:import|export)\b.*$", re.MULTILINE)
_ENDS = re.compile(r"</script|<!--", re.IGNORECASE)


def bundle(entry: str, files: dict[str, Path], *, also: Iterable[str] = ()) -> str:
    """Return a script that does what loading a module would do.

    Parameters
    ----------
    entry
        Which module, by its name without the ending.
    files
        All modules by name.
    also
        Modules that `entry` finds in `MODULES` by name, without importing them.

    Raises
    ------
    ValueError
        If a module is written in a way that this does not know.
    """
    done: dict[str, str] = {}
    for name in (*also, entry):
        _add(name, files, done, ())
    listed = ", ".join(f'"{name}": {_variable(name)}' for name in also)
    last = done.pop(entry)
    found = "\n".join(['"use strict";', *done.values(), f"const MODULES = {{ {listed} }};", last])
    if _ENDS.search(found):
        raise ValueError("a module has what ends a script in HTML")
    return found


def _add(name: str, files: dict[str, Path], done: dict[str, str], above: tuple[str, ...]) -> None:
    """Put a module behind those that it imports."""
    if name in done:
        return
    if name in above:
        raise ValueError(f"{name}.js imports itself by way of {', '.join(above)}")
    text = files[name].read_text(encoding="utf-8")
    for found in _IMPORT.finditer(text):
        _add(found["file"], files, done, (*above, name))
    done[name] = _wrapped(name, text)


def _wrapped(name: str, text: str) -> str:
    exports = [found["name"] for found in _EXPORT.finditer(text)]
    text = _IMPORT.sub(_destructured, text)
    text = _EXPORT.sub(lambda found: f"{found['kind']} {found['name']}", text)
    if (other := _OTHER.search(text)) is not None:
        raise ValueError(f"{name}.js: {other[0].strip()!r} cannot be made part of a script")
    return (
        f"const {_variable(name)} = (() => {{\n{text}\nreturn {{ {', '.join(exports)} }};\n}})();"
    )


def _destructured(found: re.Match[str]) -> str:
    names = found["names"].replace(" as ", ": ")
    return f"const {{{names}}} = {_variable(found['file'])};"


def _variable(name: str) -> str:
    return f"module_{name.replace('-', '_')}"
