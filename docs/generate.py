"""Write the tables of the reference that come from the code, between their markers.

    python -m docs.generate

A page says where a table goes: between ``<!-- generated: NAME -->`` and ``<!-- end -->``. The pages
are committed, so that they can be read wherever the code is; a test compares them.
"""

import inspect
import math
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import typer
import yaml

from agents.acls import grants
from agents.cli import app
from agents.options import OPTIONS, Option
from agents.settings import Settings
from agents.sinks.prometheus import RESULTS
from agents.sinks.telemetry import SINK
from agents.telemetry_catalogue import RESOURCES, WORKER, Entry
from streams import families
from streams.families.family import EVERY_TASK, MULTICLASS, Metric, Part
from streams.monitors import DEFAULT_DRIFTS
from streams.rule_kinds import OTHER_KINDS, RULE_KINDS, RuleKind
from streams.scan.inputs import WATCHED
from streams.scan.parameters import BUDGETS
from streams.topics import Topics
from streams.watchers import WATCHERS, allowed, described

HERE = Path(__file__).parent
_BLOCK = re.compile(r"(<!-- generated: (.+?) -->\n).*?(<!-- end -->)", re.DOTALL)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table; bars in cells are escaped."""
    lines = [[cell.replace("|", "\\|") for cell in row] for row in (head, *rows)]
    first, *rest = [f"| {' | '.join(cells)} |" for cells in lines]
    return "\n".join([first, "|" + "---|" * len(head), *rest])


def _codes(texts: Sequence[object]) -> str:
    return ", ".join(f"`{text}`" for text in texts)


def settings() -> str:
    """Return every setting of a worker, with its names, default and range."""
    return table(
        ["flag of `driftline worker`, and variable", "default", "meaning"],
        [[f"`{o.flag}`<br>`{o.variable}`", _default(o), _meaning(o)] for o in OPTIONS],
    )


def _default(option: Option) -> str:
    said = {"monitors": "none", "worker_id": "random"}
    return said.get(option.name, f"`{option.show(Settings())}`")


def _meaning(option: Option) -> str:
    if option.allowed is None:
        return option.meaning
    return "{}, `{}` to `{}`".format(option.meaning, *option.allowed)


def telemetry(entries: Sequence[Entry]) -> str:
    """Return metrics of a worker."""
    return table(
        ["name", "type", "labels", "meaning"],
        [[f"`{e.name}`", e.kind, _codes(e.labels), e.help.rstrip(".")] for e in entries],
    )


def metrics() -> str:
    """Return every metric, in the order of publication."""
    head = ["metric", "meaning", "values", "better", "interval", "models"]
    rows: list[list[str]] = []
    for metric in families.CATALOGUE.metrics.values():
        rest = [_values(metric), metric.better, metric.interval or "", _kinds(metric)]
        unit = f", in {metric.unit}" if metric.unit else ""
        mark = "" if metric.default else " °"
        rows.append([f"`{metric.written}`{mark}", metric.help + unit, *rest])
        if metric.part is Part.CLASS:
            name = f"`{metric.name}:<class>`"
            rows.append(
                [name, "the same for one class, for up to 100 classes", *rest[:3], _SEVERAL]
            )
    return table(head, rows)


_SEVERAL = "several classes"


def _values(metric: Metric) -> str:
    if metric.lowest == -math.inf:
        ends = "any"
    elif metric.highest == math.inf:
        ends = f"from {metric.lowest:g} on"
    else:
        ends = f"{metric.lowest:g} to {metric.highest:g}"
    return f"{ends}, {metric.unit}" if metric.unit else ends


def _kinds(metric: Metric) -> str:
    if metric.tasks == EVERY_TASK:
        return "all"
    tasks = metric.tasks if metric.has_mean else metric.tasks - {MULTICLASS}
    return ", ".join(sorted(task.replace(MULTICLASS, _SEVERAL) for task in tasks))


def prometheus_rules() -> str:
    """Return the alert rules on these metrics, and what they tell to do."""
    file = HERE.parent / "deploy" / "prometheus" / "alerts.yml"
    [group] = yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]
    rows = []
    for rule in group["rules"]:
        told = rule["annotations"]
        says = f"{told['summary']}. {' '.join(told['description'].split())}"
        severity = rule["labels"]["severity"]
        rows.append([f"`{rule['alert']}`", severity, rule.get("for", "at once"), _shown(says)])
    return table(["rule", "severity", "after", "what it says"], rows)


def _shown(template: str) -> str:
    """Return what Prometheus fills in as placeholders, which Markdown does not take for HTML."""
    named = re.sub(r"{{ \$labels\.(\w+) }}", r"<\1>", template)
    return re.sub(r"{{ \$value.*? }}", "N", named).replace("<", "&lt;").replace(">", "&gt;")


def default_monitors() -> str:
    """Return what is watched where nobody says what."""
    return table(
        ["monitor", "fires when the scan finds a change of", "severity"],
        [[f"`{one.name}`", f"`{one.input}`", one.severity] for one in DEFAULT_DRIFTS],
    )


def topics() -> str:
    """Return every topic of an installation; what it holds is said where it is named."""
    found = []
    for member in vars(Topics).values():
        if isinstance(member, property) and isinstance(topic := member.fget(Topics()), str):
            side, _, what = inspect.getdoc(member).partition(": ")
            found.append([f"`{topic}`", side.lower(), what.rstrip(".")])
    letters = [[f"`{name}`", "out", _LETTERS] for name in Topics().all_dead_letters]
    return table(["topic", "side", "what it holds"], [*found, *letters])


_LETTERS = "what could not be used, with its [reason](fates.md#dead-letters)"


def acls() -> str:
    """Return the rights of every part; those with the same operations share a row."""
    names: dict[tuple[str, str, str], list[str]] = {}
    for grant in grants("driftline", alerts_group="pager"):
        resource = grant.resource + (", by prefix" if grant.prefixed else "")
        key = grant.part, resource, ", ".join(grant.operations)
        names.setdefault(key, []).append(grant.name)
    return table(
        ["part", "resource", "names", "operations"],
        [[f"`{part}`", what, _codes(of), how] for (part, what, how), of in names.items()],
    )


def cli() -> str:
    """Return what ``--help`` says, command by command."""
    return "\n\n".join(_pages(typer.main.get_command(app), "driftline"))


def _pages(command: Any, path: str) -> Iterator[str]:
    for name, member in getattr(command, "commands", {}).items():
        if not member.hidden:
            yield from _pages(member, f"{path} {name}")
    if not hasattr(command, "commands"):
        yield "\n\n".join(_page(command, path))


def _page(command: Any, path: str) -> Iterator[str]:
    shown = [parameter for parameter in command.params if not getattr(parameter, "hidden", False)]
    arguments = [p.metavar or p.name.upper() for p in shown if p.param_type_name == "argument"]
    yield f"### {path}"
    yield f"```text\n{' '.join([path, '[OPTIONS]', *arguments])}\n```"
    yield command.help.strip()
    yield table(["option", "meaning"], [[_usage(p), p.help or ""] for p in shown])
    examples = re.findall(r"`(.+)`", command.epilog or "")
    if examples:
        yield "```sh\n{}\n```".format("\n".join(examples))


def _usage(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return f"`{parameter.metavar or parameter.name.upper()}`"
    value = "" if parameter.is_flag else f" {parameter.metavar or 'TEXT'}"
    return _codes([name + value for name in (*parameter.opts, *parameter.secondary_opts)])


def rule_kinds() -> str:
    """Return every kind of rules."""
    rows = [[f"`{kind.name}`", f"{kind.help}", _limits_of(kind)] for kind in RULE_KINDS]
    rows += [
        [", ".join(f"`{key}`" for key in kind.keys), kind.help, kind.allowed]
        for kind in OTHER_KINDS
    ]
    return table(["key", "the rule is violated when", "allowed"], rows)


def _limits_of(kind: RuleKind) -> str:
    bounds = allowed(msgspec.inspect.type_info(kind.given))
    return bounds or "what the metric can be"


def detectors() -> str:
    """Return the parameters of every detector."""
    return table(
        ["detector", "parameter", "default", "allowed", "meaning"],
        [
            [f"`{w.name}`", f"`{p.name}`", f"`{p.default:g}`", p.allowed, p.meaning]
            for w in WATCHERS
            for p in described(w)
        ],
    )


def scan_inputs() -> str:
    """Return what the scan can watch."""
    budgets = {name: f"{budget:g}" for name, budget in BUDGETS.items()}
    rows = [[f"`{name}`", text, budgets[name]] for name, text in WATCHED.items()]
    return table(["input", "what is watched", "false alarms a year"], rows)


def code(path: str) -> str:
    """Return a file as it is."""
    return f"```python\n{(HERE / path).read_text(encoding='utf-8')}```"


BLOCKS: dict[str, Callable[[], str]] = {
    "settings": settings,
    "telemetry worker": lambda: telemetry(WORKER),
    "telemetry resources": lambda: telemetry(RESOURCES),
    "telemetry sinks": lambda: telemetry(SINK),
    "telemetry results": lambda: telemetry(RESULTS),
    "prometheus rules": prometheus_rules,
    "acls": acls,
    "metrics": metrics,
    "family": lambda: code("extend/cohen_kappa.py"),
    "detector": lambda: code("extend/cusum.py"),
    "rule kind": lambda: code("extend/differs_by.py"),
    "detectors": detectors,
    "rule kinds": rule_kinds,
    "scan inputs": scan_inputs,
    "default monitors": default_monitors,
    "topics": topics,
    "cli": cli,
}
"""What may stand in a marker, and what makes it."""


def filled(page: str) -> str:
    """Return the page with its generated parts as the code has them now.

    Raises
    ------
    KeyError
        If a marker names no block.
    """
    return _BLOCK.sub(lambda found: f"{found[1]}\n{BLOCKS[found[2]]()}\n\n{found[3]}", page)


def pages() -> list[Path]:
    """Return every page of the docs."""
    return sorted(HERE.rglob("*.md"))


def main() -> None:
    """Write what has changed."""
    for path in pages():
        page = path.read_text(encoding="utf-8")
        if (new := filled(page)) != page:
            path.write_text(new, encoding="utf-8")
            print(f"{path.relative_to(HERE.parent)} written")


if __name__ == "__main__":
    main()
