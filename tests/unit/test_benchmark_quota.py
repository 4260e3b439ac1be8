"""Groups that keep processes to a part of a core, as the two kinds of Linux systems have them."""

from pathlib import Path

import pytest

from benchmarks.quota import quota


def test_the_newer_kind_of_group(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("cpu memory")

    with quota(0.4, root=tmp_path) as group:
        group.add(17)

    assert (tmp_path / "cgroup.subtree_control").read_text() == "+cpu"
    (folder,) = (path for path in tmp_path.iterdir() if path.is_dir())
    assert (folder / "cpu.max").read_text() == "8000 20000"
    assert (folder / "cgroup.procs").read_text() == "17"


def test_the_older_kind_of_group(tmp_path: Path) -> None:
    (tmp_path / "cpu").mkdir()

    with quota(0.4, root=tmp_path) as group:
        group.add(17)

    (folder,) = (tmp_path / "cpu").iterdir()
    assert (folder / "cpu.cfs_period_us").read_text() == "20000"
    assert (folder / "cpu.cfs_quota_us").read_text() == "8000"
    assert (folder / "cgroup.procs").read_text() == "17"


def test_where_there_are_no_groups_none_is_made(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="cpu"), quota(0.4, root=tmp_path):
        pass
