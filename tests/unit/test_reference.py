"""The tables of the reference are those of the code: generated, or compared by name."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from agents.acls import Grant, grants
from agents.replay import run_replay
from docs import generate
from driftline import Alert
from streams import families
from streams.families.family import Part
from streams.join import FATES
from streams.metrics import Metric
from streams.readings import GAUGES, Reading
from streams.verdicts import Verdict
from tests.pages import PAGES, ROOT, first_cells, name, rows


@pytest.mark.parametrize("page", PAGES[1:], ids=name)
def test_generated_parts_are_what_the_code_says(page: Path) -> None:
    written = page.read_text(encoding="utf-8")

    assert written == generate.filled(written), "`make docs` writes them anew"


def test_every_generated_part_stands_in_one_page() -> None:
    pages = "".join(page.read_text(encoding="utf-8") for page in PAGES)

    assert sorted(re.findall("<!-- generated: (.+?) -->", pages)) == sorted(generate.BLOCKS)


def test_a_page_with_an_unknown_part_is_refused() -> None:
    with pytest.raises(KeyError, match="colours"):
        generate.filled("<!-- generated: colours -->\n<!-- end -->")


def test_access_rights_in_the_table_are_all_there_are() -> None:
    """Rows are read back, since they share what their rights have in common."""
    listed = [
        Grant(
            part.strip("`"),
            resource.removesuffix(", by prefix"),
            topic,
            tuple(operations.split(", ")),
            prefixed=resource.endswith(", by prefix"),
        )
        for part, resource, found, operations in rows("reference/acls.md", "Access rights")
        for topic in re.findall(r"`([^`]+)`", found)
    ]

    assert sorted(listed) == sorted(grants("driftline", alerts_group="pager"))


@pytest.mark.parametrize(
    ("title", "kind"), [("Metric", Metric), ("Alert", Alert), ("Verdict", Verdict)]
)
def test_fields_of_records_are_those_that_are_written(
    title: str, kind: type[Metric] | type[Alert] | type[Verdict]
) -> None:
    assert first_cells("reference/records.md", title) == list(kind.__struct_fields__)


def test_every_field_of_a_reading_is_described() -> None:
    described = first_cells("reference/records.md", "Reading")

    page = (ROOT / "docs" / "reference" / "records.md").read_text(encoding="utf-8")
    section = page.partition("## Reading")[2].partition("## ")[0]
    assert len(described) > 10
    assert set(Reading.__struct_fields__) <= set(re.findall(r"`(\w+)`", section))


def test_fates_are_those_of_the_join() -> None:
    assert first_cells("reference/fates.md", "Fates") == list(FATES)


def test_reasons_are_those_that_the_code_gives() -> None:
    folders = (ROOT / "streams", ROOT / "agents")
    code = "".join(path.read_text() for folder in folders for path in folder.rglob("*.py"))
    given = set(re.findall(r'RecordError\(\s*"(\w+)"', code))
    # `Members` makes a slug from what it decodes
    given |= {f"invalid_{kind}" for kind in re.findall(r'Members\([^()]*, kind="(\w+)"', code)}

    assert set(first_cells("reference/fates.md", "Dead letters")) == given


def test_metrics_are_those_that_a_replay_of_every_task_computes(tmp_path: Path) -> None:
    answers = {"binary": ("1", "0"), "several": ("cat", "dog"), "real": (1.5, 2.5)}
    with (tmp_path / "events.jsonl").open("w") as file:
        for number, (model, pair) in enumerate(list(answers.items()) * 720):
            label, other = pair if number % 2 else pair[::-1]
            event = {
                "prediction_id": f"r{number}",
                "model": model,
                "timestamp_ms": 1_700_000_001_000 + 100 * number,
                "prediction": label if number % 3 else other,
                "features": {
                    "amount": number,
                    "city": "Rome" if number % 5 else 3,
                    "cost": 0.5,
                    "queue_ms": 7,
                },
                "latency_ms": 3,
                "segments": {"team": "ab"[number // 6 % 2]},
            }
            if model != "real":
                event |= {"score": 0.7, "scores": {pair[0]: 0.4, pair[1]: 0.6}}
            file.write(json.dumps(event) + "\n")
            given = {
                "prediction_id": f"r{number}",
                "label": label,
                "timestamp_ms": 1_700_000_002_000 + 100 * number,
            }
            file.write(json.dumps(given) + "\n")
        reading = {"model": "host:a", "timestamp_ms": 1_700_000_001_000}
        file.write(json.dumps(reading | dict.fromkeys(GAUGES, 1) | {"gpu_throttled": True}) + "\n")

    (tmp_path / "monitors.yaml").write_text("baseline: 2m\nmetrics: {include: [all]}\n")

    run_replay(
        [tmp_path / "events.jsonl"],
        monitors=tmp_path / "monitors.yaml",
        out=tmp_path,
        window_ms=60_000,
        horizon_ms=60_000,
        partitions=1,
        disorder_ms=None,
        columns=None,
        json_output=True,
    )

    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    found = {json.loads(line)["metric"] for line in lines}
    of_features = "|".join(families.CATALOGUE.of_part(Part.FEATURE))
    general = {re.sub(rf"^({of_features}):.*", r"\1:<feature>", name) for name in found}
    general = {re.sub(r":team$", ":<key>", name) for name in general}
    assert set(first_cells("reference/metrics.md", "Metrics")) == {
        re.sub(r":(cat|dog)$", ":<class>", name) for name in general
    }
