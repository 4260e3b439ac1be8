"""The JSON Schema of monitors files accepts what is read, and refuses what is misspelt."""

import json
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from agents.cli import app
from streams.monitors_file import parse_monitors
from streams.monitors_schema import monitors_schema
from tests.pages import EXAMPLE, blocks

jsonschema = pytest.importorskip("jsonschema", reason="the extra dev has it")

RULES: list[dict[str, Any]] = [
    {"name": "a", "metric": "accuracy", "below": 0.9, "for": "10m", "clear": 0.95},
    {"name": "a", "metric": "labels", "absent_for": "10m"},
    {"name": "a", "slo": {"metric": "accuracy", "objective": 0.99}},
    {"name": "a", "any": ["loss-scan"]},
]


def valid(data: object) -> bool:
    return bool(jsonschema.Draft202012Validator(monitors_schema()).is_valid(data))


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_of_every_kind_is_valid_and_a_misspelt_key_is_not(rule: dict[str, Any]) -> None:
    assert parse_monitors({"thresholds": [rule]})
    assert valid({"thresholds": [rule]})
    assert not valid({"thresholds": [rule | {"severty": "info"}]})
    assert not valid({"thresholds": [rule | {"severity": "fatal"}]})
    assert not valid({"thresholds": [{"name": "a"}]})
    assert not valid({"threshold": [rule]})


def test_two_limits_are_one_too_many() -> None:
    assert not valid({"thresholds": [RULES[0] | {"above": 0.5}]})


def test_the_example_file_and_those_of_the_docs_are_valid() -> None:
    files = [EXAMPLE.read_text()]
    files += [one for one in blocks("yaml") if one.startswith(("thresholds:", "drift:"))]

    assert len(files) > 2
    for file in files:
        assert valid(yaml.safe_load(file))


def test_the_command_prints_it() -> None:
    said = CliRunner().invoke(app, ["monitors", "schema"])

    assert json.loads(said.stdout) == monitors_schema()
