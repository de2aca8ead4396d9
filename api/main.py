"""The API as a process."""

import asyncio
import socket
from collections.abc import Callable
from types import FrameType
from typing import Any

import structlog
import uvicorn

from api.app import create_app
from api.operations import Operating
from deploy.logs import places
from deploy.settings import PREFIX, Settings, SettingsError

log = structlog.get_logger()

GRACE_S = 10
"""Requests that are being answered when SIGTERM comes have this long."""


def run_api(
    settings: Settings, on_listening: Callable[[str], None] = lambda _: None, operations: Operating | None = None
) -> None:
    """Answer requests until SIGTERM or SIGINT, then finish those that are open and return.

    `on_listening` gets the address once requests are answered; `operations` is what /ops acts through.
    SettingsError when PostgreSQL or the port is wrong.
    """
    try:
        asyncio.run(_run(settings, on_listening, operations))
    except BaseExceptionGroup as group:  # Litestar's lifespan holds a task group, which wraps what is raised in it
        wrong, rest = group.split(SettingsError)
        if wrong is None or rest is not None:
            raise
        raise _first(wrong) from group


async def _run(settings: Settings, on_listening: Callable[[str], None], operations: Operating | None) -> None:
    # asyncio's own line has the error's text in it, which may be what a user wrote.
    asyncio.get_running_loop().set_exception_handler(_tell)
    app = create_app(settings, operations=operations)
    with _listening(settings) as listener:
        host, port = listener.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        config = uvicorn.Config(
            app,
            lifespan="off",  # entered here, so that its errors come out as they are
            log_config=None,
            access_log=False,  # api.edge writes one, without the queries
            server_header=False,
            proxy_headers=False,  # api.edge reads them, of the proxies that are listed; uvicorn believes this machine
            timeout_graceful_shutdown=GRACE_S,
        )
        async with app.lifespan():
            # Open streams would hold the end up until they are cut.
            ending = app.state.services.news.stop
            await _Server(config, lambda: on_listening(f"http://{shown}:{port}"), ending).serve(sockets=[listener])


def _tell(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    error = context.get("exception")
    log.error("in_the_background", message=context.get("message"), **({} if error is None else places(error)))


def _first(group: BaseExceptionGroup[SettingsError]) -> SettingsError:
    one = group.exceptions[0]
    return _first(one) if isinstance(one, BaseExceptionGroup) else one


def _listening(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.api_host else socket.AF_INET
    try:
        return socket.create_server((settings.api_host, settings.api_port), family=family, backlog=2048)
    except OSError as error:
        raise SettingsError(
            f"{PREFIX}API_HOST, {PREFIX}API_PORT: cannot listen on {settings.api_host}:{settings.api_port}: "
            f"{error.strerror}. Remedy: end what listens there, or take another port (0: any free one)."
        ) from error


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, on_started: Callable[[], None], on_ending: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_started = on_started
        self._on_ending = on_ending

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._on_ending()
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # uvicorn would raise the signal again after it has finished, which makes an orderly end look like a crash.
        self.force_exit = self.should_exit
        self.should_exit = True
