"""The stages on one screen: predictions, labels -> join -> outcomes -> monitor -> metrics."""

from streams.join import Join
from streams.limits import LIMITS, RecordLimits
from streams.monitor import Monitor
from streams.monitors import FORGET_MS, Monitors
from streams.task import CAPS, Caps
from streams.topics import Topics


def build(
    topics: Topics,
    *,
    window_ms: int,
    horizon_ms: int,
    disorder_ms: int,
    partitions: int,
    monitors: Monitors | None = None,
    grace_ms: int | None = None,
    limits: RecordLimits = LIMITS,
    seed: bytes | None = None,
    forget_ms: int = FORGET_MS,
    caps: Caps = CAPS,
) -> tuple[Join, Monitor]:
    """Build both stages from the settings; the worker, `replay` and the tests all call this.

    `seed` is `hash_index.SEED_BYTES` that whoever writes records cannot know: with it, none of them
    can choose ids that are slow to look up. No result depends on it.
    """
    join = Join(
        topics,
        partitions=partitions,
        horizon_ms=horizon_ms,
        disorder_ms=disorder_ms,
        grace_ms=grace_ms,
        features=monitors is None or monitors.features,
        limits=limits,
        seed=seed,
    )
    monitor = Monitor(
        topics,
        window_ms=window_ms,
        horizon_ms=horizon_ms,
        monitors=monitors,
        forget_ms=forget_ms,
        caps=caps,
        partitions=partitions,
        limits=limits,
    )
    return join, monitor
