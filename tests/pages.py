"""What tests read of the README and the docs."""

from __future__ import annotations

import re
from pathlib import Path

from docs import generate

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
DOCS = ROOT / "docs"
EXAMPLE = ROOT / "deploy" / "monitors.example.yaml"
PAGES = [README, *generate.pages()]


def name(path: Path) -> str:
    """Return what a test calls a page."""
    return path.relative_to(ROOT).as_posix()


def text(page: str) -> str:
    return (DOCS / page).read_text(encoding="utf-8")


def section(page: str, title: str) -> str:
    """Return what stands below a heading, up to the next one that is not below it."""
    found = re.search(
        rf"^(#+) {re.escape(title)}\n(.*?)(?=^#{{1,2}} |\Z)",
        text(page),
        re.MULTILINE | re.DOTALL,
    )
    assert found, f"{page} has no section {title!r}"
    return found[2]


def rows(page: str, title: str) -> list[list[str]]:
    """Return the cells of the section's tables, without heads and rules."""
    lines = [line for line in section(page, title).splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def first_cells(page: str, title: str) -> list[str]:
    """Return the names in the first column."""
    return [row[0].strip("` °") for row in rows(page, title)]


def blocks(language: str) -> list[str]:
    """Return every code block of a language, of all pages."""
    code = re.compile(rf"^```{language}\n(.*?)^```", re.MULTILINE | re.DOTALL)
    return [block for page in PAGES for block in code.findall(page.read_text(encoding="utf-8"))]


def commands() -> list[str]:
    """Return every `driftline …` command of the pages and of the example file, once."""
    pages = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    comments = EXAMPLE.read_text(encoding="utf-8").replace("\n#   ", "\n    ")
    found = re.findall(r"^(driftline [^\n#]+)", "".join(blocks("sh")), re.MULTILINE)
    found += re.findall(r"^ {4}(driftline [^\n#]+)", pages + comments, re.MULTILINE)
    found += re.findall(r"`(driftline [a-z][^`\n]*)`", pages)
    return [command for command in dict.fromkeys(found) if "COMMAND" not in command]
