"""YAML that somebody else may have written."""

from pathlib import Path

import pytest

from agents.yaml_files import DEEPEST, LARGEST_BYTES, read_yaml
from streams.errors import ConfigError


def file_of(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "m.yaml"
    file.write_text(text)
    return file


def bomb() -> str:
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (bomb(), "stands for over 100,000 values"),
        ("a: " + "[" * (DEEPEST + 1) + "]" * (DEEPEST + 1), f"nested more than {DEEPEST} deep"),
        ("a: " + "[" * 100_000, "is no YAML"),
        ("a: &a [*a]", "line 1: a value contains itself"),
        ("a: 1\nb: 2\na: 3", "line 3: the key 'a' is there twice"),
        ("a: {b: 1, b: 2}", "the key 'b' is there twice"),
        ("a: 1\n---\nb: 2", "is no YAML"),
        ("a: !!python/object/apply:os.system [true]", "is no YAML"),
        ("# " + "x" * LARGEST_BYTES, "has over 1,048,576 bytes"),
    ],
    ids=["bomb", "deep", "deeper", "loop", "twice", "inside", "documents", "objects", "large"],
)
def test_a_file_that_would_cost_too_much_or_lose_something_is_refused(
    tmp_path: Path, text: str, says: str
) -> None:
    with pytest.raises(ConfigError) as error:
        read_yaml(file_of(tmp_path, text), option="--monitors")

    assert says in str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 500


def test_aliases_and_merges_within_reason_are_read(tmp_path: Path) -> None:
    file = file_of(tmp_path, "a: &a {x: 1}\nb: {<<: *a, y: 2}\nc: [*a, *a]")

    assert read_yaml(file, option="--monitors") == {
        "a": {"x": 1},
        "b": {"x": 1, "y": 2},
        "c": [{"x": 1}, {"x": 1}],
    }


def test_an_empty_file_is_nothing(tmp_path: Path) -> None:
    assert read_yaml(file_of(tmp_path, ""), option="--monitors") is None


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    file = file_of(tmp_path, "\ufeffa: 1")

    assert read_yaml(file, option="--monitors") == {"a": 1}
