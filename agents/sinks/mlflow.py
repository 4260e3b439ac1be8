"""Log final values to MLflow, a run for each model, and tag model versions with how they are.

Rules of this file:

* MLflow is asked by its REST API (2.0), which every server of it has: nothing is installed.
* The next offsets of metrics and actions are a tag of the experiment, written once MLflow has what
  they say. Alerts are read anew at every start: which fire is what they say together.
* A value that is logged again is the same to MLflow: run, name, time, step and value are its key.
"""

from __future__ import annotations

import re
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import msgspec

from agents.exits import say
from agents.printable import printable
from agents.sinks.contract import Clock, Kind, Sink, Upsert, option
from agents.sinks.mlflow_aliases import Aliases
from agents.sinks.posting import Poster, judge, secret_in
from streams.actions import Action
from streams.alerts import SEVERITIES, Alert, alert_id
from streams.durations import format_duration
from streams.errors import ConfigError
from streams.metrics import Metric

if TYPE_CHECKING:
    from driftline.places import Place

STATUS = "driftline.status"
"""The tag of model versions: `ok`, or the severity of the worst alert that fires."""

_NEXT = "driftline.next_offsets"
_RUN = "driftline.run"
_PLAIN = re.compile(r"[A-Za-z0-9_](?:[\w. -]{0,98}\w)?", re.ASCII)
_UNSAFE = re.compile(r"[^\w-]", re.ASCII)
_AT_ONCE = 1_000
_CALLS = (
    *("experiments/search", "experiments/create", "experiments/set-experiment-tag"),
    *("runs/search", "runs/create", "runs/log-batch", "model-versions/set-tag"),
)


class MlflowOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Which server is told, and what of."""

    target: Annotated[str, option("Of the tracking server.", "URL")]
    experiment: Annotated[
        str, option("Where runs are; made if it is not there. One for each sink.", "NAME")
    ] = "driftline"
    segments: Annotated[bool, option("Also log values of segments, a run for each.")] = False
    aliases: Annotated[
        str | None,
        option(
            "Move this alias of the registry as actions ask: rollback from the version that they "
            "are about, promote to it.",
            "NAME",
        ),
    ] = None
    authorization_file: Annotated[
        str | None, option("Has what the Authorization header says, such as Bearer ….", "FILE")
    ] = None


class Mlflow(Sink):
    """Log metrics of final windows to MLflow, and tag model versions with what fires.

    There is a run for each model, version and length of windows; values have the time at which
    their window ended, and that in seconds since 1970 as step. Versions of the model registry whose
    name and version are those of predictions get the tag driftline.status: ok, or the severity of
    the worst alert that fires.
    """

    name = "mlflow"
    options = MlflowOptions
    at_once: ClassVar[int] = _AT_ONCE
    examples = (
        "driftline sink mlflow http://localhost:5000",
        "driftline sink mlflow https://mlflow.example.com --experiment fraud --segments",
        "driftline sink mlflow http://localhost:5000 --aliases champion",
    )

    def __init__(self, options: MlflowOptions, *, clock: Clock | None = None) -> None:
        secret = secret_in(options.authorization_file, option="--authorization-file")
        url = f"{options.target.rstrip('/')}/api/2.0/mlflow/"
        self._calls = {
            call: Poster(url + call, authorization=secret, allow_private=True) for call in _CALLS
        }
        self._now_ms = clock or (lambda: time.time_ns() // 1_000_000)
        self._aliases: Aliases | None = None
        if options.aliases is not None:
            self._aliases = Aliases(url, options.aliases, authorization=secret)
        self._experiment, self._segments = options.experiment, options.segments
        self._experiment_id = ""
        self._runs: dict[tuple[str, ...], str] = {}
        self._next: dict[Place, int] = {}
        self._saved: dict[Place, int] = {}
        self._firing: dict[str, Alert] = {}
        self._statuses: dict[tuple[str, str], str] = {}
        self._unsaid: dict[tuple[str, str], None] = {}
        self._ready = False

    @property
    def wanted(self) -> tuple[Kind, ...]:
        """Metrics and alerts, and actions where these move an alias."""
        return self.reads if self._aliases is None else (*self.reads, "actions")

    def start(self) -> Mapping[Place, int]:
        """Find or make the experiment, and return the next offsets of metrics that it has."""
        asked = {"filter": f"name = {_quoted(self._experiment)}", "max_results": 1}
        found = self._ask("experiments/search", asked).get("experiments")
        if not found:
            made = self._ask("experiments/create", {"name": self._experiment})
            self._experiment_id = made["experiment_id"]
            return {}
        self._experiment_id = found[0]["experiment_id"]
        tags = {tag["key"]: tag["value"] for tag in found[0].get("tags", ())}
        try:
            following = msgspec.json.decode(tags.get(_NEXT, "{}"), type=dict[str, dict[str, int]])
        except msgspec.DecodeError:
            raise ConfigError(
                f"the experiment's tag {_NEXT} cannot be read; delete it, and all is logged again"
            ) from None
        self._saved = {
            (topic, int(number)): offset
            for topic, numbers in following.items()
            for number, offset in numbers.items()
        }
        self._next = dict(self._saved)
        return dict(self._saved)

    def write(self, upserts: Sequence[Upsert]) -> None:
        """Log final values, and take note of what fires."""
        by_run: dict[tuple[str, ...], list[dict[str, Any]]] = defaultdict(list)
        for upsert in upserts:
            record = upsert.record
            if isinstance(record, Metric):
                if record.final and (self._segments or not record.segment):
                    by_run[_run(record)].extend(_values(record))
                self._touch(record.model, record.version)
            elif upsert.kind == "alerts" and (record is None or isinstance(record, Alert)):
                self._note(upsert.key.decode(errors="replace"), record)
        for run, values in by_run.items():
            for first in range(0, len(values), _AT_ONCE):
                told = {"run_id": self._run_id(run), "metrics": values[first : first + _AT_ONCE]}
                self._ask("runs/log-batch", told)
        for upsert in upserts:
            if self._aliases is not None and isinstance(upsert.record, Action):
                self._aliases.take(upsert.record, now_ms=self._now_ms())
            if upsert.kind != "alerts":
                self._next[upsert.topic, upsert.partition] = upsert.offset + 1

    def caught_up(self) -> None:
        """Say from now on how versions are: all alerts are known."""
        self._ready = True

    def flush(self) -> None:
        """Tag versions whose status is another, and the experiment with what is done."""
        if self._ready:
            self._tell_statuses()
        if self._next == self._saved:
            return
        following: dict[str, dict[str, int]] = defaultdict(dict)
        for (topic, number), offset in sorted(self._next.items()):
            following[topic][str(number)] = offset
        told = {"key": _NEXT, "value": msgspec.json.encode(following).decode()}
        told["experiment_id"] = self._experiment_id
        self._ask("experiments/set-experiment-tag", told)
        self._saved = dict(self._next)

    def _touch(self, model: str, version: str) -> None:
        if (model, version) not in self._statuses:
            self._unsaid[model, version] = None

    def _note(self, name: str, record: Metric | Alert | None) -> None:
        before = self._firing.pop(name, None)
        if isinstance(record, Alert):
            if record.state == "firing":
                self._firing[name] = record
            before = record
        if before is not None:
            self._unsaid[before.model, before.version] = None

    def _tell_statuses(self) -> None:
        worst: dict[tuple[str, str], int] = {}
        for alert in self._firing.values():
            of, rank = (alert.model, alert.version), _rank(alert.severity)
            worst[of] = max(worst.get(of, rank), rank)
        for of in list(self._unsaid):
            status = SEVERITIES[worst[of]] if of in worst else "ok"
            if self._statuses.get(of) != status:
                self._tag(of, status)
            self._statuses[of] = status
            del self._unsaid[of]

    def _tag(self, of: tuple[str, str], status: str) -> None:
        model, version = of
        told = {"name": model, "version": version, "key": STATUS, "value": status}
        poster = self._calls["model-versions/set-tag"]
        answer = poster.ask(msgspec.json.encode(told))
        if _code(answer.body) in _NO_SUCH_VERSION:
            if of not in self._statuses:
                say(f"no version of the registry: {printable(model)}/{printable(version)}")
            return
        judge(answer.status, poster.said(answer))

    def _run_id(self, run: tuple[str, ...]) -> str:
        if run not in self._runs:
            self._runs[run] = self._found(run) or self._made(run)
        return self._runs[run]

    def _found(self, run: tuple[str, ...]) -> str | None:
        asked = {
            "experiment_ids": [self._experiment_id],
            "filter": f"tags.`{_RUN}` = '{alert_id(*run)}'",
            "max_results": 1,
        }
        found = self._ask("runs/search", asked).get("runs")
        return found[0]["info"]["run_id"] if found else None

    def _made(self, run: tuple[str, ...]) -> str:
        tags = {f"driftline.{name}": text for name, text in zip(_RUN_OF, run, strict=True)}
        name = " ".join(text for text in run if text)
        tags |= {_RUN: alert_id(*run), "mlflow.runName": printable(name)[:200]}
        asked = {
            "experiment_id": self._experiment_id,
            "tags": [{"key": key, "value": value} for key, value in tags.items()],
        }
        made: str = self._ask("runs/create", asked)["run"]["info"]["run_id"]
        return made

    def _ask(self, call: str, told: Mapping[str, Any]) -> dict[str, Any]:
        poster = self._calls[call]
        try:
            return msgspec.json.decode(
                poster.post(msgspec.json.encode(told)) or b"{}", type=dict[str, Any]
            )
        except msgspec.DecodeError:
            raise ConfigError(f"{poster.host} does not answer as MLflow does") from None


_RUN_OF = ("model", "version", "segment", "window")
_NO_SUCH_VERSION = frozenset({"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"})


def _run(record: Metric) -> tuple[str, ...]:
    window = format_duration(record.window_end_ms - record.window_start_ms)
    return record.model, record.version, record.segment, window


def _values(record: Metric) -> Iterator[dict[str, Any]]:
    name = key_of(record.metric)
    at = {"timestamp": record.window_end_ms, "step": record.window_end_ms // 1_000}
    for suffix, value in {"": record.value, ".low": record.low, ".high": record.high}.items():
        if value is not None:
            yield {"key": name + suffix, "value": value, **at}


def key_of(metric: str) -> str:
    """Return what a metric is called in MLflow, whose names have fewer characters.

    Examples
    --------
    >>> key_of("accuracy"), key_of("mean:amount")
    ('accuracy', 'mean/amount')
    >>> key_of("mean:../a"), key_of("mean:a/b") != key_of("mean:a_b")
    ('mean/___a_3312392e', True)
    """
    name, colon, part = metric.partition(":")
    return f"{_safe(name)}/{_safe(part)}" if colon else _safe(name)


def _safe(text: str) -> str:
    if _PLAIN.fullmatch(text):
        return text
    return f"{_UNSAFE.sub('_', text)[:80]}_{alert_id(text)[:8]}"


def _rank(severity: str) -> int:
    return SEVERITIES.index(severity) if severity in SEVERITIES else 0


def _code(body: bytes) -> str:
    try:
        code = msgspec.json.decode(body, type=dict[str, Any]).get("error_code")
    except msgspec.DecodeError:
        return ""
    return code if isinstance(code, str) else ""


def _quoted(text: str) -> str:
    """Return a text as MLflow's filters have it, which know no escapes.

    Raises
    ------
    ConfigError
        If it has both kinds of quotes.
    """
    for mark in ("'", '"'):
        if mark not in text:
            return f"{mark}{text}{mark}"
    raise ConfigError("--experiment: the name has ' and \", which MLflow cannot look for")
