"""A report as one file: it opens from disk, and asks nobody for anything.

Rules of this file:

* Its policy allows the one script and the one style that are in it, by their hashes, and no
  request: whatever names in it say, nothing of them can run or be loaded.
* What comes from records is JSON in an element that is no script, and is shown as text.
"""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any

import msgspec

from agents.report.bundle import bundle
from agents.report.views import Shown
from agents.web.screens import CATALOGUE
from agents.web.server import STATIC
from streams.errors import ConfigError

_HERE = Path(__file__).parent


def write(path: Path, views: list[Shown], facts: dict[str, Any]) -> None:
    """Write a report; a file that is there is replaced.

    Raises
    ------
    ConfigError
        If it cannot be written.
    """
    try:
        path.write_text(html(views, facts), encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror}") from None


def html(views: list[Shown], facts: dict[str, Any]) -> str:
    """Return a report."""
    files = {path.stem: path for path in STATIC.glob("*.js")}
    files["frame"] = _HERE / "frame.js"
    script = bundle("frame", files, also=CATALOGUE)
    style = (STATIC / "style.css").read_text(encoding="utf-8")
    style += (_HERE / "frame.css").read_text(encoding="utf-8")
    data = msgspec.json.encode({"views": views, "facts": facts}).decode()
    return _PAGE.format(
        script=script,
        style=style,
        script_hash=_hash(script),
        style_hash=_hash(style),
        data=data.replace("<", "\\u003c"),
    )


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; \
script-src 'sha256-{script_hash}'; style-src 'sha256-{style_hash}'; img-src data:; \
base-uri 'none'; form-action 'none'">
<title>driftline report</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<link rel="icon" href="data:,">
<style>{style}</style>
</head>
<body>
<a class="skip" href="#main">Skip to content</a>
<header>
  <span class="brand">driftline report</span>
  <nav id="nav" aria-label="Screens"></nav>
  <div id="choice"></div>
  <button type="button" id="theme" title="Light or dark" aria-label="Light or dark">◐</button>
</header>
<main id="main" tabindex="-1"></main>
<footer id="about"></footer>
<noscript><p class="empty">This report needs JavaScript: its own, which is in it.</p></noscript>
<script type="application/json" id="answers">{data}</script>
<script type="module">{script}</script>
</body>
</html>
"""
