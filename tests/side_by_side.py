"""How `pytest -n` deals out the tests: what shares something costly stays in one process."""

from collections.abc import Iterable
from itertools import groupby
from pathlib import PurePosixPath

import pytest
from xdist.scheduler import LoadScopeScheduling

#: The tests of these share nothing but brokers, which every process has anyway.
SPREAD = ("tests/integration", "tests/unit/test_golden.py")
#: What these do is mostly to wait, for brokers and workers.
WAITING = ("tests/e2e", "tests/integration")
#: These share a broker, or a database, that nobody else needs.
TOGETHER = {
    "tests/e2e/test_acls.py": "secure",
    "tests/e2e/test_security.py": "secure",
    "tests/integration/test_sink_contract.py": "postgres",
    "tests/integration/test_sink_sql.py": "postgres",
}


class ByWhatTestsShare(LoadScopeScheduling):
    """Deal out whole files, except where tests are better spread or files better kept together."""

    def _split_scope(self, nodeid: str) -> str:
        file, _, _ = nodeid.partition("::")
        if file in TOGETHER:
            return TOGETHER[file]
        if file in SPREAD or PurePosixPath(file).parent.as_posix() in SPREAD:
            return nodeid
        return file


def by_turns(items: Iterable[pytest.Item]) -> list[pytest.Item]:
    """Return tests so that files of those that wait and of those that compute take turns.

    Processes that wait leave their core to those that compute. Quick files come last, so that all
    processes end at about the same time.
    """
    sides: tuple[list[list[pytest.Item]], ...] = ([], [])
    for file, of_file in groupby(items, key=lambda item: item.nodeid.partition("::")[0]):
        sides[file.startswith(WAITING)].append(list(of_file))
    computing, waiting = sides
    places = [(n / len(computing), of_file) for n, of_file in enumerate(computing)]
    places += [(0.8 * n / len(waiting), of_file) for n, of_file in enumerate(waiting)]
    return [item for _, of_file in sorted(places, key=lambda one: one[0]) for item in of_file]
