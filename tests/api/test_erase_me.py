"""DELETE /v1/me: typed, all or nothing, and from then on no token is answered."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import jwt
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from api.app import create_app
from api.tokens import ISSUER, Audience, development_secret
from deploy.erasing import ledger, requests
from deploy.erasing.requests import Stands
from deploy.settings import Settings
from tests.api.support import Client, Clock, Story, reach
from tests.api.test_friends import Person, at_a_show

pytestmark = pytest.mark.stack


@pytest.fixture
def ann(client: Client, story: Story, clock: Clock) -> Person:
    return Person(client, story, clock)


async def leave(ann: Person, **headers: str) -> dict[str, Any]:
    answer = await ann.ask("DELETE", "/me", {"confirm": ann.user}, **headers)
    assert answer.status_code == 202, answer.text
    told: dict[str, Any] = answer.json()["data"]
    assert answer.headers["location"] == told["address"] == f"/v1/erasures/{told['receipt_id']}"
    return told


async def request_of(story: Story, receipt_id: str) -> Any:
    async with story.engine.connect() as connection:
        query = text("select * from state.erasures where receipt_id = :id")
        return (await connection.execute(query, {"id": UUID(receipt_id)})).one_or_none()


async def test_the_id_has_to_be_typed(ann: Person, story: Story) -> None:
    assert await ann.get("/me") == {"user": ann.user}
    for body, status in (({"confirm": "yes"}, 409), ({"confirm": ann.user + " "}, 409), ({}, 400), (None, 400)):
        answer = await ann.ask("DELETE", "/me", body)
        assert answer.status_code == status and answer.json()["error"]["details"][0]["field"], body
    assert "GET /v1/me" in (await ann.ask("DELETE", "/me", {"confirm": "x"})).json()["error"]["details"][0]["message"]
    async with story.engine.connect() as connection:
        assert await ledger.known(connection, ann.user) is None


async def test_from_that_moment_no_token_is_answered_and_the_receipt_is(ann: Person, story: Story) -> None:
    await ann.was_at(await at_a_show(story))
    other = ann.story.headers(ann.clock)  # of another device
    told = await leave(ann)
    assert told["state"] == "waiting"
    for method, path in (
        *(("GET", "/journal"), ("GET", "/suggestions"), ("GET", "/export"), ("GET", "/me"), ("GET", "/stream")),
        *(("GET", "/search?q=x"), ("PATCH", "/preferences"), ("POST", f"/follows/{uuid4().hex}"), ("DELETE", "/me")),
    ):
        answer = await ann.client.request(method, f"/v1{path}", headers=other, json={"confirm": ann.user})
        error = answer.json()["error"]
        assert (answer.status_code, error["code"]) == (401, "UNAUTHORIZED"), path
        assert error["details"] == [{"field": "receipt", "message": told["address"]}]
    open_to_all = await ann.client.get(told["address"])
    assert open_to_all.json()["data"] == told
    nothing = await ann.client.get(f"/v1/erasures/{uuid4()}")
    assert (nothing.status_code, nothing.json()["error"]["code"]) == (404, "ERASURE_NOT_FOUND")


async def test_pages_are_closed_to_who_was_erased_as_well(ann: Person) -> None:
    await ann.story.sign_in(ann.client, ann.clock)
    assert (await ann.client.get("/inbox")).status_code == 200
    await leave(ann)
    assert (await ann.client.get("/inbox")).status_code == 401


async def test_the_ledger_and_the_request_are_written_together_or_not_at_all(
    ann: Person, story: Story, clock: Clock
) -> None:
    class Cut(BaseException):
        """As if the process were killed between the two."""

    async def cut(_: AsyncConnection, __: ledger.Entered) -> None:
        raise Cut

    with pytest.raises(Cut):
        await ledger.enter(story.engine, ann.user, clock(), beside=cut)
    async with story.engine.connect() as connection:
        assert await ledger.known(connection, ann.user) is None
    assert (await ann.ask("GET", "/me")).status_code == 200
    told = await leave(ann)
    row = await request_of(story, told["receipt_id"])
    assert (row.user_id, row.tries, row.done_at, row.subject_hash) == (ann.user, 0, None, None)


async def test_two_devices_that_leave_at_once_get_one_receipt(ann: Person, story: Story) -> None:
    body = {"confirm": ann.user}
    answers = await asyncio.gather(*(ann.ask("DELETE", "/me", body) for _ in range(6)))
    receipts = {
        one.json()["data"]["address"] if one.status_code == 202 else one.json()["error"]["details"][0]["message"]
        for one in answers
    }
    assert {one.status_code for one in answers} <= {202, 401} and len(receipts) == 1


async def test_a_request_that_came_in_before_writes_nothing_after(ann: Person, story: Story, clock: Clock) -> None:
    """The token was checked, then the user left, then the handler writes."""
    one = ann.story.suggestion("e1", (await at_a_show(story)).facts)
    await ann.story.found("e1", one)

    async def left_meanwhile(request: httpx.Request) -> None:
        await requests.ask(story.engine, ann.user, None, clock())

    before = await ann.story.decisions()
    async with story.engine.connect() as connection:  # keeps the entry's row, so that the handler waits
        await connection.execute(text("select 1 from state.entries where user_id = :u for update"), {"u": ann.user})
        saying = asyncio.create_task(ann.ask("POST", f"/suggestions/{one.suggestion_id}/confirm"))
        await asyncio.sleep(0.3)
        entering = asyncio.create_task(left_meanwhile(httpx.Request("GET", "http://x")))
        await asyncio.sleep(0.3)
        assert not entering.done(), "whoever writes is waited for"
        await connection.rollback()
    answer = await saying
    await entering
    assert answer.status_code == 200 and len(await ann.story.decisions()) == len(before) + 1
    late = await ann.ask("POST", f"/suggestions/{one.suggestion_id}/undo")
    assert late.status_code == 401 and len(await ann.story.decisions()) == len(before) + 1


async def test_a_token_of_before_opens_no_new_account_and_a_new_one_does(
    migrated: Settings, story: Story, clock: Clock
) -> None:
    """In production the subject is the issuer's; the account goes with the user."""
    subject = f"issuer|{uuid4().hex}"

    def bearer(minutes: int = 15) -> dict[str, str]:
        expires = int((clock() + timedelta(minutes=minutes)).timestamp())
        claims = {"sub": subject, "iss": ISSUER, "aud": Audience.API.value, "exp": expires}
        return {"Authorization": f"Bearer {jwt.encode(claims, development_secret(migrated), algorithm='HS256')}"}

    async with reach(create_app(migrated, clock=clock, rate_limits=False)) as client:
        old = bearer()
        user = (await client.get("/v1/me", headers=old)).json()["data"]["user"]
        answer = await client.request("DELETE", "/v1/me", headers=old, json={"confirm": user})
        assert answer.status_code == 202
        assert (await client.get("/v1/me", headers=old)).status_code == 401
        async with story.engine.begin() as connection:  # as the erasure does, sooner or later
            await connection.execute(text("delete from state.accounts where user_id = :u"), {"u": user})
        refused = await client.get("/v1/me", headers=old)
        assert refused.status_code == 401
        assert refused.json()["error"]["details"][0]["message"] == answer.json()["data"]["address"]
        clock.move(minutes=1)
        again = (await client.get("/v1/me", headers=bearer())).json()["data"]["user"]
        assert again != user
        await requests.forget_subjects(story.engine, clock() + timedelta(seconds=1))
        assert (await request_of(story, answer.json()["data"]["receipt_id"])).subject_hash is None


async def test_a_request_is_tried_later_each_time_until_it_is_done(ann: Person, story: Story, clock: Clock) -> None:
    receipt_id = UUID((await leave(ann))["receipt_id"])
    waits = []
    for number in range(4):
        due = None
        while due is None or due[1] != receipt_id:  # others of this database may wait as well
            due = await requests.next_waiting(story.engine, clock())
            assert due is not None
        assert due == (ann.user, receipt_id)
        row = await request_of(story, str(receipt_id))
        assert row.tries == number + 1
        waits.append(row.next_at - clock())
        await requests.failed(story.engine, ann.user, receipt_id, f"Kafka is away for {ann.user}")
        clock.now = row.next_at
    assert waits == sorted(set(waits))
    row = await request_of(story, str(receipt_id))
    assert row.last_error == "Kafka is away for …"
    async with story.engine.connect() as connection:
        told = await requests.told_by(connection, receipt_id)
    assert told is not None and told.stands is Stands.UNDER_WAY and told.receipt is None
