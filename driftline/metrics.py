"""Read the latest values of metrics from Kafka, as an iterator or as a data frame.

Rules of this file:

* A value is the last revision of its key; what was deleted is not there.
* Keys alone decide what is kept, so that deletions are, too; values are decoded when asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import msgspec
from confluent_kafka import Message

from driftline.closing import Closing
from driftline.metric import Metric
from driftline.reader import Reader
from driftline.snapshot import snapshot

if TYPE_CHECKING:
    import pandas as pd

_Key = tuple[str, str, str, int, int, str]
_decode_key = msgspec.json.Decoder(_Key).decode
_decode = msgspec.json.Decoder(Metric).decode


class Metrics(Closing):
    """Iterate over the latest values of metrics, by model, version, segment, window and name.

    Every iteration, and every `to_pandas`, first reads what was published since the one before.
    Brokers are waited for, half a minute, as is a topic that does not exist.

    Parameters
    ----------
    bootstrap_servers
        Kafka brokers, ``host:port[,host:port]``.
    prefix
        The topic is ``<prefix>.metrics``.
    model, metric, segment
        Only values of these; None means all. The segment of all traffic is ``""``.
    window_ms
        Only windows of this length; None means all.
    final
        Only values that labels can change no more.
    kafka
        More librdkafka settings, such as TLS or SASL.

    Attributes
    ----------
    invalid : int
        Records that were skipped because they are not metrics.

    Raises
    ------
    ValueError
        If the list of brokers is malformed.
    TimeoutError
        From iteration: the brokers do not answer, or the topic does not exist.
    confluent_kafka.KafkaException
        From the constructor: a Kafka setting does not exist or does not parse. From iteration: the
        brokers refuse access, or the client broke for good.

    Examples
    --------
    >>> metrics = Metrics("localhost:9092", model="fraud", metric="accuracy", segment="")
    >>> metrics.close()

    With a broker::

        with Metrics("localhost:9092", model="fraud", metric="accuracy") as metrics:
            for metric in metrics:
                print(metric.window_start_ms, metric.value, metric.low, metric.high)
            frame = metrics.to_pandas()
    """

    def __init__(
        self,
        bootstrap_servers: str = "localhost:9092",
        *,
        prefix: str = "driftline",
        model: str | None = None,
        metric: str | None = None,
        segment: str | None = None,
        window_ms: int | None = None,
        final: bool = False,
        kafka: Mapping[str, object] | None = None,
    ) -> None:
        self.invalid = 0
        self._model, self._metric, self._segment = model, metric, segment
        self._window_ms, self._final = window_ms, final
        self._values: dict[_Key, bytes] = {}
        self._reader = Reader(
            bootstrap_servers, [f"{prefix}.metrics"], kafka=kafka, client_id="driftline-metrics"
        )

    def __iter__(self) -> Iterator[Metric]:
        """Yield the latest values, ordered by model, version, segment, window and metric."""
        for message in snapshot(self._reader):
            self._take(message)
        for key in sorted(self._values):
            try:
                metric = _decode(self._values[key])
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                self.invalid += 1
                del self._values[key]
                continue
            if metric.final or not self._final:
                yield metric

    def to_pandas(self) -> pd.DataFrame:
        """Return the latest values as a data frame, a column for each field of `Metric`.

        Times stay milliseconds: ``pandas.to_datetime(frame["window_start_ms"], unit="ms")``.

        Raises
        ------
        ModuleNotFoundError
            If pandas is not installed.
        """
        try:
            import pandas as pd  # noqa: PLC0415 - not needed by who iterates
        except ModuleNotFoundError:
            raise ModuleNotFoundError(
                "to_pandas needs pandas: pip install pandas", name="pandas"
            ) from None
        rows: list[dict[str, Any]] = [msgspec.structs.asdict(metric) for metric in self]
        return pd.DataFrame(rows, columns=list(Metric.__struct_fields__))

    def close(self) -> None:
        """Let the connection go."""
        self._reader.close()

    def _take(self, message: Message) -> None:
        raw, value = message.key(), message.value()
        try:
            key = _decode_key(raw or b"")
        except (msgspec.DecodeError, UnicodeDecodeError):
            self.invalid += 1
            return
        model, _, segment, start_ms, end_ms, metric = key
        wanted = (
            self._model in (None, model)
            and self._metric in (None, metric)
            and self._segment in (None, segment)
            and self._window_ms in (None, end_ms - start_ms)
        )
        if wanted and value is not None:
            self._values[key] = value
        else:
            self._values.pop(key, None)
