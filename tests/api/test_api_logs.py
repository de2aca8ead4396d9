"""What is logged names nobody: a marked user, artist, note, device, key and token go through every route, and through
every way to fail, and no line of the process holds the mark.
"""

import contextlib
import io
import json
import logging
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
import pytest
import structlog
from litestar import get
from litestar.response import Stream
from sqlalchemy import create_engine, text

from api.app import create_app
from api.services import COOKIE
from api.tokens import development_secret, form_token, inbox_link, issue_token, page_token
from deploy.clients import sqlalchemy_url
from deploy.logs import configure
from deploy.migrate import migrate_postgres
from deploy.settings import Settings
from schemas import erasure
from schemas.erasure import How
from tests.api.processes import Running, running
from tests.api.support import Clock, reach
from tests.api.walking import Step, steps

MARK = f"zq{uuid4().hex}"


@pytest.fixture
def own_database(stack: Settings) -> Iterator[Settings]:
    """A database that can be ruined."""
    url = sqlalchemy_url(stack)
    name = f"gigz_logs_{uuid4().hex[:8]}"
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"create database {name}"))
    base, _, query = url.replace("+psycopg", "").partition("?")
    own = base.rpartition("/")[0] + f"/{name}" + (f"?{query}" if query else "")
    settings = stack.model_copy(update={"postgres_url": own})
    migrate_postgres(settings)
    yield settings
    with engine.connect() as connection:
        connection.execute(text(f"drop database {name} with (force)"))
    engine.dispose()


def _marked(told: Any) -> Any:
    """A body with every text marked that is free to be anything."""
    if isinstance(told, dict):
        return {
            name: f"{value} {MARK}" if name in ("artist", "note", "city", "venue", "festival") else _marked(value)
            for name, value in told.items()
        }
    return [_marked(one) for one in told] if isinstance(told, list) else told


async def _walk(address: str, settings: Settings, badly: bool = True) -> dict[int, int]:
    """Every route, well called, and badly; statuses, counted."""
    user, now = f"u-{MARK}", datetime.now(UTC)
    token, session = issue_token(settings, user, now), MARK
    page = page_token(settings, user, now, session)
    good = {"Authorization": f"Bearer {token}", "X-Device": MARK, "Idempotency-Key": MARK, "User-Agent": MARK}
    cookie = {"Cookie": f"{COOKIE}={page}"}
    form = {"form_token": form_token(development_secret(settings), session), "artist": MARK}
    found: dict[int, int] = {}

    async def ask(step: Step, headers: dict[str, str], given: dict[str, str], query: str = "", **more: Any) -> None:
        answer = await client.request(step.method, step.path(given) + query, headers=headers, **more)
        found[answer.status_code] = found.get(answer.status_code, 0) + 1

    async with httpx.AsyncClient(base_url=address, timeout=20, trust_env=False) as client:
        for step in steps(create_app(settings)):
            if step.template in ("/v1/stream", "/inbox/stream", "/health"):
                continue
            strings = {name: MARK for name, kind in step.types.items() if kind == "str"}
            uuids = {name: str(uuid4()) for name in step.types}
            headers = good | cookie | {"Idempotency-Key": f"{MARK}{uuid4().hex}"}
            body = step.body()
            more: dict[str, Any] = {"json": _marked(body)} if body is not None else {}
            if step.credential in ("cookie", "either") and step.method == "POST":
                more = {"data": form}
            queries = ("", f"?q={MARK}&artist={MARK}&cursor={MARK}&year={MARK}&token={MARK}&device={MARK}")
            for query in queries[: 1 + badly]:
                await ask(step, headers, strings, query, **more)
                if step.types and not query:
                    await ask(step, headers, uuids, **more)
            if not badly:
                continue
            await ask(step, {"Authorization": f"Bearer {MARK}", "Cookie": f"{COOKIE}={MARK}"}, strings)
            if step.method != "GET":
                await ask(step, headers, uuids, content=f'{{"{MARK}": ')
                await ask(step, headers, uuids, json={MARK: MARK, "note": 7, "entries": MARK, "user": MARK})
        link = inbox_link(settings, address, user, now)
        for body in ({"link": link}, {"link": MARK}, {"user": user, "secret": MARK}):
            answer = await client.post("/v1/auth/token", json=body)
            found[answer.status_code] = found.get(answer.status_code, 0) + 1
        await client.post("/v1/auth/refresh", json={"refresh_token": MARK})
        await client.get(link)
        await client.get(f"/v1/{MARK}", headers=good)
        await client.request(MARK, "/v1/journal", headers=good)
        with contextlib.suppress(httpx.ReadTimeout):
            async with client.stream("GET", f"/v1/stream?device={MARK}", headers=good, timeout=0.5) as stream:
                async for _ in stream.aiter_lines():
                    pass
    return found


def _lines(process: Running) -> list[str]:
    lines = process.log().splitlines()
    holding = [line for line in lines if MARK in line]
    assert not holding, holding[:3]
    return lines


@pytest.mark.stack
async def test_no_line_of_the_log_holds_what_a_user_wrote_or_is_whatever_goes_wrong(own_database: Settings) -> None:
    settings = own_database.model_copy(update={"stream_poll_s": 0.1})
    engine = create_engine(sqlalchemy_url(settings), isolation_level="AUTOCOMMIT")
    with running(settings, rate_limits=False) as process, engine.connect() as connection:
        await _walk(process.address, settings)
        lines = _lines(process)
        assert sum('"event": "request"' in line for line in lines) > 200
        # What is written now is refused by PostgreSQL, which says of each row what is in it.
        tables = [name for name, place in erasure.POSTGRES.items() if place.how is How.DELETE_ROWS]
        for table in tables:
            connection.execute(text(f"alter table {table} add constraint ruined check (false) not valid"))
        statuses = await _walk(process.address, settings, badly=False)
        assert statuses.get(500, 0) > 5, statuses
        # What is read now is not there: the statement and its parameters would be in the error's text.
        for table in tables:
            schema, _, name = table.partition(".")
            connection.execute(text(f"alter table {schema}.{name} rename to {name}_ruined"))
        statuses = await _walk(process.address, settings, badly=False)
        assert statuses.get(500, 0) > 20, statuses
        lines = _lines(process)
    engine.dispose()
    told = [json.loads(line) for line in lines if line.startswith("{")]
    bugs = [one for one in told if one["event"] == "internal_error"]
    assert len(bugs) > 25 and len(told) == len(lines)
    for one in bugs:  # what is left is enough to find it
        assert one["trace"] and one["error"] and any("api/" in place for place in one["where"]), one
    assert {one.get("sqlstate") for one in bugs} >= {"23514", "42P01"}


async def test_an_error_of_ours_is_logged_by_its_kind_and_place_and_an_answer_that_broke_too(
    offline: Settings, clock: Clock
) -> None:
    async def parts() -> AsyncIterator[bytes]:
        yield b"first"
        raise ValueError(MARK)

    @get("/broken")
    async def broken() -> None:
        try:
            raise KeyError(MARK)
        except KeyError as error:
            raise RuntimeError(f"password of {MARK}") from error

    @get("/streamed")
    async def streamed() -> Stream:
        return Stream(parts())

    written = io.StringIO()
    app = create_app(offline, clock=clock)
    app.register(broken)
    app.register(streamed)
    with contextlib.redirect_stderr(written):
        configure("DEBUG", "json", "api")
        try:
            async with reach(app) as client:
                answer = await client.get("/broken")
                with pytest.raises(AssertionError):  # httpx's: the answer has no end
                    await client.get("/streamed")
            try:
                raise ValueError(MARK)
            except ValueError:  # as libraries log, and as somebody may do who does not think of it
                logging.getLogger("uvicorn.error").exception("of a library")
                structlog.get_logger().exception("of ours")
        finally:
            structlog.reset_defaults()
            logging.getLogger().handlers.clear()
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "INTERNAL_ERROR")
    assert MARK not in answer.text and MARK not in written.getvalue()
    told = {one["event"]: one for one in map(json.loads, written.getvalue().splitlines())}
    assert told["internal_error"]["error"] == "RuntimeError"
    assert told["internal_error"]["caused_by"][0].startswith("KeyError ")
    assert told["internal_error"]["where"][-1].endswith(" broken")
    assert told["internal_error"]["trace"] == answer.headers["x-request-id"]
    assert told["of a library"]["error"] == told["of ours"]["error"] == "ValueError"
    assert told["broken_answer"]["path"] == "/streamed"
    assert any(one.startswith("ValueError ") and one.endswith(" parts") for one in told["broken_answer"]["caused_by"])
