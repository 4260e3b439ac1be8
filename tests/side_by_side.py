"""How `pytest -n` deals out the tests: what shares something costly stays in one process."""

from pathlib import PurePosixPath

from xdist.scheduler import LoadScopeScheduling

#: The tests of these share nothing but brokers, which every process has anyway.
SPREAD = ("tests/integration", "tests/unit/test_golden.py")
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
