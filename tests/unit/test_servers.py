"""Lists of brokers, as people write them."""

from __future__ import annotations

import pytest

from agents.settings import resolve
from driftline import Alerts, Publisher
from driftline.servers import parse_servers
from streams.errors import ConfigError

MALFORMED = [
    ("", "'' is empty"),
    (" ", "' ' is empty"),
    ("a:1,,b:2", "'a:1,,b:2' has a comma with no broker beside it"),
    ("a:1,", "'a:1,' has a comma with no broker beside it"),
    ("a:1 b:2", "'a:1 b:2' is no HOST:PORT; put commas between brokers"),
    ("a:1;b:2", "'a:1;b:2' is no HOST:PORT; put commas between brokers"),
    ("a:x", "'a:x' is no HOST:PORT"),
    ("a:", "'a:' is no HOST:PORT"),
    (":9092", "':9092' is no HOST:PORT"),
    ("a:1/path", "'a:1/path' is no HOST:PORT"),
    ("a:0", "'a:0': a port is between 1 and 65535"),
    ("b:1,a:65536", "'a:65536': a port is between 1 and 65535"),
    ("::1", "'::1': write an IPv6 address in brackets, such as [::1]:9092"),
    ("::1:9092", "'::1:9092': write an IPv6 address in brackets"),
    ("[::1", "'[::1' is no HOST:PORT"),
    ("[kafka]:9092", "'[kafka]:9092': 'kafka' is no IPv6 address"),
    ("http://a:1", "'http://a:1': 'http' is no protocol of Kafka's, such as SSL"),
]


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("a:1", "a:1"),
        ("a:1,b:2,c:3", "a:1,b:2,c:3"),
        (" a:1 ,\tb:2\n", "a:1,b:2"),
        ("a:1,b:2,a:1", "a:1,b:2"),
        ("a,a:9092", "a:9092"),
        ("a:1,a:65535", "a:1,a:65535"),
        ("[::1]:9092,[2001:db8::7]", "[::1]:9092,[2001:db8::7]:9092"),
        ("[fe80::1%eth0]:9092", "[fe80::1%eth0]:9092"),
        ("127.0.0.1:1,my_kafka.svc.cluster.local:2", "127.0.0.1:1,my_kafka.svc.cluster.local:2"),
        ("ssl://a:1,SASL_SSL://[::1]", "SSL://a:1,SASL_SSL://[::1]:9092"),
    ],
)
def test_a_list_of_brokers_is_read_as_it_is_meant(text: str, means: str) -> None:
    assert parse_servers(text, setting="brokers") == means
    assert parse_servers(means, setting="brokers") == means


@pytest.mark.parametrize(("text", "says"), MALFORMED)
def test_a_malformed_list_is_named_with_what_is_wrong_wherever_it_is_given(
    text: str, says: str
) -> None:
    with pytest.raises(ConfigError) as flag:
        resolve({"bootstrap_servers": text}, environ={})
    with pytest.raises(ConfigError) as variable:
        resolve({}, environ={"DRIFTLINE_BOOTSTRAP_SERVERS": text})
    with pytest.raises(ValueError) as publisher:  # noqa: PT011 - the text is looked at below
        Publisher(text)
    with pytest.raises(ValueError) as alerts:  # noqa: PT011 - the text is looked at below
        Alerts(text)

    assert str(flag.value).startswith(f"--bootstrap-servers: {says}")
    assert str(variable.value).startswith(f"DRIFTLINE_BOOTSTRAP_SERVERS: {says}")
    assert str(publisher.value).startswith(f"bootstrap_servers: {says}")
    assert str(alerts.value).startswith(f"bootstrap_servers: {says}")


def test_a_list_of_python_s_is_refused_with_how_to_write_it() -> None:
    with pytest.raises(ValueError, match="is no text, such as 'kafka-1:9092,kafka-2:9092'"):
        Publisher(["a:1", "b:2"])  # type: ignore[arg-type]
