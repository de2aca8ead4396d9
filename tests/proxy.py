"""A server between a stage and its store that can fall silent: it accepts, takes what is sent, and never answers."""

import contextlib
import select
import socket
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit


class Proxy:
    """Forwards bytes to the store until `silent` is set; then it keeps every connection open and says nothing."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        assert parts.hostname and parts.port
        self._store = (parts.hostname, parts.port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = url.replace(f"{parts.hostname}:{parts.port}", f"127.0.0.1:{self._listener.getsockname()[1]}")
        self.silent = threading.Event()
        self.away = threading.Event()
        """Ends every connection, old and new, as a server that restarts."""
        self._ended = threading.Event()
        self._connections: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if self.away.is_set():
                    client.close()
                    continue
                self._connections.append(client)
                threading.Thread(target=self._forward, args=(client,), daemon=True).start()

    def _forward(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), socket.create_connection(self._store) as store:
            while not self._ended.is_set():
                if self.away.is_set():
                    client.close()
                    return
                ready, _, _ = select.select([client, store], [], [], 0.1)
                for one in ready:
                    data = one.recv(65_536)
                    if self.silent.is_set():
                        continue
                    if not data:
                        client.close()
                        return
                    (store if one is client else client).sendall(data)
                if self.silent.is_set() and store in ready:
                    self._ended.wait(0.1)

    def close(self) -> None:
        """End all connections."""
        self._ended.set()
        self._listener.close()
        for connection in self._connections:
            connection.close()


@contextlib.contextmanager
def proxy_to(url: str) -> Iterator[Proxy]:
    """A proxy to the store of this address."""
    proxy = Proxy(url)
    try:
        yield proxy
    finally:
        proxy.close()
