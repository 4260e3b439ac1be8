"""What a step of the monitor writes: state, metrics and alerts, in one transaction."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec

from streams.categories import category_names
from streams.cells.coarse import lacking_ms
from streams.cells.windows import KINDS
from streams.monitor.state import MonitorState
from streams.monitor.tables import is_of, written
from streams.probabilities import Oddity
from streams.quarantine import Quarantined
from streams.rules.ground_records import OPENED
from streams.rules.records import OF_MODELS
from streams.steps import DeadLetter, Effects, Record
from streams.topics import Topics

Key = tuple[Any, ...]

MERGED_CELLS = 10_000
"""A step merges about so many cells of panes at most, of 7 to 15 µs each."""


class Writing:
    """What has to be written so far.

    Attributes
    ----------
    published
        Code of the model and record of every metric.
    arrived, done_with
        Records that have come, with the watermark then; those that need not be read again.
    refused
        Specifications that cannot be used.
    forgotten, forgotten_rows
        How many models were forgotten, and rows left out of predictions before that.
    adopted, adoptions_left
        Orders to adopt a level that took effect, and those that could not.
    left_out, other_rows
        Values of features, and segments of predictions, that have no place; outcomes with a class
        that has no code of its own.
    unwritten
        Whether rows were counted that nobody reads again.
    renewed
        Models of which what they have shown must be written down at once.
    categories
        What texts of features are called in what is published, by their hashes.
    """

    categories = category_names(None)

    def __init__(self, state: MonitorState, topics: Topics, *, largest_bytes: int) -> None:
        self.state, self.topics, self._largest_bytes = state, topics, largest_bytes
        self.published: list[tuple[int, Record]] = []
        self.remarks: list[str] = []
        self.refused: list[DeadLetter] = []
        self.oddities: list[Oddity] = []
        self.arrived: dict[int, int] = {}
        self.done_with: list[int] = []
        self.late_rows = self.left_out_rows = self.improper_scores = 0
        self.forgotten = self.forgotten_rows = self.other_rows = 0
        self.adopted = self.adoptions_left = 0
        self.left_out: Counter[str] = Counter()
        self.unwritten = False
        self.renewed: set[int] = set()
        self._upserts: dict[bytes, bytes | None] = {}
        self._too_large: dict[int, tuple[str, int]] = {}
        self._set_aside: list[Quarantined] = []

    def _write(self, table: str, key: Key, content: Any) -> None:
        name, value = written(table, key, content)
        self._upserts.pop(name, None)
        self._upserts[name] = value

    def _write_of_model(self, table: str, code: int, content: Any, *more: Any) -> None:
        """Write a record of one model, which is set aside if that does not fit."""
        name, value = written(table, (*self.state.names[code], *more), content)
        self._upserts[name] = value
        size_bytes = len(name) + len(value or b"")
        if size_bytes > self._largest_bytes:
            self._too_large.setdefault(code, (table, size_bytes))

    @property
    def windows_ms(self) -> int:
        """The watermark; where nobody has ever read a prediction, how far hosts have come."""
        state = self.state
        return state.watermark_ms if state.watermark_ms >= 0 else state.settled_ms

    def done(self, offsets: Sequence[int]) -> None:
        """Note that a part of records, mostly the whole, need not be read again."""
        parts = self.state.forgets.parts
        if not parts:
            self.done_with += offsets
            return
        for offset in offsets:
            if offset not in parts:
                self.done_with.append(offset)
                continue
            parts[offset] -= 1
            if not parts[offset]:
                del parts[offset]

    # ------------------------------------------------------------------ forgetting
    def forget_windows(self) -> None:
        """Delete what is final for long."""
        for (table, *key), content in self.state.windows.forget(self.windows_ms):
            self._write(table, tuple(key), content)

    def merge_panes(self) -> None:
        """Merge finished panes into coarser ones, which this step must write down."""
        state = self.state
        for (table, *key), content in state.windows.merge(state.watermark_ms, most=MERGED_CELLS):
            self._write(table, tuple(key), content)

    def _forget_rule_panes(self, clock_ms: int) -> None:
        """Delete panes that have left every window of a rule."""
        for (table, *key), content in self.state.rules.forget(clock_ms):
            self._write(table, tuple(key), content)

    # ------------------------------------------------------------------ the whole
    def effects(self, *, changed: bool, hold_metrics: bool) -> Effects:
        """Write down what the step has changed: positions and clocks, or not even these."""
        state = self.state
        # A pane that is written before all its rows are restored would be taken for complete.
        if not (hold_metrics or state.reread):
            self._write_windows()
        if not hold_metrics:
            self._write_readings()
        state.alerts.end_foreign(state.watermark_ms)
        self._write_watched()
        self._write_silence()
        alerts = self._take_alerts()
        for code, why in self._too_large.items():
            alerts += self._set_model_aside(code, *why)
        for model, incident in state.incidents.changes():
            self._write("incident", (model,), incident)
        for model, rests in state.acting.changes(state.watermark_ms):
            self._write("acting", (model,), rests)
        self.tell_models()
        self._write_positions()
        self._write_specifications()
        for offset, content in state.forgets.changes():
            self._write("forget", (offset,), content)
        for offset, order in state.adoptions.changes():
            self._write("adopt", (offset,), order)
        records = [*alerts, *[record for _, record in self.published]]
        if not (changed or self._upserts or records):
            return Effects()
        self._write_clock()
        pane_ms = state.windows.windowing.pane_ms
        lacking = lacking_ms(state.windows.grid, pane_ms=pane_ms)
        self.remarks[:0] = state.restarts.say(state.partition, lacking)
        return Effects(
            state=list(self._upserts.items()),
            records=records,
            dead_letters=self.refused,
            late_rows=self.late_rows,
            set_aside=self._set_aside,
            set_aside_rows=self.left_out_rows,
            oddities=self.oddities,
            improper_scores=self.improper_scores,
            left_out_features=self.left_out["features"],
            left_out_segments=self.left_out["segments"],
            other_rows=self.other_rows,
            forgotten=self.forgotten,
            forgotten_rows=self.forgotten_rows,
            adopted=self.adopted,
            adoptions_left=self.adoptions_left,
            remarks=self.remarks,
            restarted=state.restarts.take(),
        )

    def tell_models(self) -> None:
        """Tell what has changed of models; see `hourly`."""

    def _write_windows(self) -> None:
        """Write down what was published; and panes, unless rows in them are read again."""
        state = self.state
        # A specification may have somebody look at rows in order that wait to be written down.
        ordered = bool(state.only_counted.offsets and state.specifications.waiting)
        whole = not state.held or self.unwritten or ordered
        self._write_pages(whole=whole)
        if whole:
            self._write_counted()
        else:
            # Nobody reads readings again.
            self._write_kinds(KINDS[-1:])

    def _write_pages(self, *, whole: bool) -> None:
        for (table, *key), content in self.state.windows.write_pages(whole=whole):
            self._write(table, tuple(key), content)

    def _write_counted(self) -> None:
        """Write down all that follows from rows that are counted: none is counted again."""
        state = self.state
        self._write_cells()
        for code in sorted(state.touched):
            shown = state.noticed.shown[code]
            if shown.dirty:
                shown.dirty = False
                self._write_of_model("shown", code, shown.pack())
        state.touched.clear()
        for bucket, content in state.fates.changes():
            self._write("fates", (bucket,), content)
        for bucket, begun in state.windows.baselines.changes():
            self._write("baselines", (bucket,), begun)
        state.counted = state.taken
        self.done(state.only_counted.take())

    def _write_readings(self) -> None:
        hosts = self.state.hosts
        for offset, content in hosts.changes():
            self._write("readings", (offset,), content)
        # Once there is a watermark, nobody asks.
        if self.state.watermark_ms < 0 and hosts.newest_ms > hosts.written_ms:
            hosts.written_ms = hosts.newest_ms
            self._write("hosts", (), hosts.newest_ms)

    def _write_kinds(self, kinds: Sequence[str]) -> None:
        limit = self._largest_bytes
        for (table, *key), content in self.state.windows.write(limit_bytes=limit, kinds=kinds):
            self._write(table, tuple(key), content)

    def _write_cells(self) -> None:
        state = self.state
        self._write_kinds(KINDS)
        self._too_large |= state.windows.take_too_large()
        for code in sorted(state.world.classes.changed):
            self._write_of_model("classes", code, state.world.classes.names_of(code))
        state.world.classes.changed.clear()

    def _write_watched(self) -> None:
        """Write down what rules, detectors and alerts know now."""
        state = self.state
        for (table, *key), content in state.rules.write(limit_bytes=self._largest_bytes):
            self._write(table, tuple(key), content)
        self._too_large |= state.rules.take_too_large()
        for name, (code, bucket), packed in state.drifts.changes():
            self._write_of_model("lanes", code, packed, name, bucket)
        for place, sums in state.scan.written.changes():
            self._write("scan", place, sums)
        for code in sorted(state.alerts.changed - state.quarantined.keys()):
            self._write_of_model("firing", code, state.alerts.pack(code))
        state.alerts.changed.clear()
        for code, content in state.rule_states.lives.changes():
            self._write("lives", state.names[code], content)
        for code, content in state.rule_states.judge.usuals.changes():
            self._write("usual", state.names[code], content)
        for bucket, last in state.rule_states.absences.changes():
            self._write("absence", (bucket,), last)

    def _write_silence(self) -> None:
        """Write down when models had rows; with it, what they have shown in that life."""
        state = self.state
        for code in sorted(code for code in self.renewed if state.names[code] in state.codes):
            state.noticed.shown[code].dirty = False
            self._write_of_model("shown", code, state.noticed.shown[code].pack())
        for bucket, content in state.silence.changes():
            self._write("seen", (bucket,), content)

    def _write_positions(self) -> None:
        done_with = set(self.done_with)
        for offset, watermark_ms in self.arrived.items():
            if offset not in done_with:
                self._write("rows", (offset,), watermark_ms)
        for offset in self.done_with:
            if offset not in self.arrived:
                self._write("rows", (offset,), None)

    def _write_specifications(self) -> None:
        known = self.state.specifications
        if known.dirty:
            known.dirty = False
            self._write("specification", (), known.pack())

    def _write_clock(self) -> None:
        state = self.state
        notices = [msgspec.structs.astuple(notice) for notice in state.notices.values()]
        place = [state.next, state.sources, notices, state.watermark_ms]
        layout = state.windows.layout
        self._write("clock", (), [layout.packed, *place, state.counted, state.taken])

    def _set_model_aside(self, code: int, table: str, size_bytes: int) -> list[Record]:
        """Write down, instead of a model's state, that it does not fit; end its alerts."""
        state, at_ms = self.state, self.state.watermark_ms
        name = state.names[code]
        why = Quarantined(*name, table, size_bytes, self._largest_bytes, at_ms)
        buckets = state.drifts.forget(code)
        state.set_aside(code, why)
        self._upserts = {
            key: value
            for key, value in self._upserts.items()
            if value is None or not is_of(key, name)
        }
        for one in ("shown", "classes", "firing", "lives", "usual", OPENED, *OF_MODELS):
            self._write(one, name, None)
        for drift, (_, bucket) in buckets:
            self._write("lanes", (*name, drift, bucket), None)
        # Cells hold rows of other models, too: those that wait must not be counted again.
        (self._write_cells if state.reread else self._write_counted)()
        self._write_pages(whole=True)
        self._write_watched()
        self._write("quarantine", name, msgspec.structs.astuple(why)[2:])
        self.published = [one for one in self.published if one[0] != code]
        self._set_aside.append(why)
        state.alerts.end(code, at_ms=at_ms, message="the model is set aside")
        state.alerts.changed.discard(code)
        return self._take_alerts()

    def _take_alerts(self) -> list[Record]:
        """Return the revisions of alerts and of the incidents that they are in, and actions."""
        alerts = self.state.alerts
        again = alerts.said_again
        found = self.state.incidents.group(alerts.take(), said_again=again)
        actions, topics = self.state.acting.of(found, alerts.take_then()), self.topics
        return [
            *(Record(topics.alerts, one.alert_id.encode(), _encode(one)) for one in found),
            *(Record(topics.actions, one.action_id.encode(), _encode(one)) for one in actions),
        ]


_encode = msgspec.json.Encoder().encode
