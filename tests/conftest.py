"""What all tests share: closed sockets, the engines on demand, the data beside the checkout."""

import logging
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import structlog
from pytest_socket import disable_socket, socket_allow_hosts

from deploy.settings import Settings, load
from tests.support import ENGINES, ROOT, running_engines

OPENS_SOCKETS = ("stack", "network")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Unmarked tests open no sockets (asyncio's own, a Unix pair, aside); marked ones reach loopback only."""
    if any(item.get_closest_marker(name) for name in OPENS_SOCKETS):
        socket_allow_hosts(["127.0.0.1", "::1", "localhost", *hosts_set()], allow_unix_socket=True)
    else:
        disable_socket(allow_unix_socket=True)


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--screenshots FOLDER`: where pictures of pages are kept."""
    parser.addoption(
        "--screenshots", type=Path, default=None, help="Folder for pictures of pages; else a temporary one"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without `-m long` they are skipped, and say so."""
    if "long" in config.option.markexpr:
        return
    for item in items:
        if item.get_closest_marker("long"):
            item.add_marker(pytest.mark.skip(reason="long: `make test-long` runs it"))


@pytest.fixture(autouse=True)
def logs_as_they_were() -> Iterator[None]:
    """A command run in this process sets up its logs on the runner's stream, which is closed when the command ends."""
    before = structlog.get_config() if structlog.is_configured() else None
    yield
    if before is None:
        structlog.reset_defaults()
    else:
        structlog.configure(**before)
    structlog.contextvars.clear_contextvars()
    root = logging.getLogger()
    for handler in list(root.handlers):
        if isinstance(handler, logging.StreamHandler) and getattr(handler.stream, "closed", False):
            root.removeHandler(handler)


@cache
def hosts_set() -> list[str]:
    """Hosts of the real servers that GIGZ_*_URL names."""
    settings = load()
    addresses = [address for name in ENGINES for address in str(getattr(settings, f"{name}_url")).split(",") if address]
    return [_host(address) for address in addresses]


def _host(address: str) -> str:
    place = address.partition("://")[2] or address
    return place.rpartition("@")[2].partition("/")[0].rpartition(":")[0].strip("[]")


@pytest.fixture(scope="session")
def stack() -> Iterator[Settings]:
    """The engines, started for this run on free ports in a folder of its own, stopped and removed at its end.

    Engines whose GIGZ_*_URL is set are used as they are. `settings.engine_url(...)` has the addresses. A helper process
    cleans up when this one is killed.
    """
    with running_engines("gigz-test-") as settings:
        yield settings


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of other people's data beside the checkout; the test is skipped where it is absent."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no data at {folder.relative_to(ROOT.parent)} beside the checkout")
    return folder
