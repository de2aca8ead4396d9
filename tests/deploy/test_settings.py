"""Settings say what is wrong, where, and what to do; secrets stay hidden."""

import json
from pathlib import Path

import pytest
from pydantic import SecretStr

from deploy.clients import bootstrap, sqlalchemy_url, unusable
from deploy.settings import SettingsError, environment_for, load, shown


def test_a_wrong_value_names_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIGZ_KAFKA_PORT", "many")
    monkeypatch.setenv("GIGZ_PARTITIONS", "0")
    with pytest.raises(SettingsError) as caught:
        load()
    assert "GIGZ_KAFKA_PORT" in str(caught.value)
    assert "GIGZ_PARTITIONS" in str(caught.value)


def test_a_secret_may_be_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hush\n")
    monkeypatch.delenv("GIGZ_JWT_SECRET", raising=False)
    monkeypatch.setenv("GIGZ_JWT_SECRET_FILE", str(tmp_path / "secret"))
    assert load().jwt_secret.get_secret_value() == "hush"


def test_a_secret_file_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("GIGZ_JWT_SECRET", raising=False)
    monkeypatch.setenv("GIGZ_JWT_SECRET_FILE", str(tmp_path / "nowhere"))
    with pytest.raises(SettingsError, match="GIGZ_JWT_SECRET_FILE"):
        load()


def test_an_address_that_is_not_set_is_the_local_stacks(tmp_path: Path) -> None:
    settings = load({"home": tmp_path, "kafka_url": ""})
    with pytest.raises(SettingsError, match="gigz up"):
        settings.engine_url("kafka")
    (tmp_path / "stack.json").write_text(json.dumps({"urls": {"kafka": "127.0.0.1:5"}}))
    assert settings.engine_url("kafka") == "127.0.0.1:5"
    assert load({"home": tmp_path, "kafka_url": "broker:9092"}).engine_url("kafka") == "broker:9092"


def test_a_broken_stack_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "stack.json").write_text("{")
    with pytest.raises(SettingsError, match=r"stack\.json"):
        load({"home": tmp_path, "kafka_url": ""}).engine_url("kafka")


@pytest.mark.parametrize(("engine", "url"), [("kafka", "broker"), ("postgres", "mysql://u:hidden@h/d")])
def test_a_malformed_address_names_its_variable_and_hides_the_password(tmp_path: Path, engine: str, url: str) -> None:
    settings = load({"home": tmp_path, f"{engine}_url": url})
    with pytest.raises(SettingsError, match=f"GIGZ_{engine.upper()}_URL") as caught:
        bootstrap(settings) if engine == "kafka" else sqlalchemy_url(settings)
    assert "hidden" not in str(caught.value)


def test_the_error_of_an_engine_that_is_away_hides_its_password(tmp_path: Path) -> None:
    settings = load({"home": tmp_path, "clickhouse_url": "http://user:hidden@127.0.0.1:1/db"})
    told = str(unusable("clickhouse", settings, "refused"))
    assert "GIGZ_CLICKHOUSE_URL" in told and "127.0.0.1:1" in told and "hidden" not in told


def test_a_child_process_sees_the_same_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load({"home": tmp_path, "jwt_secret": "hush", "batch_size": 7, "kafka_url": "h:1"})
    for name, value in environment_for(settings).items():
        if name.startswith("GIGZ_"):
            monkeypatch.setenv(name, value)
    assert load() == settings


def test_shown_values_hide_secrets() -> None:
    assert shown(SecretStr("hush")) == "***"
    assert shown(SecretStr("")) == ""
    assert shown("postgresql://user:hush@host:1/db") == "postgresql://user:***@host:1/db"
    assert shown(7) == "7"
