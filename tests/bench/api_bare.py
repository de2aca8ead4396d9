"""The least a route can do: Litestar and psycopg, one row by its key, sent as it stands. Without tokens, limits,
metrics and shapes; on the same server as the API.

    python -m tests.bench.api_bare

GIGZ_POSTGRES_URL says where; the address is the first line.
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import uvicorn
from litestar import Litestar, Response, get
from litestar.datastructures import State
from litestar.params import FromPath
from psycopg.rows import tuple_row
from psycopg_pool import AsyncConnectionPool

from deploy.settings import Settings, load

ONE = "select cast(body as text) from catalogue.concerts where concert_id = %s and not gone"


@get("/bare/{concert_id:uuid}")
async def one(state: State, concert_id: FromPath[UUID]) -> Response[bytes]:
    """The row."""
    async with state.pool.connection() as connection:
        found = await (await connection.execute(ONE, (concert_id,))).fetchone()
    return Response(found[0].encode() if found else b"{}", media_type="application/json")


def make(settings: Settings) -> Litestar:
    """The application, with as many connections as the API has."""
    pool = AsyncConnectionPool(
        settings.engine_url("postgres"),
        min_size=1,
        max_size=settings.postgres_pool_size_api,
        kwargs={"row_factory": tuple_row, "autocommit": True},
        open=False,
    )

    @asynccontextmanager
    async def opened(_: Litestar) -> AsyncIterator[None]:
        async with pool:
            yield

    return Litestar([one], state=State({"pool": pool}), lifespan=[opened], openapi_config=None, logging_config=None)


async def serve(settings: Settings) -> None:
    """Until SIGTERM."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    config = uvicorn.Config(make(settings), log_config=None, access_log=False, server_header=False)
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    await uvicorn.Server(config).serve(sockets=[listener])


if __name__ == "__main__":
    asyncio.run(serve(load()))
