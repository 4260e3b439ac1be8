"""The local Kafka: where its jars live, and what it says where it cannot run."""

from __future__ import annotations

from pathlib import Path

import pytest

from agents import local_kafka


def test_the_cache_folder_names_the_version(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DRIFTLINE_CACHE_DIR", str(tmp_path))

    assert local_kafka.cache_dir() == tmp_path / f"kafka-{local_kafka.kafka_version()}"


def test_the_cache_folder_is_in_the_home_by_default(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("DRIFTLINE_CACHE_DIR", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))

    assert local_kafka.cache_dir().parent == tmp_path / ".cache" / "driftline"


def test_missing_java_and_maven_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(local_kafka.LocalKafkaError, match="java and mvn"):
        local_kafka.resolve_jars()


def test_jars_that_are_cached_are_not_fetched_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for tool in ("java", "mvn"):
        (tmp_path / tool).write_text("#!/bin/sh\nexit 1\n")
        (tmp_path / tool).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("DRIFTLINE_CACHE_DIR", str(tmp_path))
    local_kafka.cache_dir().mkdir()

    assert local_kafka.resolve_jars() == local_kafka.cache_dir()


def test_a_failing_maven_leaves_no_cache_and_is_quoted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for tool in ("java", "mvn"):
        (tmp_path / tool).write_text("#!/bin/sh\necho no network\nexit 1\n")
        (tmp_path / tool).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("DRIFTLINE_CACHE_DIR", str(tmp_path / "cache"))

    with pytest.raises(local_kafka.LocalKafkaError, match="no network"):
        local_kafka.resolve_jars()

    assert list((tmp_path / "cache").iterdir()) == []


def test_a_broker_that_does_not_run_has_no_pid() -> None:
    with pytest.raises(local_kafka.LocalKafkaError, match="does not run"):
        _ = local_kafka.LocalKafka().pid
