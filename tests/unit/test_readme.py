"""The README is short: what driftline is, shown running, and where to read on."""

import re

from tests import pages

README = pages.README.read_text(encoding="utf-8")


def test_the_readme_is_read_in_some_minutes() -> None:
    assert len(README.splitlines()) <= 150


def test_the_readme_leads_to_every_page_of_the_docs_that_answers_a_question() -> None:
    folders = ("concepts", "how-to", "reference")
    answers = {
        pages.name(path)
        for path in pages.PAGES
        if path.parent.name in folders and path.stem != "index"
    }

    assert answers
    assert {page for page in answers if page not in README} == set()


def test_ratios_of_speed_are_those_that_were_measured() -> None:
    results = (pages.ROOT / "benchmarks" / "RESULTS.md").read_text(encoding="utf-8")
    said = re.findall(r"(\d+\.\d+) times", README + pages.text("benchmarks.md"))

    assert said
    assert {ratio for ratio in said if f"| {ratio} | right |" not in results} == set()


def test_the_readme_names_the_command_that_runs_the_tests() -> None:
    assert "`make test`" in README
