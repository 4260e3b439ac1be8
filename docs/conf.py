"""How Sphinx builds these pages: `make docs`."""

import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from streams.formats import VERSION  # noqa: E402 - found only now

project = "driftline"
author = "the driftline contributors"
version = release = VERSION
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]

default_role = "code"  # as docstrings write names
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # signatures of twenty keywords are read better in the text
napoleon_google_docstring = False
napoleon_use_rtype = False

# Links to headings are as the forge makes them, so that pages read the same there.
myst_heading_anchors = 4

html_theme = "furo"
html_title = f"driftline {VERSION}"
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
html_static_path = ["_static"]
html_css_files = ["tables.css"]

# Pages that stand elsewhere, where a forge looks for them, and the page here that includes each.
ELSEWHERE = {
    ".github/CONTRIBUTING.md": "/project/contributing.md",
    "CHANGELOG.md": "/project/changelog.md",
    "benchmarks/RESULTS.md": "/project/results.md",
    "benchmarks/peers/README.md": "/project/peers.md",
}


def stay_in_the_site(_: Any, docname: str, source: list[str]) -> None:
    """Lead links to pages that stand elsewhere to the page that includes them."""
    folder = (ROOT / "docs" / docname).parent

    def here(link: re.Match[str]) -> str:
        path = (folder / link[1]).resolve()
        known = path.is_relative_to(ROOT) and ELSEWHERE.get(path.relative_to(ROOT).as_posix())
        return f"]({known}{link[2]})" if known else link[0]

    source[0] = re.sub(r"\]\((\.\./[^)#\s]+)([^)\s]*)\)", here, source[0])


def setup(app: Any) -> None:
    """Tell Sphinx."""
    app.connect("source-read", stay_in_the_site)
