"""Ports on loopback."""

import socket
from pathlib import Path

import pytest

from deploy.local.errors import StackError
from deploy.local.ports import Ports, holder_of, is_free
from deploy.settings import Settings

pytestmark = pytest.mark.network


def test_a_chosen_port_is_kept_over_restarts(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, kafka_port=0, postgres_port=0)
    ports = Ports(settings)
    kafka, postgres = ports.take("kafka", "kafka_port"), ports.take("postgres", "postgres_port")
    assert kafka != postgres
    assert Ports(settings).take("kafka", "kafka_port") == kafka
    assert Ports(settings).take("postgres", "postgres_port") == postgres


def test_a_chosen_port_that_another_took_is_chosen_anew(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, kafka_port=0)
    first = Ports(settings).take("kafka", "kafka_port")
    with socket.create_server(("127.0.0.1", first)):
        second = Ports(settings).take("kafka", "kafka_port")
    assert second != first
    assert Ports(settings).take("kafka", "kafka_port") == second


def test_a_taken_fixed_port_is_an_error_with_holder_and_remedy(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(StackError, match=rf"kafka: its port {port} is taken by .*\n.*GIGZ_KAFKA_PORT"):
            Ports(Settings(home=tmp_path, kafka_port=port)).take("kafka", "kafka_port")
    assert Ports(Settings(home=tmp_path, kafka_port=port)).take("kafka", "kafka_port") == port


def test_the_holder_of_a_port_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert "pid" in holder_of(port) or "cannot see" in holder_of(port)
        assert not is_free(port)
    assert is_free(port)


def test_a_damaged_memory_of_ports_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "ports.json").write_text("[1, 2")
    assert Ports(Settings(home=tmp_path, kafka_port=0)).take("kafka", "kafka_port") > 0
