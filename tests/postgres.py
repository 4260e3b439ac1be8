"""A PostgreSQL of the tests' own, from the programs that Debian has."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from agents.local_kafka import HOST
from tests.ports import free_ports

USER, PASSWORD = "driftline", "s3cret-of-tests"


class MissingProgramsError(RuntimeError):
    """PostgreSQL is not installed here."""


class Postgres(NamedTuple):
    """One that runs."""

    folder: Path
    programs: Path
    port: int

    def url(self, database: str = "postgres", *, password: str = PASSWORD) -> str:
        return f"postgresql://{USER}:{password}@{HOST}:{self.port}/{database}"

    def start(self) -> None:
        options = f"-p {self.port} -h {HOST} -k {self.folder} -c fsync=off"
        log = str(self.folder / "log")
        self.run("pg_ctl", "-D", str(self.folder / "data"), "-o", options, "-l", log, "-w", "start")

    def stop(self) -> None:
        self.run("pg_ctl", "-D", str(self.folder / "data"), "-m", "immediate", "-w", "stop")

    def run(self, program: str, *words: str) -> str:
        # It refuses to run as root.
        user = ("runuser", "-u", "postgres", "--") if os.geteuid() == 0 else ()
        done = subprocess.run(
            [*user, str(self.programs / program), *words],
            cwd=self.folder,
            env={**os.environ, "PGPASSWORD": PASSWORD, "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    def make_database(self, name: str) -> str:
        self.run("createdb", "-h", HOST, "-p", str(self.port), "-U", USER, name)
        return self.url(name)


def programs() -> Path | None:
    """Return the folder of the newest PostgreSQL that is installed."""
    found: Sequence[Path] = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    return Path(on_path).resolve().parent if on_path else None


@contextmanager
def run_postgres() -> Iterator[Postgres]:
    """Run a PostgreSQL with a database and a user, and delete it.

    Raises
    ------
    MissingProgramsError
        If it is not installed.
    """
    there = programs()
    if there is None:
        raise MissingProgramsError("PostgreSQL is not installed: apt-get install postgresql")
    folder = Path(tempfile.mkdtemp(prefix="driftline-postgres-"))
    try:
        if os.geteuid() == 0:
            owner = pwd.getpwnam("postgres")
            os.chown(folder, owner.pw_uid, owner.pw_gid)
        (folder / "password").write_text(PASSWORD)
        [port] = free_ports(1)
        made = Postgres(folder, there, port)
        words = ("-A", "scram-sha-256", "--pwfile", "password", "-U", USER, "-N", "-E", "UTF8")
        made.run("initdb", "-D", "data", *words)
        made.start()
        try:
            yield made
        finally:
            made.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
