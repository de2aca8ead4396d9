"""Ports on loopback: which are free, who holds one, and which were chosen before.

A port set to 0 is chosen once and kept in `HOME/ports.json`, so that an address survives a restart.
"""

import json
import random
import socket
import threading

import psutil

from deploy.local.errors import StackError
from deploy.local.processes import write_private
from deploy.settings import PREFIX, Settings

PORTS_FILE = "ports.json"
LOOPBACK = "127.0.0.1"
CHOICE = range(20_000, 32_000)
"""Below the range from which systems take the ports of outgoing connections (32,768 on Linux, 49,152 elsewhere)."""


def is_free(port: int) -> bool:
    """True when a server could listen there now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def holder_of(port: int) -> str:
    """Who listens there, for people: 'java (pid 123)', or that the system does not tell."""
    try:
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr[1:] == (port,) and connection.pid:
                return f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
    except psutil.Error:
        pass
    return "a process that this user cannot see"


class Ports:
    """The ports of one home folder."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._path = settings.home / PORTS_FILE
        self._lock = threading.Lock()

    def take(self, engine: str, setting: str) -> int:
        """The free port to use for a setting such as 'kafka_port'. StackError when a fixed one is taken."""
        configured: int = getattr(self._settings, setting)
        if configured:
            if not is_free(configured):
                raise StackError(
                    engine,
                    f"its port {configured} is taken by {holder_of(configured)}.",
                    f"stop what holds it, or set {PREFIX}{setting.upper()} to another port (0: any free one).",
                )
            return configured
        with self._lock:
            chosen = self._read()
            port = chosen.get(setting, 0)
            others = {number for name, number in chosen.items() if name != setting}
            while not port or port in others or not is_free(port):
                port = random.choice(CHOICE)
            if chosen.get(setting) != port:
                write_private(self._path, json.dumps({**chosen, setting: port}, indent=1))
            return port

    def _read(self) -> dict[str, int]:
        try:
            return {str(name): int(port) for name, port in json.loads(self._path.read_text()).items()}
        except (FileNotFoundError, ValueError, AttributeError, TypeError):
            return {}
