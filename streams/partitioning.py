"""Which partition a key belongs to: as Kafka's own clients decide, by murmur2.

A prediction and its label must be in partitions of one number, or they never meet. Librdkafka (and
with it the clients for Python, Go, .NET) puts keys elsewhere by default, by their CRC-32. That is
fine where the producers of both topics do so; where only one does, a label meets its prediction by
luck. `Placement` tells that from a sample of keys.
"""

from collections import deque
from zlib import crc32

SAMPLE = 512
ENOUGH = 200
_FITS = 0.98  # of keys that a client with this partitioner has sent, all fit

MURMUR2, CRC32 = "murmur2", "CRC-32"


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


class Placement:
    """Where keys of one topic lie, judged by the last `SAMPLE` that were looked at.

    Parameters
    ----------
    partitions
        How many the topic has.

    Examples
    --------
    >>> found = Placement(4)
    >>> for number in range(300):
    ...     key = b"%d" % number
    ...     _ = found.add(key, partition_of(key.decode(), 4))
    >>> found.partitioner, found.strays
    ('murmur2', 0)
    """

    def __init__(self, partitions: int) -> None:
        self.partitions = partitions
        self._fits: deque[tuple[bool, bool]] = deque(maxlen=SAMPLE)
        self._counts = [0, 0]  # of those in the sample; it is judged with every batch of records

    def __len__(self) -> int:
        return len(self._fits)

    def add(self, key: bytes, partition: int) -> bool:
        """Look at a key; return whether it is where murmur2 puts it."""
        count = self.partitions
        by_murmur2 = (murmur2(key) & 0x7FFFFFFF) % count == partition
        fits = by_murmur2, crc32(key) % count == partition
        gone = self._fits[0] if len(self._fits) == SAMPLE else (False, False)
        self._fits.append(fits)
        self._counts = [n + new - old for n, new, old in zip(self._counts, fits, gone, strict=True)]
        return by_murmur2

    @property
    def strays(self) -> int:
        """How many keys of the sample are not where murmur2 puts them."""
        return len(self) - self._counts[0]

    @property
    def partitioner(self) -> str | None:
        """Which partitioner all producers have, "" for none of those known; `None`: unclear yet."""
        if len(self) < ENOUGH or self.partitions == 1:
            return None
        for name, count in zip((MURMUR2, CRC32), self._counts, strict=True):
            if count >= _FITS * len(self):
                return name
        return ""


def misplaced(one: Placement, other: Placement) -> bool:
    """Tell whether two topics' keys are placed differently.

    What fits no known partitioner in both is left alone: there are others (sarama's FNV-1a), and
    records from before partitions were added are elsewhere in both topics. A topic of which a part
    fits nothing, beside one that all fits, is misplaced: some of its producers are wrong.

    Examples
    --------
    >>> by_murmur2, by_crc32 = Placement(4), Placement(4)
    >>> for number in range(300):
    ...     key = b"%d" % number
    ...     _ = by_murmur2.add(key, partition_of(key.decode(), 4))
    ...     _ = by_crc32.add(key, crc32(key) % 4)
    >>> misplaced(by_murmur2, by_crc32), misplaced(by_crc32, by_crc32), by_crc32.partitioner
    (True, False, 'CRC-32')
    """
    names = one.partitioner, other.partitioner
    return None not in names and names[0] != names[1]
