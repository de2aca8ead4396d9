"""The house rule on sockets holds."""

import asyncio
import socket

import pytest
from pytest_socket import SocketBlockedError, SocketConnectBlockedError


def test_a_plain_test_opens_no_socket() -> None:
    with pytest.raises((SocketBlockedError, UserWarning)):
        socket.socket(socket.AF_INET, socket.SOCK_STREAM)


async def test_asyncio_works_without_sockets() -> None:
    await asyncio.sleep(0)


@pytest.mark.network
def test_a_network_test_reaches_loopback_only() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        pass
    outside = ("192.0.2.1", 9)  # TEST-NET-1: nobody's (RFC 5737)
    with pytest.raises((SocketConnectBlockedError, UserWarning)), socket.create_connection(outside, timeout=1):
        pass
