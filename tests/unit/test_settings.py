"""Where settings come from, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from agents import clients
from agents.category_key import read_category_key
from agents.options import OPTIONS
from agents.settings import Settings, mask, read_monitors_file, resolve
from streams.errors import ConfigError


def write(folder: Path, text: str) -> str:
    file = folder / "monitors.yaml"
    file.write_text(text)
    return str(file)


def test_a_flag_beats_the_environment_which_beats_the_file_which_beats_the_default(
    tmp_path: Path,
) -> None:
    file = write(tmp_path, "settings: {window: 1m, horizon: 2h, prefix: filed, metrics_port: 1}")
    environ = {"DRIFTLINE_WINDOW": "2m", "DRIFTLINE_HORIZON": "3h", "DRIFTLINE_MONITORS": file}

    settings = resolve({"window": "3m"}, environ=environ)

    assert settings.window_ms == 180_000
    assert settings.horizon_ms == 3 * 3_600_000
    assert settings.prefix == "filed"
    assert settings.metrics_port == 1
    assert settings.disorder_ms == Settings().disorder_ms


def test_a_flag_that_is_not_given_is_none() -> None:
    assert resolve({"window": None}, environ={}).window_ms == 300_000


def test_every_option_has_a_field_and_its_default_is_allowed() -> None:
    defaults = Settings()

    files = {"monitors", "category_key_file"}
    texts = {one.name: one.show(defaults) for one in OPTIONS if one.name not in files}

    assert resolve(texts, environ={}) == defaults


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("window", "soon", "--window: 'soon' is no duration"),
        ("window", "999ms", "--window: '999ms' is not between 1s and 31d"),
        ("window", "32d", "between 1s and 31d"),
        ("horizon", "", "--horizon: '' is no duration"),
        ("metrics_port", "65536", "--metrics-port: '65536' is not between 0 and 65535"),
        ("metrics_port", "-1", "between 0 and 65535"),
        ("metrics_port", "http", "--metrics-port: 'http' is no whole number"),
        ("prefix", "a b", "--prefix: 'a b' may only have letters"),
        ("prefix", "", "--prefix: '' may only have letters"),
        ("bootstrap_servers", " ", "--bootstrap-servers: ' ' is empty"),
        ("worker_id", "a/b", "--worker-id: 'a/b' may only have"),
    ],
)
def test_a_bad_value_is_named_with_what_is_allowed(name: str, text: str, says: str) -> None:
    with pytest.raises(ConfigError) as error:
        resolve({name: text}, environ={})

    assert says in str(error.value)


@pytest.mark.parametrize(
    ("name", "text"),
    [("window", "1s"), ("window", "31d"), ("metrics_port", "0"), ("metrics_port", "65535")],
)
def test_the_ends_of_a_range_are_allowed(name: str, text: str) -> None:
    resolve({name: text}, environ={})


def test_a_bad_value_of_the_environment_is_named_as_such() -> None:
    with pytest.raises(ConfigError, match=r"^DRIFTLINE_WINDOW: 'x'"):
        resolve({}, environ={"DRIFTLINE_WINDOW": "x"})


def test_an_unknown_variable_is_refused_with_the_closest_name() -> None:
    with pytest.raises(ConfigError, match=r"DRIFTLINE_WNDOW: no such .* mean DRIFTLINE_WINDOW"):
        resolve({}, environ={"DRIFTLINE_WNDOW": "1m"})


def test_variables_of_others_and_of_our_tools_are_left_alone() -> None:
    resolve({}, environ={"PATH": "/bin", "DRIFTLINE_CACHE_DIR": "/tmp"})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("settings: {windw: 1m}", "settings.windw: no such setting; did you mean window?"),
        ("settings: {window: [1]}", "neither text nor a whole number"),
        ("settings: {window: true}", "neither text nor a whole number"),
        ("settings: [1]", "no mapping of names to values"),
        ("settings: {window: 1}", "settings.window: '1' is no duration"),
        ("a: [", "is no YAML"),
    ],
)
def test_the_file_is_checked_like_everything_else(tmp_path: Path, text: str, says: str) -> None:
    file = write(tmp_path, text)

    with pytest.raises(ConfigError) as error:
        resolve({"monitors": file}, environ={})

    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--monitors: .*nowhere\.yaml' cannot be read"):
        resolve({"monitors": str(tmp_path / "nowhere.yaml")}, environ={})


def test_settings_and_monitors_share_a_file(tmp_path: Path) -> None:
    file = write(tmp_path, "settings: {window: 1m}\nmodels: {fraud: {}}")

    section, rest = read_monitors_file(Path(file))

    assert section == {"window": "1m"}
    assert rest == {"models": {"fraud": {}}}


def test_a_key_of_categories_is_read_without_blanks_and_never_shown(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("0123456789abcdef\n")
    settings = resolve({"category_key_file": str(file)}, environ={})

    assert read_category_key(settings.category_key_file) == b"0123456789abcdef"
    assert read_category_key(None) is None
    assert "0123" not in settings.describe()


def test_a_key_of_categories_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "key"
    with pytest.raises(ConfigError, match="cannot be read"):
        read_category_key(file)

    file.write_text("0123456789abcde\n")
    with pytest.raises(ConfigError, match="holds 15 bytes; a key has 16 at least: openssl rand"):
        read_category_key(file)


def test_kafka_settings_come_from_flags_and_environment_in_that_order() -> None:
    environ = {"DRIFTLINE_KAFKA_SASL_PASSWORD": "s", "DRIFTLINE_KAFKA_SECURITY_PROTOCOL": "ssl"}

    settings = resolve({}, environ=environ, kafka=("security.protocol=sasl_ssl", "a.b=c=d"))

    assert settings.kafka == {
        "sasl.password": "s",
        "security.protocol": "sasl_ssl",
        "a.b": "c=d",
    }


def test_a_kafka_setting_without_a_value_is_refused_and_no_secret_is_shown() -> None:
    with pytest.raises(ConfigError, match="KEY=VALUE") as error:
        resolve({}, environ={}, kafka=("sasl.password:hunter2",))

    assert "hunter2" not in str(error.value)


def test_the_line_at_the_start_shows_no_secret() -> None:
    secrets = ("sasl.password", "ssl.key.password", "ssl.key.pem", "sasl.oauthbearer.client.secret")
    settings = Settings(kafka=dict.fromkeys(secrets, "hunter2") | {"security.protocol": "ssl"})

    line = settings.describe()

    assert "hunter2" not in line
    assert "kafka.security.protocol=ssl" in line
    assert "window=5m" in line
    assert mask("sasl.username", "me") == "me"


def test_workers_are_told_apart_unless_they_are_named() -> None:
    one, other = resolve({}, environ={}), resolve({}, environ={})

    assert one.worker_id != other.worker_id
    assert resolve({"worker_id": "a"}, environ={}).worker_id == "a"


def test_what_a_worker_writes_at_once_can_be_read_at_once() -> None:
    """Of a larger batch a broker sends one a response, so that outcomes came ever later."""
    settings = Settings()

    written, read = clients.producer(settings), clients.consumer(settings)

    assert written["batch.size"] <= read["fetch.message.max.bytes"]


@pytest.mark.parametrize(
    "key",
    [
        *("sasl.kerberos.kinit.cmd", "ssl.key.pem", "ssl.key.password", "ssl.keystore.password"),
        *(
            "sasl.oauthbearer.config",
            "sasl.oauthbearer.client.secret",
            "sasl.oauthbearer.extensions",
        ),
        *("sasl.oauthbearer.token.endpoint.url", "sasl.oauthbearer.assertion.private.key.pem"),
        *("plugin.library.paths", "ssl.engine.id", "http.proxy", "SASL.PASSWORD", "no.such.thing"),
    ],
)
def test_what_may_hold_a_secret_is_masked(key: str) -> None:
    """A command has a password in it, a URL may: what is not known to be harmless is not shown."""
    assert mask(key, "hush") == "***"
    assert "hush" not in Settings(kafka={key: "hush"}).describe()


@pytest.mark.parametrize(
    "key",
    [
        *("security.protocol", "sasl.mechanism", "sasl.mechanisms", "sasl.username"),
        *("ssl.ca.location", "ssl.key.location", "client.id", "socket.timeout.ms", "debug"),
        *("compression.type", "queue.buffering.max.messages", "fetch.max.bytes"),
    ],
)
def test_what_helps_to_find_a_mistake_is_shown(key: str) -> None:
    assert mask(key, "value") == "value"
