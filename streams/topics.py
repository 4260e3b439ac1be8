"""Where records live: one topic, one type."""

import msgspec


class Topics(msgspec.Struct, frozen=True):
    """Name every topic of one installation.

    Examples
    --------
    >>> Topics("acme").predictions
    'acme.predictions'
    >>> Topics().dead_letters("driftline.labels")
    'driftline.labels.dlq'
    """

    prefix: str = "driftline"

    @property
    def predictions(self) -> str:
        """In: what models said. Key: prediction id."""
        return f"{self.prefix}.predictions"

    @property
    def labels(self) -> str:
        """In: what was true. Key: prediction id."""
        return f"{self.prefix}.labels"

    @property
    def resources(self) -> str:
        """In: what hosts were busy with, see `driftline watch-host`. Key: model."""
        return f"{self.prefix}.resources"

    @property
    def monitors(self) -> str:
        """In: what to watch, see `driftline monitors apply`. One partition. Compacted."""
        return f"{self.prefix}.monitors"

    @property
    def metrics(self) -> str:
        """Out: one record per metric and window, revised in place. Compacted, kept for 35 days."""
        return f"{self.prefix}.metrics"

    @property
    def alerts(self) -> str:
        """Out: alerts that fire and resolve."""
        return f"{self.prefix}.alerts"

    @property
    def actions(self) -> str:
        """Out: what is to be done because of alerts. Key: action. Compacted."""
        return f"{self.prefix}.actions"

    @property
    def feedback(self) -> str:
        """In: what people say of alerts, see `driftline alerts`. One partition. Compacted."""
        return f"{self.prefix}.feedback"

    @property
    def models(self) -> str:
        """Out: what each model is taken for, and compared with. Key: model, version. Compacted."""
        return f"{self.prefix}.models"

    @property
    def distributions(self) -> str:
        """Out: bins and counts of features, scores and outcomes by hour. Compacted, for 35 days."""
        return f"{self.prefix}.distributions"

    @property
    def results(self) -> tuple[str, ...]:
        """What workers write for others."""
        return self.metrics, self.alerts, self.actions, self.models, self.distributions

    @property
    def workers(self) -> str:
        """Out: how each worker is, every ten seconds. Key: worker id. Compacted, kept for a day."""
        return f"{self.prefix}.workers"

    @property
    def outcomes(self) -> str:
        """Internal: columns from `join` to `monitor`. Key: model."""
        return f"{self.prefix}.outcomes"

    @property
    def join_state(self) -> str:
        """Internal: deltas of the join, one log per partition."""
        return f"{self.prefix}.join-state"

    @property
    def monitor_state(self) -> str:
        """Internal: upserts of the monitor's state. Compacted."""
        return f"{self.prefix}.monitor-state"

    def dead_letters(self, topic: str) -> str:
        """Name the dead-letter topic of an input."""
        return f"{topic}.dlq"

    @property
    def read_in_full(self) -> tuple[str, ...]:
        """What every worker reads all of: their records have an order, and one partition."""
        return self.monitors, self.feedback

    @property
    def all_dead_letters(self) -> tuple[str, ...]:
        """What could not be used of any input."""
        inputs = (self.predictions, self.labels, self.resources, *self.read_in_full, self.outcomes)
        return tuple(map(self.dead_letters, inputs))
