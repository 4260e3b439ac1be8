"""Which errors of Kafka pass by themselves: a broker went, and another takes over.

What asks or reads may be tried again after such an error: nothing was changed by it, and it is
the same question afterwards. Whoever tries again says for how long; most often it is the watchdog,
which ends what makes no progress while brokers answer. What *writes* must not go by this list but
by librdkafka's own word (`KafkaError.retriable`), as in `ledger`: only it knows whether a
transaction may have been lost.
"""

from __future__ import annotations

from confluent_kafka import KafkaError

UNKNOWN = frozenset(
    {
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.UNKNOWN_TOPIC_ID,
        KafkaError._UNKNOWN_TOPIC,
        KafkaError._UNKNOWN_PARTITION,
    }
)
"""What a broker says, too, that has just started and has not heard of a topic yet."""

_PASSING = UNKNOWN | frozenset(
    {
        # a leader went, and there is none yet, or another than the client believes
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.UNKNOWN_LEADER_EPOCH,
        KafkaError.REPLICA_NOT_AVAILABLE,
        KafkaError.OFFSET_NOT_AVAILABLE,  # a new leader that does not know yet where the end is
        KafkaError.KAFKA_STORAGE_ERROR,  # one whose disk is gone: it is the leader no more
        KafkaError._NOENT,  # an admin client found no leader of any partition it was asked about
        KafkaError._WAIT_CACHE,
        # likewise, a coordinator or a controller
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.NOT_COORDINATOR,
        KafkaError.NOT_CONTROLLER,
        KafkaError._WAIT_COORD,
        # a broker that is not there, or does not answer
        KafkaError.BROKER_NOT_AVAILABLE,
        KafkaError.NETWORK_EXCEPTION,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._DESTROY_BROKER,
        KafkaError._RESOLVE,
        KafkaError._TIMED_OUT,
        KafkaError._TIMED_OUT_QUEUE,
        KafkaError._TRANSPORT,
        # a transaction of somebody else's, which ends by itself
        KafkaError.UNSTABLE_OFFSET_COMMIT,
    }
)


def passes(error: BaseException | KafkaError | int) -> bool:
    """Tell whether trying again may help: of an error, what was raised for it, or its code.

    Examples
    --------
    >>> passes(KafkaError.LEADER_NOT_AVAILABLE), passes(KafkaError.TOPIC_AUTHORIZATION_FAILED)
    (True, False)
    >>> passes(TimeoutError()), passes(ValueError())
    (True, False)
    """
    if isinstance(error, BaseException):
        cause = error.args[0] if error.args else None
        return passes(cause) if isinstance(cause, KafkaError) else isinstance(error, TimeoutError)
    if isinstance(error, KafkaError):
        return not error.fatal() and (error.retriable() or passes(error.code()))
    return error in _PASSING
