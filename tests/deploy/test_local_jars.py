"""Kafka's jars are there whole, or not at all."""

import json
from pathlib import Path

import pytest

from deploy.local.errors import StackError
from deploy.local.jars import MANIFEST, is_whole, kafka_jars


def test_a_folder_without_a_jar_or_with_half_of_one_is_not_whole(tmp_path: Path) -> None:
    assert not is_whole(tmp_path)
    (tmp_path / "a.jar").write_bytes(b"1234")
    assert not is_whole(tmp_path), "no manifest: the fetch did not finish"
    (tmp_path / MANIFEST).write_text(json.dumps({"a.jar": 4, "b.jar": 2}))
    assert not is_whole(tmp_path)
    (tmp_path / "b.jar").write_bytes(b"1")
    assert not is_whole(tmp_path)
    (tmp_path / "b.jar").write_bytes(b"12")
    assert is_whole(tmp_path)


def test_without_a_network_the_error_tells_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))  # and sockets are closed here
    told: list[str] = []
    with pytest.raises(StackError, match=r"(?s)jars cannot be fetched.*Remedy: connect to a network.*GIGZ_KAFKA_URL"):
        kafka_jars(told.append)
    assert any("fetching" in line for line in told)
    assert not list((tmp_path / "gigz").glob("kafka-*"))


def test_a_whole_cache_is_used_without_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(StackError) as error:
        kafka_jars(lambda _: None)
    folder = Path(str(error.value).split("copy ")[1].split(" from")[0])  # the one that the error names
    folder.mkdir(parents=True)
    (folder / "a.jar").write_bytes(b"1234")
    (folder / MANIFEST).write_text(json.dumps({"a.jar": 4}))
    assert kafka_jars(lambda _: None) == folder


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(StackError, match=r"(?s)cannot be kept in .*XDG_CACHE_HOME"):
        kafka_jars(lambda _: None)
