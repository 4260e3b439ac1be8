"""What a step does as panes and hours pass: it looks at what they have shown, and tells of it."""

from collections.abc import Collection

import numpy as np

from streams.cells.hour_windows import classes_of, hour_windows, kinds_of
from streams.cells.hours import hour_ms
from streams.cells.referring import reference_of
from streams.cells.store import PANE_BITS
from streams.models_told import encode, model_key
from streams.monitor.writing import Writing
from streams.outcomes import Ints
from streams.steps import Record

_PREDICTIONS, _OUTCOMES = range(2)
_NOBODY = -1
"""Code under which deletions are published: theirs may be another model's by the end of a step."""


class Hourly(Writing):
    """A step, as far as it is about passing hours, and what is told of models."""

    def grow_baselines(self, *, whole: bool = False) -> None:
        """Add the panes to baselines that the watermark has passed; see `forgetting`."""

    def pass_hours(self, *, whole: bool = False) -> None:  # noqa: ARG002
        """Look at panes and hours that the watermark has passed, some hours at a time or all."""
        state = self.state
        if state.windows.baselines.behind:
            return
        self._pass_panes()
        way = state.windows.windowing
        for which, behind_ms in ((_PREDICTIONS, 0), (_OUTCOMES, way.horizon_ms)):
            until_ms = state.watermark_ms - behind_ms
            while (from_ms := self._due(until_ms, which)) is not None:
                self._pass_hour(from_ms, which)
                state.windows.hours.pass_by(from_ms + hour_ms(way.pane_ms), which=which)

    def _due(self, until_ms: int, which: int) -> int | None:
        windows = self.state.windows
        members, pane_ms = windows.grid.predictions.members, windows.windowing.pane_ms
        return windows.hours.due(members, until_ms, which=which, pane_ms=pane_ms)

    def _pass_panes(self) -> None:
        """Note which models had predictions in panes that were passed."""
        state = self.state
        way, members = state.windows.windowing, state.windows.grid.predictions.members
        span_ms = hour_ms(way.pane_ms)
        for number in state.windows.hours.panes(members, state.watermark_ms, pane_ms=way.pane_ms):
            at_ms = number * way.pane_ms
            codes = self._models_in([number]).tolist()
            state.facts.seen(codes, pane_ms=at_ms, hour_ms=at_ms // span_ms * span_ms)

    def _models_in(self, numbers: Collection[int]) -> Ints:
        """Return the models with predictions in panes."""
        side, world = self.state.windows.grid.predictions, self.state.world
        places = [(number, bucket) for number in numbers for bucket in side.members.get(number, ())]
        subjects = side.table.key[side.rows_at(places)] >> PANE_BITS
        return np.unique(world.subjects.models[subjects])

    def _pass_hour(self, from_ms: int, which: int) -> None:
        """Look at an hour, all predictions or outcomes of which are counted."""
        state, pane_ms = self.state, self.state.windows.windowing.pane_ms
        until_ms = from_ms + hour_ms(pane_ms)
        models = self._models_in(range(from_ms // pane_ms, until_ms // pane_ms))
        windows = hour_windows(state.windows, models, from_ms, final=which == _OUTCOMES)
        if which == _OUTCOMES:
            for code, names in classes_of(windows).items():
                state.facts.has_classes(code, names)
            return
        for code in models.tolist():
            self.judge(code, until_ms)
        for code, kinds in kinds_of(windows).items():
            state.facts.has_features(code, kinds)

    # ------------------------------------------------------------------ models
    def judge(self, code: int, time_ms: int) -> None:
        """Note what a model is judged to be at the last boundary by a time."""
        found = self.state.noticed.shown[code].as_of(time_ms)
        if found is not None:
            at_ms, judged, classes = found
            self.state.facts.judged(code, judged, classes, at_ms=at_ms)

    def untell(self, codes: Collection[int]) -> None:
        """Delete what was told of models, which are forgotten."""
        facts, names = self.state.facts, self.state.names
        for code in codes:
            known = facts.drop(code)
            if known is None:
                continue
            self._write("models", names[code], None)
            if known.first_seen_ms >= 0:
                key = model_key(*names[code])
                self.published.append((_NOBODY, Record(self.topics.models, key, None)))

    def tell_models(self) -> None:
        """Tell what has changed of models."""
        state = self.state
        facts, versions = state.facts, [version for _, version in state.names]
        for code in sorted(facts.due - state.quarantined.keys()):
            if state.names[code] not in state.codes:
                continue
            of = state.windows.baselines, state.world
            facts.refers(code, reference_of(*of, code=code, version_of=versions))
        facts.due.clear()
        for code, found in facts.changes():
            if code in state.quarantined:
                continue
            name = state.names[code]
            self._write_of_model("models", code, found)
            if found.first_seen_ms < 0:
                continue
            record = Record(self.topics.models, model_key(*name), encode(found.record(name)))
            self.published.append((code, record))
        if state.windows.hours.changed:
            state.windows.hours.changed = False
            self._write("hours", (), state.windows.hours.pack())
