"""Models that were silent for long are forgotten, at the moment when the watermark has come there.

All that is known of such a model goes, and who comes back is new. A model that is back already,
with rows that were counted ahead of the watermark, keeps what is counted of these.
"""

from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from streams.cells.publication import Publication
from streams.durations import format_duration
from streams.families.family import MOST_CODES
from streams.monitor.changing import Changing
from streams.monitor.writing import MERGED_CELLS
from streams.noticed import show
from streams.outcomes import Ints
from streams.probabilities import Oddity, no_probabilities, note
from streams.rules.ground_records import OPENED
from streams.rules.records import OF_MODELS
from streams.shown import NEVER_MS
from streams.steps import Record
from streams.tables import OutcomeColumns, Table
from streams.task import TEXT

_MOST_AT_ONCE = 100
_ALL = 1 << 62


class Forgetting(Changing):
    """A step, as far as it is about models that come, fall silent and are forgotten."""

    def settle_silence(self) -> None:
        """After the state was read back, forget what is left of models that were forgotten."""
        state = self.state
        if not state.silence.is_settled:
            state.silence.is_settled = True
            remains = state.silence.settle(state.watermark_ms)
            if remains:
                state.forget(remains)
            self._take_replaced()
            state.resume_places()

    # ------------------------------------------------------------------ rows
    def see(self, table: Table) -> None:
        """Take into account when models have rows."""
        silence, watermark_ms = self.state.silence, self.state.watermark_ms
        for models, times_ms in (
            (table.predictions.model, table.predictions.time_ms),
            (table.outcomes.model, table.outcomes.at_ms),
        ):
            silence.see(models, times_ms, watermark_ms=watermark_ms)
        silence.see_now(table.fates.model, watermark_ms=watermark_ms)
        self._take_replaced()

    def settled_ms(self, table: Table) -> Ints:
        """Return by code from when on rows show nothing new; see `streams.shown`."""
        found = super().settled_ms(table)
        for models, times_ms in (
            (table.predictions.model, table.predictions.time_ms),
            (table.outcomes.model, table.outcomes.at_ms),
        ):
            later = self.state.silence.are_later(models, times_ms)
            if later is not None:
                found = found.copy()
                found[models[later]] = NEVER_MS
        return found

    def _notice(self, columns: OutcomeColumns, *, clock_ms: int) -> None:
        """Let models show what they are, in the life that rows are of."""
        state, silence, rows = self.state, self.state.silence, columns.rows
        later = silence.are_later(rows.model, rows.at_ms)
        if later is not None:
            for shown, own in silence.lives(rows.model, rows.at_ms, later):
                show(columns, own, shown)
        for code in state.noticed.take(columns, others=later):
            state.judges.update(code)
            state.windows.revise(code, clock_ms=clock_ms)
        for code in sorted(state.world.classes.newly_full):
            if state.noticed.shown[code].newest.kind != TEXT:
                self._oddity(_too_many_classes(*state.names[code]))
        state.world.classes.newly_full.clear()

    def _notice_names(self, table: Table) -> None:
        """Let models show which features and segments they send, in the life that rows are of."""
        state, silence, rows = self.state, self.state.silence, table.predictions
        later = silence.are_later(rows.model, rows.time_ms)
        if later is not None:
            for shown, own in silence.lives(rows.model, rows.time_ms, later):
                for places in state.places.values():
                    places.show(table, own, shown)
        for places in state.places.values():
            for code in places.notice(table, state.noticed.shown, others=later):
                state.judge_places(code)

    def strip(self, table: Table) -> tuple[Table, Counter[str]]:
        """Leave features and segments out that have no place; return how many of which were."""
        silence, left_out = self.state.silence, Counter[str]()
        for places in self.state.places.values():
            if places.in_effect:
                later = (
                    silence.are_later(table.predictions.model, table.predictions.time_ms),
                    silence.are_later(table.outcomes.model, table.outcomes.at_ms),
                )
                table, left_out[places.what] = places.strip(table, later=later)
        return table, left_out

    # ------------------------------------------------------------------ forgetting
    def grow_baselines(self, *, whole: bool = False) -> None:
        """Add the panes to baselines that the watermark has passed, some at a time or all."""
        windows, clock_ms = self.state.windows, self.state.watermark_ms
        found = windows.baselines.grow(clock_ms, most=_ALL if whole else MERGED_CELLS)
        for code in [*found, *windows.baselines.comparing.followers(found)]:
            windows.revise(code, clock_ms=clock_ms)
        self.state.facts.due.update(found, windows.baselines.followers(found))

    def forget_silent(self, at_ms: int) -> None:
        """Forget models whose life has ended, some at once."""
        state = self.state
        gone = []
        due = state.silence.due(at_ms)[:_MOST_AT_ONCE]
        if due and state.windows.baselines.comparing:  # what is compared with them is whole
            self.grow_baselines(whole=True)
        for code in due:
            if state.windows.baselines.comparing.keeps(code):
                state.silence.put_off(code, at_ms)
            elif not state.alerts.fires(code) or state.alerts.only_scanned(code):
                gone.append(code)
            elif state.alerts.waits_for_rule(code) and not state.rules.is_awake(code):
                state.silence.keep(code)
            else:
                state.silence.put_off(code, at_ms)
        if gone:
            self._publish_rest(gone, at_ms)
            silent = f"it was silent for {format_duration(state.silence.after_ms)}"
            for code in gone:
                state.alerts.end(code, at_ms=at_ms, message="the model is forgotten")
                self._say_forgotten(code, silent)
            with self._left_by(gone):
                self._forget([code for code in gone if not self._begin_anew(code)])
        self._take_replaced()

    def _publish_rest(self, codes: Collection[int], at_ms: int) -> None:
        """Publish what is final of models, compared with all that the watermark has passed."""
        self.grow_baselines(whole=True)
        self.pass_hours(whole=True)
        self.take_published(self.state.windows.publish_rest(codes, clock_ms=at_ms))

    @contextmanager
    def _left_by(self, codes: Collection[int]) -> Iterator[None]:
        """Let others that go by baselines of models do so for what is final, and no longer."""
        state, at_ms = self.state, self.state.watermark_ms
        followers = state.windows.baselines.followers(codes)
        if followers:
            self._publish_rest(followers, at_ms)
        yield
        for code in followers:
            state.windows.revise(code, clock_ms=at_ms)

    def _begin_anew(self, code: int) -> bool:
        """Let the next life of a model begin that is back already; tell if it is."""
        state = self.state
        if not state.silence.begin_next(code):
            return False
        self._delete_watched(code)
        self.untell([code])
        state.rules.drop_models([code])
        state.rules.begin_anew(code)
        state.windows.baselines.begin_anew(code)
        state.watch(code)
        if code in state.quarantined:
            del state.quarantined[code]
            self._write("quarantine", state.names[code], None)
        return True

    def _forget(self, codes: Collection[int]) -> None:
        """Forget models with all their state."""
        if not codes:
            return
        state = self.state
        for code in codes:
            self._delete_watched(code)
            for table in ("shown", "classes", "quarantine"):
                self._write(table, state.names[code], None)
        self.untell(codes)
        state.forget(codes)
        self.unwritten = True

    def _delete_watched(self, code: int) -> None:
        """Delete what rules, detectors and alerts know of a model."""
        name = self.state.names[code]
        for table in ("firing", "lives", "usual", OPENED, *OF_MODELS):
            self._write(table, name, None)
        for drift, (_, bucket) in self.state.drifts.forget(code):
            self._write("lanes", (*name, drift, bucket), None)
        self.state.alerts.forget(code)
        self.state.scan.leave(code)
        self.state.rule_states.lives.forget([code])
        self.state.rule_states.judge.usuals.forget([code])

    def _say_forgotten(self, code: int, why: str) -> None:
        model, version = self.state.names[code]
        shown = f"model {model!r}" + (f", version {version!r}," if version else "")
        self.remarks.append(f"{shown} is forgotten: {why}")
        self.forgotten += 1

    def _take_replaced(self) -> None:
        """Judge models anew of which what they have shown is another now."""
        silence, state = self.state.silence, self.state
        for code in sorted(silence.replaced):
            state.update(code)
            self.renewed.add(code)
        silence.replaced.clear()

    # ------------------------------------------------------------------ publishing
    def take_published(self, found: Publication) -> None:
        """Take what was published of windows."""
        state, topic = self.state, self.topics.metrics
        self.published += [(code, Record(topic, key, value)) for code, key, value in found.records]
        for code, outside, inside in found.improper:
            self._oddity(no_probabilities(*state.names[code], outside=outside, inside=inside))
        for code in found.windows.tolist():
            state.costs.windows[code] += 1

    def _oddity(self, oddity: Oddity) -> None:
        if note(self.state.oddities, oddity):
            self.oddities.append(oddity)


def _too_many_classes(model: str, version: str) -> Oddity:
    shown = f"model {model!r}" + (f", version {version!r}," if version else "")
    text = f"{shown} has more than {MOST_CODES:,} classes: all beyond count as one, 'other'"
    return Oddity(model, version, "classes", text)
