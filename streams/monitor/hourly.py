"""What a step does as panes and hours pass: it looks at what they have shown, and tells of it."""

from collections.abc import Collection, Iterable, Mapping

import numpy as np

from streams.cells.drawn import (
    Drawn,
    Telling,
    of_outcomes,
    of_predictions,
    reference_names,
    references_of,
)
from streams.cells.hour_windows import classes_of, hour_windows, kinds_of
from streams.cells.hours import hour_ms
from streams.cells.referring import reference_of
from streams.cells.store import BUCKET_BITS, PANE_BITS
from streams.cells.view import Windows
from streams.distributions import Distribution, Role
from streams.models_told import encode, model_key
from streams.monitor.writing import Writing
from streams.outcomes import Ints
from streams.steps import Record

_PREDICTIONS, _OUTCOMES = range(2)
_BUCKETS = range(1 << BUCKET_BITS)
_ALL = 1 << 62
_AT_ONCE = 50
"""A step looks at about so many models; one of eight features takes about a millisecond."""

_NOBODY = -1
"""Code under which deletions are published: theirs may be another model's by the end of a step."""


class Hourly(Writing):
    """A step, as far as it is about passing hours, and what is told of models."""

    def grow_baselines(self, *, whole: bool = False) -> None:
        """Add the panes to baselines that the watermark has passed; see `forgetting`."""

    def pass_hours(self, *, whole: bool = False) -> None:
        """Look at panes and hours that the watermark has passed, some models at a time or all."""
        state = self.state
        if state.windows.baselines.behind:
            return
        self._pass_panes()
        left = _ALL if whole else _AT_ONCE
        for which, behind_ms in (
            (_PREDICTIONS, 0),
            (_OUTCOMES, state.windows.windowing.horizon_ms),
        ):
            until_ms = state.watermark_ms - behind_ms
            while left > 0 and (from_ms := self._due(until_ms, which)) is not None:
                left -= self._pass_some(from_ms, which)
        state.windows.hours.behind = left <= 0

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

    def _models_in(self, numbers: Iterable[int], bucket: int | None = None) -> Ints:
        """Return the models with predictions in panes; of one bucket, or of all."""
        side, world = self.state.windows.grid.predictions, self.state.world
        panes = ((n, side.members[n]) for n in numbers if n in side.members)
        if bucket is None:
            places = [(n, one) for n, pane in panes for one in pane]
        else:
            places = [(n, bucket) for n, pane in panes if bucket in pane]
        subjects = side.table.key[side.rows_at(places)] >> PANE_BITS
        return np.unique(world.subjects.models[subjects])

    def _pass_some(self, from_ms: int, which: int) -> int:
        """Look at some models in an hour, all predictions or outcomes of which are counted.

        Returns
        -------
        int
            How many models.
        """
        windows = self.state.windows
        hours, pane_ms = windows.hours, windows.windowing.pane_ms
        until_ms = from_ms + hour_ms(pane_ms)
        panes = range(from_ms // pane_ms, until_ms // pane_ms)
        found: list[Ints] = []
        bucket, count = hours.buckets[which], 0
        while bucket < len(_BUCKETS) and count < _AT_ONCE:
            found.append(self._models_in(panes, bucket))
            bucket, count = bucket + 1, count + len(found[-1])
        hours.buckets[which], hours.changed = bucket, True
        if bucket == len(_BUCKETS):
            hours.pass_by(until_ms, which=which)
        if count:
            (self._look, self._look_final)[which](np.sort(np.concatenate(found)), from_ms)
        return count

    def _look(self, models: Ints, from_ms: int) -> None:
        """Look at what models have shown with predictions of an hour."""
        state, facts = self.state, self.state.facts
        for code in models.tolist():
            self.judge(code, from_ms + hour_ms(state.windows.windowing.pane_ms))
        windows = hour_windows(state.windows, models, from_ms, final=False)
        for code, kinds in kinds_of(windows).items():
            facts.has_features(code, kinds)
        names = reference_names(windows, state.names, state.windows.baselines.comparing)
        codes = windows.model.tolist()
        news = [
            place
            for place, (code, name) in enumerate(zip(codes, names, strict=True))
            if name and facts.draws(code, name)
        ]
        references = references_of(windows, news)

        def kinds_told(code: int) -> Mapping[str, str]:
            return facts.of(code).features

        telling = Telling(kinds_told, state.monitors.hides, self.categories)
        if references is not None:
            self._draw(references, of_predictions(references, telling), "reference")
        self._draw(windows, of_predictions(windows, telling), "window")

    def _look_final(self, models: Ints, from_ms: int) -> None:
        """Look at outcomes of an hour that no label can change any more."""
        windows = hour_windows(self.state.windows, models, from_ms, final=True)
        for code, names in classes_of(windows).items():
            self.state.facts.has_classes(code, names)
        self._draw(windows, of_outcomes(windows), "window")

    def _draw(self, windows: Windows, every: Iterable[Drawn], role: Role) -> None:
        """Publish what series of windows look like."""
        pane_ms, topic = self.state.windows.windowing.pane_ms, self.topics.distributions
        for window, series, feature, content in every:
            code = int(windows.model[window])
            start_ms = int(windows.first[window]) * pane_ms
            model, version = self.state.names[code]
            record = Distribution(
                model=model,
                version=version,
                segment="",
                series=series,
                feature=feature,
                role=role,
                start_ms=start_ms,
                end_ms=start_ms + windows.panes * pane_ms,
                **content,
            )
            self.published.append((code, Record(topic, record.key, encode(record))))

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
        facts = state.facts
        versions = [version for _, version in state.names] if facts.due else []
        for code in sorted(facts.due - state.quarantined.keys()):
            if state.names[code] not in state.codes:
                continue
            of = state.windows.baselines, state.world
            facts.refers(code, reference_of(*of, code=code, version_of=versions))
        facts.due.clear()
        for code, found, is_told in facts.changes():
            if code in state.quarantined:
                continue
            name = state.names[code]
            self._write_of_model("models", code, found)
            if not is_told:
                continue
            record = Record(self.topics.models, model_key(*name), encode(found.record(name)))
            self.published.append((code, record))
        if state.windows.hours.changed:
            state.windows.hours.changed = False
            self._write("hours", (), state.windows.hours.pack())
