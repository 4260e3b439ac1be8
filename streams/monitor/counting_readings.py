"""Readings of hosts are counted into the windows of the models that they name, and wait for rules.

They are apart from the rows of models: they come from an input of their own, and nothing that they
say moves the clock. So a model without any costs nothing, and their cells are written down with
every step that counts some.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streams.cells.store import PANE_BITS
from streams.errors import RecordError
from streams.limits import RecordLimits
from streams.monitor.counting import Counting
from streams.outcomes import Ints
from streams.partitioning import partition_of
from streams.readings import Reading, ReadingRows, decode_reading, rows_of
from streams.steps import Batch, DeadLetter

Mask = NDArray[np.bool_]


class CountingReadings(Counting):
    """A step, as far as it is about readings of hosts."""

    def read(self, batch: Batch, *, now_ms: int, limits: RecordLimits, partitions: int) -> None:
        """Take records of readings; those that cannot be used become dead letters."""
        hosts = self.state.hosts
        for place, value in enumerate(batch.values):
            offset = batch.offsets[place]
            try:
                time_ms = batch.times_ms[place]
                reading = decode_reading(value, time_ms=time_ms, now_ms=now_ms, limits=limits)
                self._check_partition(reading, partitions)
            except RecordError as error:
                key, headers = batch.keys[place], batch.headers and batch.headers[place]
                letter = offset, key, value, headers, error.reason, error.detail
                self.refused.append(DeadLetter(batch.topic, *letter))
                continue
            hosts.arrive(offset, reading)

    def _check_partition(self, reading: Reading, partitions: int) -> None:
        """Refuse a reading that is not where the outcomes of its model are.

        Two partitions would publish the same windows, each with a part of the readings.
        """
        right = partition_of(reading.model, partitions)
        if right != self.state.partition:
            raise RecordError(
                "misplaced_reading",
                f"model {reading.model!r} belongs to partition {right}, not"
                f" {self.state.partition}: the Kafka key must be the model, and the partitioner"
                " murmur2_random",
            )

    # ------------------------------------------------------------------ counting
    def count_readings(self) -> None:
        """Count what has come, and let it wait as far as rules ask for it."""
        hosts = self.state.hosts
        if hosts.restored:
            restored, hosts.restored = hosts.restored, {}
            self._wait_again(restored)
        if not hosts.backlog:
            return
        counted = self._countable()
        if counted:
            self._count_readings(counted)
        self.late_rows += hosts.give_up()

    def _wait_again(self, restored: dict[int, Reading]) -> None:
        """After the state was read back, let readings wait that are counted."""
        state = self.state
        offsets = sorted(restored)
        rows = self._rows_of([restored[offset] for offset in offsets])
        kept = rows.time_ms >= state.watermark_ms
        self._let_readings_wait(rows, np.array(offsets), kept)

    def _countable(self) -> dict[int, Reading]:
        """Return what of the backlog counts now; what orders to forget a model say is left out."""
        state = self.state
        found, gone = {}, []
        for offset, reading in state.hosts.backlog.items():
            since_ms, until_ms = state.forgets.bounds((reading.model, ""))
            assert reading.timestamp_ms is not None
            if reading.timestamp_ms < since_ms:
                gone.append(offset)
            elif reading.timestamp_ms < until_ms:
                found[offset] = reading
        if gone:
            self.forgotten_rows += len(gone)
            state.hosts.counted(gone)
            state.hosts.done(gone)
        return found

    def _rows_of(self, readings: list[Reading]) -> ReadingRows:
        return rows_of(readings, [self.state.code((one.model, "")) for one in readings])

    def _count_readings(self, counted: dict[int, Reading]) -> None:
        state, hosts = self.state, self.state.hosts
        rows, offsets = self._rows_of(list(counted.values())), np.array(list(counted))
        state.silence.see(rows.model, rows.time_ms, watermark_ms=state.watermark_ms)
        self._take_replaced()
        hosts.counted(counted)
        if state.quarantined:
            aside = np.isin(rows.model, list(state.quarantined))
            self.left_out_rows += int(np.count_nonzero(aside))
            hosts.done(offsets[aside].tolist())
            rows, offsets = rows.only(~aside), offsets[~aside]
        if not len(offsets):
            return
        observed = state.windows.grid.observe_readings(rows)
        self.late_rows += self._count_into_windows_of_hosts(rows, observed)
        late = rows.time_ms < state.watermark_ms
        self.late_rows += int(np.count_nonzero(late))
        self._let_readings_wait(rows, offsets, ~late & self._asked_for(rows))

    def _count_into_windows_of_hosts(
        self, rows: ReadingRows, observed: Mapping[tuple[str, str], Any]
    ) -> int:
        """Count readings into their panes; return how many came after their pane was dropped."""
        windows, clock_ms = self.state.windows, self.windows_ms
        way = windows.windowing
        numbers = rows.time_ms // way.pane_ms
        chosen = numbers >= ((clock_ms - way.keep_ms) // way.pane_ms if clock_ms >= 0 else -1)
        subjects, panes = windows.grid.count_readings(rows, observed, numbers, chosen=chosen)
        if len(panes):
            windows.changed(subjects << PANE_BITS | panes)
        return int(np.count_nonzero(~chosen))

    def _asked_for(self, rows: ReadingRows) -> Mask:
        """Tell which readings rules may ask for."""
        state = self.state
        if state.specifications.waiting:
            return np.ones(len(rows.model), np.bool_)
        codes, places = np.unique(rows.model, return_inverse=True)
        asked = np.array([state.plans.needs_readings(code) for code in codes.tolist()], np.bool_)
        return asked[places]

    def _let_readings_wait(self, rows: ReadingRows, offsets: Ints, kept: Mask) -> None:
        hosts = self.state.hosts
        hosts.done(offsets[~kept].tolist())
        if kept.any():
            rows = rows.only(kept)
            observed = self.state.windows.grid.observe_readings(rows)
            hosts.let_wait(rows, observed, offsets[kept])
