"""Signing in, in development: pairs of tokens, their rotation, and what becomes of one that is used twice."""

import asyncio
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from api.app import create_app
from api.auth import REPEAT_S, successor
from api.tidying import tidy
from api.tokens import OPERATOR, Audience, checker, development_secret, inbox_link, page_token
from deploy.erasing import ledger
from deploy.settings import Settings
from tests.api.support import START, Client, Clock, Story, reach

# -- what needs no store -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"user": "alice"},
        {"secret": "x"},
        {"user": "a/b", "secret": "x"},
        {"link": "x", "user": "alice"},
        {"link": "x", "roles": ["operator"]},
        {"user": "alice", "secret": "x", "roles": ["admin"]},
        {"user": "alice", "secret": "x", "password": "y"},
        {"user": 7, "secret": "x"},
    ],
)
async def test_whoever_does_not_say_who_signs_in_is_told_what_is_missing(
    alone: httpx.AsyncClient, body: dict[str, Any]
) -> None:
    answer = await alone.post("/v1/auth/token", json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "VALIDATION_ERROR")
    assert answer.json()["error"]["details"]


async def test_a_wrong_secret_and_tokens_for_another_purpose_sign_nobody_in_and_guessing_is_limited(
    alone: httpx.AsyncClient, offline: Settings
) -> None:
    wrong = [
        {"user": "alice", "secret": "x" * 40},
        {"link": "nothing"},
        {"link": "http://127.0.0.1/open?token="},
        {"link": page_token(offline, "alice", START)},
        {"link": inbox_link(offline, "http://x", "alice", START - timedelta(days=2))},
    ]
    answers = [await alone.post("/v1/auth/token", json=body) for body in wrong]
    assert [answer.status_code for answer in answers] == [401] * 5
    assert answers[-1].json()["error"]["code"] == "TOKEN_EXPIRED"
    sixth = await alone.post("/v1/auth/token", json=wrong[0])
    assert sixth.status_code == 429 and 1 <= int(sixth.headers["retry-after"]) <= 60


def test_the_token_that_follows_is_always_the_same_and_nobodys_to_make_without_the_secret() -> None:
    assert successor("secret", "t") == successor("secret", "t") != successor("another", "t")
    assert len(successor("secret", "t")) == 43


# -- signing in and on -------------------------------------------------------------------------------------------------


async def _sign_in(client: Client, settings: Settings, user: str, **more: Any) -> dict[str, Any]:
    body = {"user": user, "secret": development_secret(settings), **more}
    answer = await client.post("/v1/auth/token", json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()["data"]
    return found


async def _refresh(client: Client, token: str) -> httpx.Response:
    return await client.post("/v1/auth/refresh", json={"refresh_token": token})


async def _next(client: Client, token: str) -> str:
    answer = await _refresh(client, token)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["data"]["refresh_token"])


@pytest.mark.stack
async def test_the_secret_of_this_machine_signs_anybody_in_for_a_quarter_of_an_hour(
    client: Client, migrated: Settings, story: Story, clock: Clock
) -> None:
    pair = await _sign_in(client, migrated, story.user)
    assert (pair["token_type"], pair["expires_in"], pair["refresh_expires_in"]) == ("Bearer", 900, 7 * 86_400)
    headers = {"Authorization": f"Bearer {pair['access_token']}"}
    assert (await client.get("/v1/preferences", headers=headers)).status_code == 200
    told = await client.get("/v1/me/audit", headers=headers)
    assert [line["what"] for line in told.json()["data"]] == ["signed_in"]
    clock.move(minutes=16)
    expired = await client.get("/v1/preferences", headers=headers)
    assert (expired.status_code, expired.json()["error"]["code"]) == (401, "TOKEN_EXPIRED")
    again = await _refresh(client, pair["refresh_token"])
    headers = {"Authorization": f"Bearer {again.json()['data']['access_token']}"}
    assert (await client.get("/v1/preferences", headers=headers)).status_code == 200


@pytest.mark.stack
async def test_a_link_signs_in_whom_it_names_with_its_roles(
    client: Client, migrated: Settings, story: Story, clock: Clock
) -> None:
    link = inbox_link(migrated, "http://gigz.test", story.user, clock(), [OPERATOR])
    for given in (link, link.rpartition("=")[2]):
        answer = await client.post("/v1/auth/token", json={"link": given})
        claims = await checker(migrated).check(answer.json()["data"]["access_token"], Audience.API, clock())
        assert claims.subject == f"dev:{story.user}" and claims.roles == {OPERATOR}
    service = await _sign_in(client, migrated, "backend", roles=["service"])
    headers = {"Authorization": f"Bearer {service['access_token']}"}
    assert (await client.get("/v1/preferences", headers=headers)).status_code == 403
    some = "0e4b6f4e-0a7b-5c6f-9d0c-5b8a8f1f2d33"
    assert (await client.get(f"/v1/concerts/{some}", headers=headers)).status_code == 404


@pytest.mark.stack
async def test_each_refresh_token_is_used_once_and_one_that_comes_again_ends_the_family(
    client: Client, migrated: Settings, story: Story, clock: Clock
) -> None:
    first = (await _sign_in(client, migrated, story.user))["refresh_token"]
    other = (await _sign_in(client, migrated, story.user))["refresh_token"]
    second = await _next(client, first)
    clock.move(minutes=5)
    third = await _next(client, second)
    stolen = await _refresh(client, first)
    assert (stolen.status_code, stolen.json()["error"]["code"]) == (401, "UNAUTHORIZED")
    for token in (third, second, first):
        assert (await _refresh(client, token)).status_code == 401
    clock.move(minutes=1)
    rest = await _next(client, other)  # another sign-in of the same user goes on
    headers = {"Authorization": f"Bearer {(await _refresh(client, rest)).json()['data']['access_token']}"}
    told = (await client.get("/v1/me/audit", headers=headers)).json()["data"]
    assert [line["what"] for line in told] == ["reused", "signed_in", "signed_in"]


@pytest.mark.stack
async def test_a_lost_answer_is_given_again_for_seconds_and_never_makes_a_second_line(
    client: Client, migrated: Settings, story: Story, clock: Clock
) -> None:
    first = (await _sign_in(client, migrated, story.user))["refresh_token"]
    answers = await asyncio.gather(*(_refresh(client, first) for _ in range(10)))
    assert {answer.status_code for answer in answers} == {200}
    (second,) = {answer.json()["data"]["refresh_token"] for answer in answers}
    clock.move(seconds=REPEAT_S)
    assert await _next(client, first) == second
    third = await _next(client, second)
    # Whoever repeats the first one now cannot be the one who got the second: it was used.
    assert (await _refresh(client, first)).status_code == 401
    assert (await _refresh(client, third)).status_code == 401


@pytest.mark.stack
async def test_after_the_seconds_a_repeat_is_a_reuse(
    client: Client, migrated: Settings, story: Story, clock: Clock
) -> None:
    first = (await _sign_in(client, migrated, story.user))["refresh_token"]
    second = await _next(client, first)
    clock.move(seconds=REPEAT_S + 1)
    assert (await _refresh(client, first)).status_code == 401
    assert (await _refresh(client, second)).status_code == 401


@pytest.mark.stack
async def test_a_refresh_token_lives_for_seven_days_counted_anew_with_each(
    client: Client, migrated: Settings, story: Story, clock: Clock
) -> None:
    token = (await _sign_in(client, migrated, story.user))["refresh_token"]
    for _ in range(3):
        clock.move(days=6)
        token = await _next(client, token)
    clock.move(days=7)
    expired = await _refresh(client, token)
    assert (expired.status_code, expired.json()["error"]["code"]) == (401, "TOKEN_EXPIRED")


@pytest.mark.stack
async def test_signing_out_ends_the_family_and_tells_nothing_of_tokens(
    client: Client, migrated: Settings, story: Story
) -> None:
    first = (await _sign_in(client, migrated, story.user))["refresh_token"]
    second = await _next(client, first)
    for token in (first, first, "unknown"):
        assert (await client.post("/v1/auth/revoke", json={"refresh_token": token})).status_code == 204
    assert (await _refresh(client, second)).status_code == 401
    assert (await _refresh(client, "unknown")).status_code == 401


@pytest.mark.stack
async def test_tokens_are_kept_as_hashes_and_expired_ones_are_removed(
    client: Client, migrated: Settings, story: Story, engine: AsyncEngine
) -> None:
    token = (await _sign_in(client, migrated, story.user))["refresh_token"]
    mine = text("select r::text || s::text from state.refresh_tokens r join state.sign_ins s using (sign_in_id) "
                "where r.user_id = :u")  # fmt: skip
    async with engine.begin() as connection:
        (row,) = await connection.scalars(mine, {"u": story.user})
        assert token not in row and development_secret(migrated) not in row
        for table, column in (("refresh_tokens", "expires_at"), ("sign_ins", "created_at")):
            await connection.execute(
                text(f"update state.{table} set {column} = now() - interval '25 h' where user_id = :u"),
                {"u": story.user},
            )
    await tidy(engine, migrated)
    async with engine.connect() as connection:
        for table in ("refresh_tokens", "sign_ins"):
            left = text(f"select count(*) from state.{table} where user_id = :u")
            assert await connection.scalar(left, {"u": story.user}) == 0


@pytest.mark.stack
async def test_nobody_who_was_erased_signs_in_or_on(
    client: Client, migrated: Settings, story: Story, engine: AsyncEngine, clock: Clock
) -> None:
    token = (await _sign_in(client, migrated, story.user))["refresh_token"]
    await ledger.enter(engine, story.user, clock())
    body = {"user": story.user, "secret": development_secret(migrated)}
    assert (await client.post("/v1/auth/token", json=body)).status_code == 401
    assert (await _refresh(client, token)).status_code == 401


@pytest.mark.stack
async def test_signing_in_is_limited_to_five_a_minute_whether_it_succeeds_or_not(
    migrated: Settings, story: Story, clock: Clock
) -> None:
    async with reach(create_app(migrated, clock=clock), peer=f"198.51.{clock().second}.77") as client:
        body = {"user": story.user, "secret": development_secret(migrated)}
        answers = [await client.post("/v1/auth/token", json=body) for _ in range(6)]
        assert [answer.status_code for answer in answers] == [200] * 5 + [429]
        clock.move(minutes=1)
        assert (await client.post("/v1/auth/token", json=body)).status_code == 200
