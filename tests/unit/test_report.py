"""Reports: one file of what screens answer, whose policy allows its own script and no request."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

from agents.demo_page import DemoPage
from agents.history import database
from agents.report.bundle import bundle
from agents.report.make import of_history
from agents.web.history import History
from streams.errors import ConfigError
from tests import webs
from tests.sinking import MINUTE_MS, START_MS
from tests.unit.test_cli import run
from tests.unit.test_replay import replay

HOUR_MS = 3_600_000


def read(file: Path) -> Any:
    """Return what is in a report."""
    found = re.search(r'id="answers">(.*?)</script>', file.read_text(), re.DOTALL)
    assert found is not None
    return json.loads(found[1])


def panel(report: Any, screen: str, name: str, **parameters: Any) -> list[dict[str, Any]]:
    """Return the rows of a panel of the first view of a screen that is of this."""
    view = next(
        one
        for one in report["views"]
        if one["screen"] == screen and parameters.items() <= one["parameters"].items()
    )
    found = view["answer"]["panels"][name]
    return [dict(zip(found["columns"], row, strict=True)) for row in found["rows"]]


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> str:
    return webs.write(webs.a_log("fraud", *webs.NASTY), tmp_path_factory.mktemp("history"))


def report_of(history: str, out: Path, **asked: Any) -> Any:
    of_history(history, out, **({"models": (), "at_ms": None, "range_ms": HOUR_MS} | asked))
    return read(out)


# ------------------------------------------------------------------ one script
def files(folder: Path, **modules: str) -> dict[str, Path]:
    found = {}
    for name, text in modules.items():
        found[name] = folder / f"{name}.js"
        found[name].write_text(text)
    return found


def test_modules_come_after_what_they_import_and_keep_their_names_apart(tmp_path: Path) -> None:
    own = files(
        tmp_path,
        main='import { one as first } from "./a.js";\nfirst(MODULES.b.draw);',
        a="const own = 1;\nexport const one = () => own;\nexport function two() {}",
        b='import { one, two } from "./a.js";\nconst own = 2;\nexport function draw() {}',
    )

    script = bundle("main", own, also=["b"])

    order = [script.index(f"const module_{name} =") for name in ("a", "b", "main")]
    assert order == sorted(order)
    assert "const { one: first } = module_a;" in script
    assert "return { one, two };" in script
    assert 'const MODULES = { "b": module_b };' in script
    assert not re.search(r"^(import|export)", script, re.MULTILINE)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("export default 1;", "'export default 1;' cannot be made part"),
        ('import * as a from "./a.js";', "cannot be made part"),
        ('import { main } from "./main.js";', "imports itself"),
        ('const a = "</SCRIPT>";', "ends a script"),
    ],
)
def test_modules_that_cannot_be_made_one_are_refused(
    tmp_path: Path, text: str, reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        bundle("main", files(tmp_path, main=text, a=""))


# ------------------------------------------------------------------ the file
def test_the_policy_allows_what_is_in_the_file_and_nothing_else(
    history: str, tmp_path: Path
) -> None:
    report_of(history, tmp_path / "r.html")
    text = (tmp_path / "r.html").read_text()

    policy = re.search(r'Content-Security-Policy" content="(.*?)">', text)
    assert policy is not None
    own = {}
    for tag in ("script", "style"):
        pattern = rf'<{tag}(?: type="module")?>(.*?)</{tag}>'
        (found,) = re.findall(pattern, text, re.DOTALL)
        own[tag] = base64.b64encode(hashlib.sha256(found.encode()).digest()).decode()
    assert policy[1] == (
        f"default-src 'none'; script-src 'sha256-{own['script']}';"
        f" style-src 'sha256-{own['style']}'; img-src data:; base-uri 'none'; form-action 'none'"
    )
    assert not re.search(r'(?:src|href)="(?!data:,|#)', text.replace("xlink:href", ""))


def test_names_of_a_topic_are_data_whatever_they_look_like(history: str, tmp_path: Path) -> None:
    found = report_of(history, tmp_path / "r.html")
    text = (tmp_path / "r.html").read_text()

    assert {row["model"] for row in panel(found, "fleet", "models")} == {"fraud", *webs.NASTY}
    assert text.count("</script>") == 2  # its data, and its script
    assert "<img" not in text
    assert "\x1b" not in text
    for name in ("fraud", *webs.NASTY):
        values = [row["value"] for row in panel(found, "model", "quality", model=name)]
        assert values == pytest.approx([0.9 - number / 100 for number in range(10)])


def test_models_are_chosen_and_those_that_are_not_there_are_said(
    history: str, tmp_path: Path
) -> None:
    found = report_of(history, tmp_path / "r.html", models=["fraud"])

    models = {view["parameters"].get("model") for view in found["views"]}
    assert models == {None, "fraud"}
    assert "models are in Fleet alone" in found["facts"]["left_out"]
    with pytest.raises(ConfigError, match="there is no model 'none'"):
        report_of(history, tmp_path / "r.html", models=["none"])


def test_a_report_of_an_earlier_time_has_what_was_known_then(history: str, tmp_path: Path) -> None:
    found = report_of(history, tmp_path / "r.html", at_ms=START_MS + 4 * MINUTE_MS)

    assert found["facts"]["at_ms"] == START_MS + 4 * MINUTE_MS
    assert len(panel(found, "model", "quality", model="fraud")) == 4
    assert panel(found, "alerts", "alerts") == []


def test_a_range_is_what_is_drawn(history: str, tmp_path: Path) -> None:
    found = report_of(history, tmp_path / "r.html", range_ms=3 * MINUTE_MS)

    assert len(panel(found, "model", "quality", model="fraud")) == 3


def test_a_report_that_cannot_be_written_is_said(history: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be written"):
        report_of(history, tmp_path / "none" / "r.html")


# ------------------------------------------------------------------ of a replay
COLUMNS = "prediction=p,label=y,timestamp=at,model=m,feature:<i>f=f,segment:<u>k=k"


def a_table(folder: Path) -> Path:
    """Return 201 rows of 20 hours, of which one has no time, and names that are markup."""
    rows = ["p,y,at,m,f,k"]
    for number in range(200):
        at = START_MS + number * HOUR_MS // 10
        rows.append(f"1,{int(number % 10 < 9)},{at},<b>,{number},<s>{number % 2}")
    table = folder / "rows.csv"
    table.write_text("\n".join([*rows, "1,1,soon,<b>,1,k"]))
    return table


def test_a_report_of_a_replay_has_the_numbers_of_its_summary(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, out = a_table(tmp_path), tmp_path / "results"

    replay(table, columns=COLUMNS, json_output=True, out=out, report=tmp_path / "r.html")

    summary = json.loads(capsys.readouterr().out)
    found = read(tmp_path / "r.html")
    fates = {row["fate"]: row["records"] for row in panel(found, "pipeline", "fates")}
    assert fates == {fate: count for fate, count in summary["fates"].items() if count}
    letters = {row["reason"]: row["records"] for row in panel(found, "pipeline", "letters")}
    assert letters == summary["dead_letters"] == {"invalid_row": 1}
    (said,) = [view["answer"]["facts"] for view in found["views"] if view["screen"] == "pipeline"]
    assert said["recording"] == {
        name: summary[name] for name in ("lines", "readings", "disorder_ms", "metrics")
    }
    metrics = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    accuracy = [one for one in metrics if one["metric"] == "accuracy"]
    expected = [one["value"] for one in accuracy if not one["segment"]]
    assert (len(accuracy), len(expected)) == (60, 20)
    values = [row["value"] for row in panel(found, "model", "quality", model="<b>")]
    assert values == expected
    alerts = {row["alert_id"] for row in panel(found, "alerts", "alerts")}
    assert alerts == {alert["alert_id"] for alert in summary["alerts"]}


def test_features_and_segments_of_a_replay_can_be_chosen(tmp_path: Path) -> None:
    replay(a_table(tmp_path), columns=COLUMNS, report=tmp_path / "r.html")

    found = read(tmp_path / "r.html")
    for segment in ("<u>k=<s>0", "<u>k=<s>1"):
        rows = panel(found, "segments", "segment", model="<b>", segment=segment)
        assert len([row for row in rows if row["metric"] == "accuracy"]) == 20
    assert panel(found, "features", "mean", model="<b>", feature="<i>f")


def test_nothing_in_a_replay_is_silent_since_its_last_window(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    replay(a_table(tmp_path), columns=COLUMNS, report=tmp_path / "r.html")

    assert "a page of it in" in capsys.readouterr().out
    found = read(tmp_path / "r.html")
    assert found["facts"]["at_ms"] == START_MS + 20 * HOUR_MS
    assert [row["health"] for row in panel(found, "fleet", "models")] == ["ok"]


def test_a_report_is_refused_before_anything_is_replayed(tmp_path: Path) -> None:
    table = a_table(tmp_path)

    for name, reason in ((".", "is a folder"), ("no/r.html", "in none"), ("rows.csv", "one of")):
        with pytest.raises(ConfigError, match=reason):
            replay(table, columns=COLUMNS, report=tmp_path / name)


def test_a_history_that_is_not_there_is_a_line_and_no_traceback(tmp_path: Path) -> None:
    done = run("report", "--history", str(tmp_path / "none.db"), "--out", str(tmp_path / "r.html"))

    assert done.returncode == 2
    assert done.stderr.startswith("driftline: --history: there is no history ")
    assert len(done.stderr.splitlines()) == 1


def test_a_report_of_a_replay_has_what_values_of_the_newest_hour_are_like(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    at = (START_MS + number * MINUTE_MS for number in range(150))
    rows = [f"1,1,{at_ms},<b>,{number},<s>" for number, at_ms in enumerate(at)]
    table = tmp_path / "rows.csv"
    table.write_text("\n".join(["p,y,at,m,f,k", *rows]))

    replay(table, columns=COLUMNS, report=tmp_path / "r.html")

    capsys.readouterr()
    bins = panel(read(tmp_path / "r.html"), "features", "numbers", model="<b>")
    assert sum(one["count"] for one in bins) == 60
    assert (bins[0]["from"], bins[-1]["below"] > 119) == (60.0, True)


def test_a_recording_of_few_predictions_a_window_is_told_to_take_longer_ones(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    replay(a_table(tmp_path), columns=COLUMNS)  # 10 an hour, for 20 hours

    said = capsys.readouterr().out
    assert "too few to compare one with another: try --window 6h" in said.replace("\n", " ")


# ------------------------------------------------------------------ the demo's
def test_the_demo_leaves_its_whole_history_as_of_the_end_of_the_last_window(
    history: str, tmp_path: Path
) -> None:
    page = DemoPage("", History(database.url_of(history)))
    there = {("driftline.metrics", 0): 1, ("driftline.predictions.dlq", 0): 99}  # not in histories
    out = tmp_path / "new" / "r.html"

    page.report(out, there)

    report = read(out)
    assert report["facts"]["of"] == "driftline demo"
    assert report["facts"]["at_ms"] == START_MS + webs.WINDOWS * MINUTE_MS
    assert len(panel(report, "model", "quality", model="fraud")) == webs.WINDOWS


def test_the_demo_waits_for_what_was_read_and_is_not_in_its_history_yet(history: str) -> None:
    page = DemoPage("", History(database.url_of(history)))

    last = 3 * webs.WINDOWS * (1 + len(webs.NASTY))

    assert page.has({("driftline.metrics", 0): last})
    assert not page.has({("driftline.metrics", 0): last + 1})
