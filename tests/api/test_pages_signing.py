"""Signing in to the pages, by a link and by the app's token, and out again."""

import re
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from http.cookies import SimpleCookie
from typing import Any
from uuid import uuid4

import httpx
import jwt
import pytest
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from api.app import create_app
from api.errors import TokenExpiredError, UnauthorizedError
from api.pages.signing import welcome
from api.services import COOKIE
from api.tidying import tidy
from api.tokens import (
    OPERATOR,
    SERVICE,
    SESSION_LIFE,
    SESSION_MOST,
    Audience,
    Claims,
    JwksChecker,
    checker,
    development_secret,
    inbox_link,
    issue_token,
    page_token,
    session_end,
)
from deploy.erasing import requests
from deploy.settings import Settings
from tests.api.issuing import AUDIENCE, ISSUER, SECONDS, Issuer, publishing
from tests.api.support import START, Clock, Story, reach

SECRET = "a secret of pages that is long enough" * 2
APP = "https://app.example"
OURS = "http://gigz.test"
PRODUCTION = {
    "environment": "production",
    "jwt_jwks_url": "http://127.0.0.1:1/jwks.json",
    "jwt_issuer": ISSUER,
    "jwt_audience": AUDIENCE,
    "pages_secret": SecretStr(SECRET),
    "cors_origins": APP,
}


@pytest.fixture
def production(offline: Settings) -> Settings:
    """As `offline`, with pages in production."""
    return offline.model_copy(update=PRODUCTION)


def cookie_of(answer: httpx.Response) -> Any:
    """The session's cookie as the answer sets it."""
    jar: SimpleCookie = SimpleCookie()
    for told in answer.headers.get_list("set-cookie"):
        jar.load(told)
    return jar[COOKIE]


def form_of(page: str) -> str:
    found = re.search(r'name="form_token" value="([0-9a-f]+)"', page)
    assert found, page[:500]
    return found[1]


# -- tokens ------------------------------------------------------------------------------------------------------------


async def test_a_session_ends_hours_after_its_last_page_and_a_month_after_its_first(offline: Settings) -> None:
    check = checker(offline).check
    began = await check(page_token(offline, "alice", START), Audience.PAGE, START)
    assert (began.user, began.signed_in, began.expires) == ("alice", START, START + SESSION_LIFE)
    late = START + SESSION_MOST - timedelta(hours=1)
    token = page_token(offline, "alice", late, began.session, signed_in=began.signed_in)
    last = await check(token, Audience.PAGE, late)
    assert (last.session, last.signed_in, last.expires) == (began.session, START, START + SESSION_MOST)
    with pytest.raises(TokenExpiredError):
        await check(token, Audience.PAGE, START + SESSION_MOST + timedelta(seconds=offline.jwt_leeway_s))
    assert session_end(START, None) == session_end(START, START) == START + SESSION_LIFE


async def test_in_production_a_page_token_is_ours_and_for_pages_alone(production: Settings) -> None:
    page = page_token(production, "alice", START, subject="idp|42")
    mine = checker(production)
    read = await mine.check(page, Audience.PAGE, START)
    assert read == Claims("idp|42", START + SESSION_LIFE, read.session, user="alice", signed_in=START)
    told = jwt.decode(page, options={"verify_signature": False})

    def signed(key: str = SECRET, algorithm: str = "HS256", changes: dict[str, Any] | None = None) -> str:
        kept = {name: value for name, value in (told | (changes or {})).items() if value is not None}
        return jwt.encode(kept, key, algorithm=algorithm)

    assert (await mine.check(signed(), Audience.PAGE, START)).user == "alice"
    for other in (
        signed("another secret that is long enough" * 2),
        signed(algorithm="HS512"),
        jwt.encode(told, "", algorithm="none"),
        *(signed(changes={"iss": other}) for other in ("gigz-development", ISSUER)),
        signed(changes={"aud": "gigz-api"}),
        *(signed(changes={name: None}) for name in ("user", "sid", "auth_time", "sub", "exp")),
        *(signed(changes={name: 7}) for name in ("user", "sid")),
        *(signed(changes={name: ""}) for name in ("user", "sid", "auth_time")),
    ):
        with pytest.raises(UnauthorizedError):
            await mine.check(other, Audience.PAGE, START)
    for audience in (Audience.API, Audience.LINK):
        with pytest.raises(UnauthorizedError):
            await mine.check(page, audience, START)
    without = checker(production.model_copy(update={"pages_secret": SecretStr("")}))
    with pytest.raises(UnauthorizedError):
        await without.check(page, Audience.PAGE, START)
    assert isinstance(mine, JwksChecker) and SECRET not in repr(mine)


async def test_an_issuers_own_session_is_none_of_ours(offline: Settings) -> None:
    token = issue_token(offline, "alice", START)
    told = jwt.decode(token, options={"verify_signature": False}) | {"sid": "s1", "user": "bob", "auth_time": 1}
    read = await checker(offline).check(
        jwt.encode(told, development_secret(offline), algorithm="HS256"), Audience.API, START
    )
    assert (read.session, read.user, read.signed_in) == ("", "", None)


# -- who may send a token ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("origin", "site", "may"),
    [
        (None, None, True),  # an app without a page
        (None, "none", True),
        ("null", "none", True),  # a web view that posts by itself
        (OURS, "same-origin", True),
        (OURS, None, True),
        (APP, "cross-site", True),
        (APP, None, True),
        ("https://gigz.test", "same-origin", True),  # a proxy that does not say how it was asked
        ("https://evil.example", "cross-site", False),
        ("https://evil.example", None, False),
        ("https://app.example.evil.example", None, False),
        ("http://app.example", "cross-site", False),
        ("https://x.gigz.test", "same-site", False),
        ("null", "cross-site", False),  # a frame that was made to hide its origin
        ("null", None, False),
        ("", None, False),
        (None, "cross-site", False),
    ],
)
def test_only_our_pages_the_listed_ones_and_no_page_at_all_sign_anybody_in(
    origin: str | None, site: str | None, may: bool
) -> None:
    assert welcome(origin, site, OURS, {APP}) is may


async def test_a_sign_in_from_another_site_is_refused_before_its_token_is_read(
    alone: httpx.AsyncClient, offline: Settings
) -> None:
    token = issue_token(offline, "mallory", START)
    answer = await alone.post("/session", data={"token": token}, headers={"Origin": "https://evil.example"})
    assert answer.status_code == 403 and "set-cookie" not in answer.headers
    assert "another site" in answer.text and answer.headers["content-type"].startswith("text/html")


async def test_signing_in_cannot_be_tried_at_will(alone: httpx.AsyncClient) -> None:
    answers = [await alone.post("/session", data={"token": "x"}) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [401] * 5 + [429]


async def test_no_token_a_bad_one_and_one_for_another_purpose_open_nothing(offline: Settings, clock: Clock) -> None:
    link = inbox_link(offline, OURS, "alice", START).rpartition("=")[2]
    service = issue_token(offline, "backend", START, [SERVICE])
    async with reach(create_app(offline, clock=clock, rate_limits=False)) as client:
        for sent, status in (
            ({}, 401),
            ({"data": {"token": ""}}, 401),
            ({"data": {"token": "x"}}, 401),
            ({"data": {"token": link}}, 401),
            ({"data": {"token": page_token(offline, "alice", START)}}, 401),
            ({"data": {"token": service}}, 403),
            ({"json": {"token": issue_token(offline, "alice", START)}}, 401),
            ({"headers": {"Authorization": "Bearer x"}}, 401),
        ):
            answer = await client.post("/session", **sent)  # type: ignore[arg-type]
            assert (answer.status_code, "set-cookie" in answer.headers) == (status, False), sent


# -- on PostgreSQL -----------------------------------------------------------------------------------------------------


@pytest.fixture
def issuer(migrated: Settings) -> Iterator[tuple[Issuer, Settings]]:
    """An issuer, and settings of a production that believes it."""
    with publishing() as (issuer, url):
        yield issuer, migrated.model_copy(update=PRODUCTION | {"jwt_jwks_url": url})


@pytest.fixture
async def served(issuer: tuple[Issuer, Settings], clock: Clock) -> AsyncIterator[httpx.AsyncClient]:
    """A client of production."""
    async with reach(create_app(issuer[1], clock=clock, rate_limits=False)) as client:
        yield client


async def audited(engine: AsyncEngine, user: str) -> list[str]:
    async with engine.connect() as connection:
        query = text("select what from state.audit where user_id = :user order by id")
        return list(await connection.scalars(query, {"user": user}))


@pytest.mark.stack
async def test_the_apps_token_opens_the_pages_of_its_user(
    served: httpx.AsyncClient, issuer: tuple[Issuer, Settings], engine: AsyncEngine, clock: Clock
) -> None:
    subject = f"idp|{uuid4().hex}"
    token = issuer[0].token("rsa-1", sub=subject, sid="theirs", roles=[OPERATOR])
    bearer = {"Authorization": f"Bearer {token}"}
    user = (await served.get("/v1/me", headers=bearer)).json()["data"]["user"]
    answer = await served.post("/session", data={"token": f" {token}\n"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/inbox")
    cookie = cookie_of(answer)
    assert cookie["httponly"] and cookie["samesite"] == "strict" and cookie["path"] == "/" and not cookie["secure"]
    assert int(cookie["max-age"]) == SESSION_LIFE.total_seconds()
    page = await served.get("/inbox")
    assert page.status_code == 200
    assert token not in page.text + str(page.headers)
    # No role comes along: one that the issuer takes back would live on in the cookie.
    assert (await served.get("/ops")).status_code == 403
    assert (await served.get("/ops", headers=bearer)).status_code == 200
    assert (await served.get("/v1/me")).status_code == 401  # a cookie opens no API
    assert await audited(engine, user) == ["signed_in"]
    served.cookies.clear()
    assert (await served.post("/session", headers=bearer)).status_code == 303
    assert (await served.get("/settings")).status_code == 200
    assert (await served.get("/open", params={"token": "x"})).status_code == 404


@pytest.mark.stack
async def test_the_cookie_is_for_https_alone_where_the_page_came_by_it(
    issuer: tuple[Issuer, Settings], clock: Clock
) -> None:
    settings = issuer[1].model_copy(update={"trusted_proxies": "127.0.0.1"})
    sent = {"X-Forwarded-For": "192.0.2.7", "X-Forwarded-Proto": "https", "Origin": "https://gigz.test"}
    async with reach(create_app(settings, clock=clock, rate_limits=False)) as client:
        token = issuer[0].token("rsa-1", sub=f"idp|{uuid4().hex}")
        answer = await client.post("/session", data={"token": token}, headers=sent)
        assert answer.status_code == 303 and cookie_of(answer)["secure"]


@pytest.mark.stack
async def test_who_comes_from_another_site_gets_a_page_of_ours_first_that_goes_on(
    served: httpx.AsyncClient, issuer: tuple[Issuer, Settings]
) -> None:
    for sent in ({"Sec-Fetch-Site": "cross-site"}, {}):
        token = issuer[0].token("rsa-1", sub=f"idp|{uuid4().hex}")
        answer = await served.post("/session", data={"token": token}, headers={"Origin": APP} | sent)
        assert answer.status_code == 200 and cookie_of(answer).value
        assert '<meta http-equiv="refresh" content="0; url=/inbox">' in answer.text and 'href="/inbox"' in answer.text


@pytest.mark.stack
async def test_signing_out_ends_the_session_for_every_copy_of_its_cookie(
    client: httpx.AsyncClient, story: Story, engine: AsyncEngine, clock: Clock
) -> None:
    await story.sign_in(client, clock)
    stolen = client.cookies[COOKIE]
    clock.move(minutes=5)
    page = await client.get("/settings")
    renewed = client.cookies[COOKIE]
    assert renewed != stolen
    assert (await client.post("/sign-out")).status_code == 403
    assert (await client.post("/sign-out", data={"form_token": "0" * 64})).status_code == 403
    assert (await client.get("/inbox")).status_code == 200
    answer = await client.post("/sign-out", data={"form_token": form_of(page.text)})
    assert (answer.status_code, answer.headers["location"]) == (303, "/signed-out")
    assert cookie_of(answer).value == "" and cookie_of(answer)["max-age"] == "0"
    assert COOKIE not in client.cookies
    told = await client.get("/signed-out")
    assert told.status_code == 200 and "gigz open" in told.text
    for old in (stolen, renewed):
        refused = await client.get("/inbox", headers={"Cookie": f"{COOKIE}={old}"})
        assert refused.status_code == 401 and "set-cookie" not in refused.headers
        again = await client.post("/sign-out", headers={"Cookie": f"{COOKIE}={old}"})
        assert again.status_code == 303
    assert await audited(engine, story.user) == ["signed_in", "signed_out"]
    await story.sign_in(client, clock)  # another session
    assert (await client.get("/inbox")).status_code == 200


@pytest.mark.stack
async def test_what_is_kept_of_an_ended_session_outlives_its_last_cookie_and_is_then_removed(
    client: httpx.AsyncClient, story: Story, engine: AsyncEngine, clock: Clock, migrated: Settings
) -> None:
    await story.sign_in(client, clock)
    page = await client.get("/settings")
    await client.post("/sign-out", data={"form_token": form_of(page.text)})
    production = migrated.model_copy(update={"environment": "production"})
    mine = text("select count(*) from state.sign_ins where user_id = :user")
    async with engine.connect() as connection:
        aged = text("update state.sign_ins set created_at = now() - cast(:age as interval) where user_id = :user")
        assert SESSION_LIFE + timedelta(seconds=300) < timedelta(days=1)
        for age, left in (("23 hours", 1), ("25 hours", 0)):
            await connection.execute(aged, {"age": age, "user": story.user})
            await connection.commit()
            await tidy(engine, production)
            assert await connection.scalar(mine, {"user": story.user}) == left
            await connection.commit()


@pytest.mark.stack
async def test_a_session_that_is_over_signs_out_without_a_word(
    client: httpx.AsyncClient, story: Story, clock: Clock
) -> None:
    await story.sign_in(client, clock)
    clock.move(hours=9)
    assert (await client.get("/inbox")).status_code == 401
    answer = await client.post("/sign-out", data={"form_token": "0" * 64})
    assert answer.status_code == 303 and cookie_of(answer)["max-age"] == "0"
    # Another site's form comes without the cookie, and takes none away.
    client.cookies.clear()
    assert "set-cookie" not in (await client.post("/sign-out", data={})).headers


@pytest.mark.stack
async def test_the_cookie_of_somebody_who_was_erased_is_refused_and_opens_no_new_account(
    served: httpx.AsyncClient, issuer: tuple[Issuer, Settings], engine: AsyncEngine, clock: Clock
) -> None:
    subject = f"idp|{uuid4().hex}"
    await served.post("/session", data={"token": issuer[0].token("rsa-1", sub=subject)})
    old = served.cookies[COOKIE]
    async with engine.connect() as connection:
        account = text("select user_id from state.accounts where subject = :subject")
        user = await connection.scalar(account, {"subject": subject})
    await requests.ask(engine, str(user), subject, clock())
    async with engine.begin() as connection:  # as the erasure does, sooner or later
        await connection.execute(text("delete from state.accounts where subject = :subject"), {"subject": subject})
    clock.move(hours=1)
    refused = await served.get("/inbox")
    assert refused.status_code == 401 and "erased" in refused.text
    fresh = issuer[0].token("rsa-1", sub=subject, exp=SECONDS + 7_200)
    assert (await served.post("/session", data={"token": fresh})).status_code == 303
    assert (await served.get("/inbox")).status_code == 200
    # The old cookie does not follow its subject to the new account.
    assert (await served.get("/inbox", headers={"Cookie": f"{COOKIE}={old}"})).status_code == 401


# -- from elsewhere ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "goes_on_to"),
    [
        ("/inbox?state=decided&artist=<b>", "/inbox?state=decided&amp;artist=%3Cb%3E"),
        ("//inbox", "/inbox"),
        ("/settings", "/settings"),
    ],
)
async def test_a_link_in_a_mail_is_asked_for_again_by_ourselves_before_anybody_counts_as_a_stranger(
    alone: httpx.AsyncClient, path: str, goes_on_to: str
) -> None:
    elsewhere = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    answer = await alone.get(f"{OURS}{path}", headers=elsewhere)
    assert answer.status_code == 401
    assert f'<meta http-equiv="refresh" content="0; url={goes_on_to}">' in answer.text, answer.text
    again = await alone.get(f"{OURS}{path}", headers=elsewhere | {"Sec-Fetch-Site": "same-origin"})
    assert again.status_code == 401 and "http-equiv" not in again.text and "not signed in" in again.text
