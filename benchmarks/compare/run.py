"""`python -m benchmarks.compare.run`: write docs/comparison.md, or fail where numbers differ.

Takes half a minute, and some minutes more the first time, for the environments of Evidently and
NannyML. Nothing is downloaded but packages, and no tool reports that it is used.
"""

import subprocess
import sys

from benchmarks.compare import environments, ours, their_scipy
from benchmarks.compare.data import DataSet, data_sets
from benchmarks.compare.environments import BUILD, NotThereError
from benchmarks.compare.page import page
from benchmarks.compare.verdict import BINNED, EVIDENTLY, NANNYML, RAW, Row, UnexplainedError, rows

PAGE = environments.HERE.parents[1] / "docs" / "comparison.md"
TOOLS = {EVIDENTLY: "evidently", NANNYML: "nannyml"}


def main() -> None:
    """Compare, and write the page."""
    there, absent = _installed()
    try:
        found = {data: _rows(data, there) for data in data_sets(BUILD / "packages")}
        versions = {"driftline": environments.our_versions()}
        versions |= {tool: environments.their_versions(TOOLS[tool]) for tool in there}
        text = page(found, versions=versions, absent=absent)
    except (UnexplainedError, NotThereError, subprocess.CalledProcessError) as error:
        sys.exit(str(error))
    PAGE.write_text(text, encoding="utf-8")
    print(f"{sum(len(of) for of in found.values())} metrics of {len(found)} data sets: {PAGE}")


def _installed() -> tuple[list[str], dict[str, str]]:
    """Return which tools are there, and why others are not."""
    there, absent = [], {}
    for side, tool in TOOLS.items():
        try:
            environments.install(tool)
        except NotThereError as error:
            print(error, file=sys.stderr)
            absent[side] = "it could not be installed"
        else:
            there.append(side)
    return there, absent


def _rows(data: DataSet, there: list[str]) -> list[Row]:
    environments.write(data)
    theirs = {
        RAW: their_scipy.quality(data) | their_scipy.features(data, binned=False),
        BINNED: their_scipy.features(data, binned=True),
        **{side: environments.measured(TOOLS[side], data) for side in there},
    }
    return rows(ours.measured(data, BUILD / "driftline" / data.name), theirs)


if __name__ == "__main__":
    main()
