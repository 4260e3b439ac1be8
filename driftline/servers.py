"""Read the list of brokers that users write for ``bootstrap.servers``.

librdkafka refuses nothing here: of ``kafka:99999`` it makes port 34463, of ``a:1;b:2`` and ``a b``
one strange host, of ``::1:9092`` no port at all, and then it looks for ever for a broker that
nobody meant.
"""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv6Address

_DEFAULT_PORT = 9092
_LAST_PORT = 65_535
_PROTOCOLS = frozenset({"plaintext", "ssl", "sasl_plaintext", "sasl_ssl"})
_ENTRY = re.compile(
    r"((?P<protocol>\w+)://)?(\[(?P<inside>[^\[\]]*)\]|(?P<host>[^\s:;/\[\]]+))(:(?P<port>\d{1,5}))?"
)


def parse_servers(text: object, *, setting: str) -> str:
    """Check a list of brokers and write it as librdkafka reads it.

    Parameters
    ----------
    text
        ``host:port`` or several with commas between them, spaces around them or not; without a
        port it is 9092. An IPv6 address stands in brackets. A protocol may be in front
        (``SSL://host:port``).
    setting
        What the value was given for, as errors name it.

    Returns
    -------
    str
        The same without spaces, each broker once, with its port.

    Raises
    ------
    ValueError
        Naming the setting, the entry and how it should be written.

    Examples
    --------
    >>> parse_servers("kafka-1:9092, kafka-2:9092,[::1]:9093 ,kafka-1", setting="brokers")
    'kafka-1:9092,kafka-2:9092,[::1]:9093'
    >>> parse_servers("kafka-1:9092 kafka-2:9092", setting="brokers")
    Traceback (most recent call last):
        ...
    ValueError: brokers: 'kafka-1:9092 kafka-2:9092' is no HOST:PORT; put commas between brokers
    """
    if not isinstance(text, str):
        raise ValueError(f"{setting}: {text!r} is no text, such as 'kafka-1:9092,kafka-2:9092'")
    if not text.strip():
        raise ValueError(f"{setting}: {text!r} is empty")
    entries = [entry.strip() for entry in text.split(",")]
    if "" in entries:
        raise ValueError(f"{setting}: {text!r} has a comma with no broker beside it")
    try:
        return ",".join(dict.fromkeys(map(_server, entries)))
    except ValueError as error:
        raise ValueError(f"{setting}: {error}") from None


def _server(entry: str) -> str:
    if entry.count(":") > 1 and "[" not in entry and _is_ipv6(entry):
        raise ValueError(f"{entry!r}: write an IPv6 address in brackets, such as [::1]:9092")
    found = _ENTRY.fullmatch(entry)
    if found is None:
        hint = "; put commas between brokers" if re.search(r"[\s;]", entry) else ""
        raise ValueError(f"{entry!r} is no HOST:PORT{hint}")
    if (inside := found["inside"]) is not None and not _is_ipv6(inside):
        raise ValueError(f"{entry!r}: {inside!r} is no IPv6 address")
    protocol, port = found["protocol"], int(found["port"] or _DEFAULT_PORT)
    if protocol is not None and protocol.lower() not in _PROTOCOLS:
        raise ValueError(f"{entry!r}: {protocol!r} is no protocol of Kafka's, such as SSL")
    if not 1 <= port <= _LAST_PORT:
        raise ValueError(f"{entry!r}: a port is between 1 and {_LAST_PORT}")
    host = found["host"] if inside is None else f"[{inside}]"
    return f"{protocol.upper()}://{host}:{port}" if protocol else f"{host}:{port}"


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except AddressValueError:
        return False
    return True
