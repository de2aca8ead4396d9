"""The API as a process that dies by SIGKILL, once, at its first decision or when somebody leaves.

    python -m tests.faults.mortal_api entered       when somebody leaves: all is written, nothing is committed
    python -m tests.faults.mortal_api committed     when the transaction is committed, before anything is answered
    python -m tests.faults.mortal_api begun         when status and headers are out, before the body
    python -m tests.faults.mortal_api answered      when the body is handed to the socket: it may arrive, or not
    python -m tests.faults.mortal_api never         not at all

The address is the first line.
"""

import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from litestar.types import ASGIApp, Message, Receive, Scope, Send

from api import bulk, decisions, main
from api.app import create_app
from api.calls import write_once
from deploy.erasing import ledger, requests
from deploy.logs import configure
from deploy.settings import load

WAYS = ("committed", "begun", "answered")
LEAVING = ("entered", *WAYS)
MORTAL = {"POST": "/v1/suggestions/", "DELETE": "/v1/me"}
"""Method -> the beginning of the paths at which it dies."""


def die() -> None:
    """As the kernel does it: nothing is cleaned up."""
    os.kill(os.getpid(), signal.SIGKILL)


def dying_after_commit(write: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, which does not come back."""

    async def write_and_die(*arguments: Any) -> Any:
        answer = await write(*arguments)
        die()
        return answer

    return write_and_die


def dying_before_commit(enter: Callable[..., Any]) -> Callable[..., Any]:
    """The ledger's `enter`, which dies once what is written beside it is written."""

    async def enter_and_die(*arguments: Any) -> Any:
        *plain, beside = arguments

        async def write_and_die(*told: Any) -> None:
            await beside(*told)
            die()

        return await enter(*plain, write_and_die)

    return enter_and_die


class Dying:
    """Around the application: dies while a decision or a farewell is answered."""

    def __init__(self, app: ASGIApp, way: str) -> None:
        self._app = app
        self._way = way

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        mortal = scope["type"] == "http" and scope["path"].startswith(MORTAL.get(scope["method"], "never"))

        async def out(message: Message) -> None:
            if mortal and self._way == "begun" and message["type"] == "http.response.body":
                die()
            await send(message)
            if mortal and self._way == "answered" and message["type"] == "http.response.body":
                die()

        await self._app(scope, receive, out)


def created(way: str, *arguments: Any, **more: Any) -> Any:
    """The application, mortal."""
    app = create_app(*arguments, **more, rate_limits=False)
    app.asgi_handler = Dying(app.asgi_handler, way)
    return app


if __name__ == "__main__":
    way = sys.argv[1]
    mine = load()
    configure("WARNING", "json", "api")
    if way == "committed":
        for module in (decisions, bulk):
            module.write_once = dying_after_commit(write_once)
        requests.ask = dying_after_commit(requests.ask)
    if way == "entered":
        ledger.enter = dying_before_commit(ledger.enter)
    main.create_app = partial(created, way)
    main.run_api(mine, lambda address: print(address, flush=True))
