"""Where the jobs run: topics on a broker, filled once, and what must come of them."""

from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from agents.local_kafka import LocalKafka
from benchmarks import measure
from benchmarks.load import Load, fill
from benchmarks.peers.truth import Truth, recompute

_TIMEOUT_S = 20.0


class Site(measure.Site):
    """Input topics, and what jobs make beside them.

    Attributes
    ----------
    truth : Truth
        What the input holds, and the right result.
    """

    def __init__(self, kafka: LocalKafka, load: Load) -> None:
        super().__init__(kafka, f"peers-{load.events}")
        self.records = fill(self.servers, self.prefix, load)
        self.truth: Truth = recompute(self.servers, self.prefix)
        if self.truth.events != self.records:
            raise measure.MeasurementError(
                f"{self.records} records were written, {self.truth.events} read"
            )
        self._topics = AdminClient({"bootstrap.servers": self.servers, "log_level": 2})

    def create_output(self, topic: str) -> None:
        """Create the output topic of a job."""
        wanted = NewTopic(topic, self.partitions, 1, config={"retention.ms": "-1"})
        for future in self._topics.create_topics([wanted]).values():
            future.result(_TIMEOUT_S)
        measure.until(lambda: topic in self._names())

    def forget_job(self, application: str) -> None:
        """Delete the topics that a job has made: its output and the engine's own."""
        names = [name for name in self._names() if application in name]
        if names:
            done = self._topics.delete_topics(names, operation_timeout=_TIMEOUT_S)
            for future in done.values():
                future.result(_TIMEOUT_S)

    def _names(self) -> set[str]:
        return set(self._topics.list_topics(timeout=_TIMEOUT_S).topics)
