"""Which partition a key belongs to: as Kafka's own clients decide, by murmur2."""


def partition_of(key: str, partitions: int) -> int:
    """Return the partition of a key (UTF-8), as the Java client and `murmur2_random` do.

    Examples
    --------
    >>> [partition_of(model, 4) for model in ("churn", "fraud", "credit")]
    [1, 2, 2]
    """
    return (murmur2(key.encode()) & 0x7FFFFFFF) % partitions


def murmur2(data: bytes) -> int:
    """Return Kafka's 32-bit murmur2 hash.

    Source: ``org.apache.kafka.common.utils.Utils.murmur2``.

    Examples
    --------
    >>> hex(murmur2(b"foobar")), hex(murmur2(b"21"))
    ('0xd0e47bbe', '0xc5f2f8ec')
    """
    m, mask = 0x5BD1E995, 0xFFFFFFFF
    h = (0x9747B28C ^ len(data)) & mask
    whole = len(data) // 4 * 4
    for start in range(0, whole, 4):
        k = int.from_bytes(data[start : start + 4], "little") * m & mask
        k = (k ^ k >> 24) * m & mask
        h = (h * m & mask) ^ k
    rest = data[whole:]
    if rest:
        h = (h ^ int.from_bytes(rest, "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return h ^ h >> 15
