"""A worker's memory budget: what it is, when it is nearly used up, and when it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from agents.memory import Budget, detect_budget, format_bytes, parse_budget
from streams.errors import ConfigError

GIB = 1 << 30
HOST = 100 * GIB


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("auto", None),
        ("0", 0),
        ("64MiB", 64 << 20),
        ("67108864", 64 << 20),
        ("67108864B", 64 << 20),
        ("1.5 GiB", 3 * GIB // 2),
        ("2GB", 2_000_000_000),
        ("1TiB", 1 << 40),
    ],
)
def test_a_size_is_a_number_and_a_unit(text: str, size_bytes: int | None) -> None:
    assert parse_budget(text, "--memory-budget") == size_bytes


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "'' is no size"),
        ("much", "'much' is no size"),
        ("2gib", "'2gib' is no size"),
        ("-1GiB", "'-1GiB' is no size"),
        ("80%", "'80%' is no size"),
        ("63.9MiB", "'63.9MiB' is less than 64MiB"),
        ("1", "'1' is less than 64MiB"),
    ],
)
def test_anything_else_is_refused(text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=f"^--memory-budget: {says}"):
        parse_budget(text, "--memory-budget")


@pytest.mark.parametrize("size_bytes", [64 << 20, GIB, 3 * GIB // 2, 1 << 40])
def test_a_size_that_is_shown_is_read_back(size_bytes: int) -> None:
    assert parse_budget(format_bytes(size_bytes), "") == size_bytes


def machine(root: Path, membership: str, limits: dict[str, str]) -> Path:
    """Write what a kernel shows of control groups."""
    files = {"proc/self/cgroup": membership, **{f"sys/fs/cgroup/{k}": v for k, v in limits.items()}}
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return root


V1 = "9:pids:/a\n4:memory:/a/b\n0::/"
UNLIMITED_V1 = "9223372036854771712"


@pytest.mark.parametrize(
    ("membership", "limits", "there_is"),
    [
        ("0::/", {"memory.max": str(2 * GIB)}, 2 * GIB),
        ("0::/", {"memory.max": "max"}, HOST),
        ("0::/", {}, HOST),
        ("0::/a/b", {"a/memory.max": str(3 * GIB), "a/b/memory.max": "max"}, 3 * GIB),
        (
            "0::/a/b",
            {"a/memory.max": str(3 * GIB), "a/b/memory.max": str(4 * GIB)},
            3 * GIB,
        ),
        ("0::/", {"memory.max": str(2 * HOST)}, HOST),
        (V1, {"memory/a/b/memory.limit_in_bytes": str(GIB)}, GIB),
        (V1, {"memory/memory.limit_in_bytes": str(GIB)}, GIB),
        (V1, {"memory/a/b/memory.limit_in_bytes": UNLIMITED_V1}, HOST),
    ],
    ids=[
        "v2",
        "v2 without a limit",
        "v2 root of a host",
        "v2 limit of a parent",
        "v2 the lowest counts",
        "more than the host has",
        "v1",
        "v1 in a container",
        "v1 without a limit",
    ],
)
def test_the_budget_is_nine_tenths_of_the_lowest_limit(
    tmp_path: Path, membership: str, limits: dict[str, str], there_is: int
) -> None:
    root = machine(tmp_path, membership, limits)

    assert detect_budget(host_bytes=HOST, root=root) == int(0.9 * there_is)


def test_a_system_without_control_groups_has_its_memory(tmp_path: Path) -> None:
    assert detect_budget(host_bytes=1_000, root=tmp_path) == 900


@pytest.mark.parametrize(
    ("budget", "used", "near", "over"),
    [
        (1_000, 799, False, False),
        (1_000, 800, True, False),
        (1_000, 999, True, False),
        (1_000, 1_000, True, True),
        (0, 10**12, False, False),
    ],
)
def test_a_budget_is_near_at_80_percent_and_used_up_at_100(
    budget: int, used: int, near: bool, over: bool
) -> None:
    it = Budget(budget)

    assert it.near(used) == near
    assert (it.warning(used, pending=0, now_s=0.0) is not None) == near
    assert (it.verdict(used, pending=0) is not None) == over


def test_the_warning_says_how_much_and_what_to_do_and_comes_every_five_minutes_at_most() -> None:
    budget = Budget(2 * GIB)

    lines = {s: budget.warning(7 * GIB // 4, pending=1_234_567, now_s=s) for s in (0.0, 299.9, 300)}

    assert [second for second, line in lines.items() if line] == [0.0, 300]
    assert lines[0.0] == (
        "memory: 1.8GiB in use of a budget of 2GiB, 1,234,567 pending predictions;"
        " the worker ends at its budget: shorten --horizon, spread the partitions over more"
        " workers, or raise --memory-budget where there is more memory"
    )
