"""A Kafka broker inside this process: librdkafka's mock cluster.

What it is for: the demo and tests on machines without a broker. It speaks the protocol over a
loopback socket, so other processes can use it; records live in memory and go with the process.

What it does not do, compared with a real broker: transactional offset commits are not kept,
aborted transactions are not hidden from read_committed consumers, there is neither CreateTopics
nor DeleteRecords nor compaction, and a partition holds at most 5 MB or 100,000 records.
Its record batches carry no checksums, so consumers need ``check.crcs=False``.

The mock cluster belongs to librdkafka's public C interface (``rdkafka_mock.h``), which
confluent-kafka bundles but does not wrap: hence ctypes. Topics with a chosen number of partitions
can be made in no other way.
"""

from __future__ import annotations

import ctypes
import ctypes.util
from pathlib import Path
from typing import TYPE_CHECKING

import confluent_kafka

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType
    from typing import Self

_PRODUCER = 0  # RD_KAFKA_PRODUCER; the mock cluster hangs on a client, of either kind
_ERROR_BYTES = 512

_SIGNATURES: dict[str, tuple[object, list[object]]] = {
    "rd_kafka_conf_new": (ctypes.c_void_p, []),
    "rd_kafka_conf_set_log_cb": (None, [ctypes.c_void_p, ctypes.c_void_p]),
    "rd_kafka_new": (
        ctypes.c_void_p,
        [ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t],
    ),
    "rd_kafka_destroy": (None, [ctypes.c_void_p]),
    "rd_kafka_err2str": (ctypes.c_char_p, [ctypes.c_int]),
    "rd_kafka_mock_cluster_new": (ctypes.c_void_p, [ctypes.c_void_p, ctypes.c_int]),
    "rd_kafka_mock_cluster_destroy": (None, [ctypes.c_void_p]),
    "rd_kafka_mock_cluster_bootstraps": (ctypes.c_char_p, [ctypes.c_void_p]),
    "rd_kafka_mock_group_initial_rebalance_delay_ms": (None, [ctypes.c_void_p, ctypes.c_int32]),
    "rd_kafka_mock_topic_create": (
        ctypes.c_int,
        [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int, ctypes.c_int],
    ),
    "rd_kafka_mock_topic_set_error": (None, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int]),
}


class EmbeddedBrokerError(RuntimeError):
    """The embedded broker cannot do what was asked of it; the message says what and why."""


class EmbeddedBroker:
    """Run a one-broker Kafka in this process for as long as the ``with`` block lasts.

    Parameters
    ----------
    topics
        Name and number of partitions of every topic to make at the start.

    Attributes
    ----------
    bootstrap_servers : str
        ``127.0.0.1:<port>`` while the broker runs.

    Raises
    ------
    EmbeddedBrokerError
        On entry, if librdkafka's library is not found or a topic is refused.

    Examples
    --------
    >>> with EmbeddedBroker({"orders": 3}) as broker:
    ...     broker.bootstrap_servers.startswith("127.0.0.1:")
    True
    """

    def __init__(self, topics: Mapping[str, int]) -> None:
        self._topics = dict(topics)
        self._library: ctypes.CDLL | None = None
        self._client: int | None = None
        self._cluster: int | None = None
        self.bootstrap_servers = ""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start the broker and make its topics; a broker that runs is left as it is."""
        if self._cluster is not None:
            return
        self._library = _load_library()
        self._client = _new_client(self._library)
        self._cluster = self._library.rd_kafka_mock_cluster_new(self._client, 1)
        if not self._cluster:
            self.stop()
            raise EmbeddedBrokerError("librdkafka could not start its mock cluster")
        # A new group waits 3 s for more members by default, as a production broker does.
        self._library.rd_kafka_mock_group_initial_rebalance_delay_ms(self._cluster, 0)
        bootstraps: bytes = self._library.rd_kafka_mock_cluster_bootstraps(self._cluster)
        self.bootstrap_servers = bootstraps.decode()
        try:
            self.create_topics(self._topics)
        except EmbeddedBrokerError:
            self.stop()
            raise

    def create_topics(self, topics: Mapping[str, int]) -> None:
        """Add topics to the running broker.

        Parameters
        ----------
        topics
            Name and number of partitions of each.

        Raises
        ------
        EmbeddedBrokerError
            If the broker does not run, a topic exists already, or a name or count is refused.
        """
        if self._library is None or self._cluster is None:
            raise EmbeddedBrokerError("topics can only be created while the broker runs")
        for name, partitions in topics.items():
            if partitions < 1:  # librdkafka would take it, and make a topic nobody can write to
                raise EmbeddedBrokerError(f"topic {name!r} needs 1 partition or more: {partitions}")
            code = self._library.rd_kafka_mock_topic_create(
                self._cluster, name.encode(), partitions, 1
            )
            if code:
                why = self._library.rd_kafka_err2str(code).decode()
                raise EmbeddedBrokerError(
                    f"topic {name!r} with {partitions} partitions was refused: {why}"
                )

    def refuse_topic(self, name: str, code: int) -> None:
        """Answer whoever asks about a topic with an error of Kafka's, or with it again: code 0."""
        assert self._library is not None
        self._library.rd_kafka_mock_topic_set_error(self._cluster, name.encode(), code)

    def stop(self) -> None:
        """Stop the broker and drop its records; stopping twice does nothing."""
        if self._library is not None:
            if self._cluster:
                self._library.rd_kafka_mock_cluster_destroy(self._cluster)
            if self._client:
                self._library.rd_kafka_destroy(self._client)
        self._library = self._client = self._cluster = None
        self.bootstrap_servers = ""


def _load_library() -> ctypes.CDLL:
    """Load the very librdkafka that confluent-kafka uses, with the mock functions declared."""
    path = _library_path()
    try:
        library = ctypes.CDLL(path)
        for name, (result, arguments) in _SIGNATURES.items():
            function = getattr(library, name)
            function.restype = result
            function.argtypes = arguments
    except (OSError, AttributeError) as error:
        raise EmbeddedBrokerError(
            f"{path} is not a librdkafka with a mock cluster ({error}); "
            "use a real broker, or install confluent-kafka from its wheel"
        ) from error
    return library


def _library_path() -> str:
    """Find librdkafka: bundled beside the package (wheels), otherwise the system's."""
    package = Path(confluent_kafka.__file__).parent
    # auditwheel (Linux) and delvewheel (Windows), then delocate (macOS)
    folders = (package.parent / "confluent_kafka.libs", package / ".dylibs")
    for folder in folders:
        for path in sorted(folder.glob("*rdkafka*")):
            if "++" not in path.name:  # librdkafka++ is the C++ interface on top of it
                return str(path)
    system = ctypes.util.find_library("rdkafka")
    if system is None:
        places = ", ".join(map(str, folders))
        raise EmbeddedBrokerError(
            f"librdkafka was found neither in {places} nor among the system's libraries; "
            "use a real broker, or install confluent-kafka from its wheel"
        )
    return system


def _new_client(library: ctypes.CDLL) -> int:
    """Make the client on which the mock cluster hangs; it connects to nothing and logs nothing."""
    conf = library.rd_kafka_conf_new()
    library.rd_kafka_conf_set_log_cb(conf, None)
    error = ctypes.create_string_buffer(_ERROR_BYTES)
    client: int | None = library.rd_kafka_new(_PRODUCER, conf, error, _ERROR_BYTES)
    if not client:
        raise EmbeddedBrokerError(f"librdkafka could not start: {error.value.decode()}")
    return client
