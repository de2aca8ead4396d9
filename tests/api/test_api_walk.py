"""Every route of the application, as its own table has it, by those who may not: without a token, with a bad one, with
the wrong role, and with a good one of somebody else.

A new route is walked without a word here, but for two kinds that a person has to look at: one that asks for no token
has to be listed in PUBLIC, and one that is named by an id in ROUTES_BY_ID below, with the id of another user's, or as
one that names nothing of a user's.
"""

from collections.abc import Iterator
from typing import Any

import jwt
import pytest
from litestar import Litestar, get

from api.app import create_app
from api.limits import A_MINUTE
from api.services import COOKIE
from api.tokens import OPERATOR, SERVICE, development_secret, inbox_link, issue_token, page_token
from deploy.settings import Settings
from tests.api.issuing import AUDIENCE, ISSUER, SECONDS, publishing, signed_with_hmac
from tests.api.support import START, Clock, reach
from tests.api.test_api_tokens import tampered
from tests.api.walking import Step, steps

PUBLIC = {
    "/": "leads to the inbox",
    "/open": "signs in by a link",
    "/session": "signs in by the app's token",
    "/sign-out": "ends the session that its cookie names, asks for the form's token, and tells nothing",
    "/signed-out": "tells how to come back",
    "/farewell/{receipt_id}": "of somebody who has no account any more; the id is the secret",
    "/farewell/{receipt_id}/stream": "the same",
    "/health": "of stores, not of users",
    "/ready": "the same",
    "/metrics": "guards itself: a network or an operator's token",
    "/static/{file_path}": "style sheet and icon",
    "/schema": "the contract",
    "/schema/{path}": "the contract",
    "/schema/openapi.json": "the contract",
    "/v1/auth/token": "signs in",
    "/v1/auth/refresh": "by its own token",
    "/v1/auth/revoke": "by its own token",
    "/v1/erasures/{receipt_id}": "of somebody who has no account any more; the id is the secret",
}
"""Routes that ask for no token, and why that is right."""
BEARERS = ("bearer", "either")


@pytest.fixture
def app(offline: Settings, clock: Clock) -> Litestar:
    return create_app(offline, clock=clock, rate_limits=False)


def guarded(app: Litestar) -> Iterator[Step]:
    """Those that ask who calls."""
    for step in steps(app):
        if step.credential:
            yield step


def test_a_route_that_asks_for_no_token_is_one_that_is_meant_to(app: Litestar) -> None:
    unknown = [step.name for step in steps(app) if not step.credential and step.template not in PUBLIC]
    assert not unknown, (
        f"{unknown} ask for no token. Is that meant? Then say why in PUBLIC of {__file__}; "
        'else give the router opt={"credential": "bearer"}.'
    )
    for step in guarded(app):
        assert step.credential in ("bearer", "cookie", "either"), step.name
        assert step.handler.opt.get("role") in (None, OPERATOR), step.name


def test_a_route_says_only_limits_that_there_are(app: Litestar) -> None:
    for step in steps(app):
        assert step.handler.opt.get("limit", "search") in A_MINUTE, step.name
        assert not (step.handler.opt.get("limit") and step.handler.opt.get("unlimited")), step.name


def test_what_a_service_may_read_does_not_ask_who_it_is(app: Litestar) -> None:
    open_to_services = [step for step in steps(app) if step.handler.opt.get("service")]
    assert {step.template for step in open_to_services} >= {"/v1/concerts/{concert_id}", "/v1/search"}
    for step in open_to_services:
        asked = set(step.handler.parsed_fn_signature.parameters)
        assert not asked & {"user", "request"}, f"{step.name} is open to services and reads who calls"
        assert step.method == "GET", f"{step.name}: a service reads"


@pytest.mark.parametrize("kind", ["none", "not bearer", "empty", "page cookie", *(f"tampered {n}" for n in range(13))])
async def test_every_route_refuses_whoever_has_no_good_token(app: Litestar, offline: Settings, kind: str) -> None:
    headers = {}
    if kind.startswith("tampered"):
        headers = {"Authorization": f"Bearer {tampered(offline)[int(kind.split()[1])]}"}
    elif kind != "none":
        # A cookie is no credential of the API: it would let another site's form call it.
        headers = {
            "not bearer": {"Authorization": "Basic YTpi"},
            "empty": {"Authorization": "Bearer "},
            "page cookie": {"Cookie": f"{COOKIE}={page_token(offline, 'alice', START)}"},
        }[kind]
    async with reach(app) as client:
        for step in guarded(app):
            if kind == "page cookie" and step.credential != "bearer":
                continue
            answer = await step.call(client, headers)
            _refused(step, answer, 401, "UNAUTHORIZED")


async def test_every_route_refuses_tokens_for_another_purpose_and_tells_one_that_expired(
    app: Litestar, offline: Settings, clock: Clock
) -> None:
    link = inbox_link(offline, "http://x", "alice", START).rpartition("=")[2]
    bearer, page = issue_token(offline, "alice", START), page_token(offline, "alice", START)
    async with reach(app) as client:
        for step in guarded(app):
            wrong = [{"Authorization": f"Bearer {token}"} for token in (link, page)]
            if step.credential != "bearer":
                wrong += [{"Cookie": f"{COOKIE}={token}"} for token in (link, bearer)]
            for headers in wrong:
                _refused(step, await step.call(client, headers), 401, "UNAUTHORIZED")
        clock.move(days=2)
        for step in guarded(app):
            expired = {"Authorization": f"Bearer {bearer}"}
            if step.credential == "cookie":
                expired = {"Cookie": f"{COOKIE}={page}"}
            _refused(step, await step.call(client, expired), 401, "TOKEN_EXPIRED")


async def test_every_route_refuses_the_wrong_role(app: Litestar, offline: Settings) -> None:
    roles: dict[str, list[str]] = {"user": [], "service": [SERVICE], "both": [SERVICE, OPERATOR], "other": ["admin"]}
    refused = 0
    async with reach(app) as client:
        for step in guarded(app):
            for name, given in roles.items():
                backend = SERVICE in given
                allowed = step.handler.opt.get("service") if backend else step.handler.opt.get("role") in (None, *given)
                if allowed:
                    continue
                headers = {"Authorization": f"Bearer {issue_token(offline, 'alice', START, given)}"}
                if step.credential == "cookie":
                    headers = {"Cookie": f"{COOKIE}={page_token(offline, 'alice', START, roles=given)}"}
                refused += 1
                _refused(step, await step.call(client, headers), 403, "FORBIDDEN"), name
    assert refused > 50


@pytest.mark.network
async def test_a_field_that_is_called_like_a_part_of_ours_is_the_callers_mistake(
    app: Litestar, offline: Settings
) -> None:
    headers = {"Authorization": f"Bearer {issue_token(offline, 'alice', START)}"}
    async with reach(app) as client:
        asked = [step for step in steps(app) if step.body() is not None]
        assert len(asked) > 10
        for step in asked:
            for name in ("user", "services", "trace", "request", "state"):
                answer = await step.call(client, headers, json={name: {"x": 1}})
                # 503: a body whose fields may all be left out goes on to PostgreSQL, which is away here.
                assert answer.status_code in (400, 404, 503), (step.name, name, answer.text)


@pytest.mark.network
async def test_in_production_every_route_refuses_what_the_issuer_did_not_give_out_for_us(offline: Settings) -> None:
    with publishing() as (issuer, url):
        told = {"jwt_jwks_url": url, "jwt_issuer": ISSUER, "jwt_audience": AUDIENCE, "environment": "production"}
        production = offline.model_copy(update=told)
        app = create_app(production, clock=Clock(), rate_limits=False)
        good = issuer.token("rsa-1", exp=SECONDS + 10_000)
        head, _, signature = good.split(".")
        body = issuer.token("rsa-1", sub="idp|43").split(".")[1]
        bad = {
            "alg none": jwt.encode({"sub": "idp|42"}, "", algorithm="none"),
            "the public key as a secret": signed_with_hmac(issuer.pem("rsa-1"), kid="rsa-1"),
            "development's": issue_token(offline, "alice", START),
            "development's by its secret": jwt.encode(
                {"sub": "dev:alice", "iss": ISSUER, "aud": AUDIENCE, "exp": SECONDS + 900},
                development_secret(offline),
                algorithm="HS256",
                headers={"kid": "rsa-1"},
            ),
            "tampered": f"{head}.{body}.{signature}",
            "another audience": issuer.token("rsa-1", aud="other-app"),
            "another issuer": issuer.token("rsa-1", iss="https://elsewhere.example/"),
            "another key": issuer.token("rsa-1", headers={"kid": "rsa-9"}),
        }
        async with reach(app) as client:
            walked = list(guarded(app))
            assert walked and not any(step.credential == "cookie" for step in walked)
            assert not [step.name for step in steps(app) if step.template.startswith("/v1/auth")]
            for step in walked:
                for token in bad.values():
                    answer = await step.call(client, {"Authorization": f"Bearer {token}"})
                    _refused(step, answer, 401, "UNAUTHORIZED")
                expired = issuer.token("rsa-1", exp=SECONDS - 60)
                answer = await step.call(client, {"Authorization": f"Bearer {expired}"})
                _refused(step, answer, 401, "TOKEN_EXPIRED")
                if not step.handler.opt.get("service"):
                    service = issuer.token("rsa-1", roles=[SERVICE])
                    answer = await step.call(client, {"Authorization": f"Bearer {service}"})
                    _refused(step, answer, 403, "FORBIDDEN")
            for path in ("/v1/auth/token", "/v1/auth/refresh", "/v1/auth/revoke", "/inbox", "/open", "/ops"):
                assert (await client.post(path, json={})).status_code == 404, path
            assert issuer.asked < 20


async def test_a_route_that_forgets_to_ask_is_found(offline: Settings, clock: Clock) -> None:
    @get("/v1/forgotten")
    async def forgotten() -> dict[str, Any]:
        return {}

    app = create_app(offline, clock=clock, rate_limits=False)
    app.register(forgotten)
    with pytest.raises(AssertionError, match="GET /v1/forgotten'] ask for no token"):
        test_a_route_that_asks_for_no_token_is_one_that_is_meant_to(app)


def _refused(step: Step, answer: Any, status: int, code: str) -> None:
    assert answer.status_code == status, f"{step.name} answers {answer.status_code}, not {status}: {answer.text[:300]}"
    if answer.headers["content-type"].startswith("application/json"):
        error = answer.json()["error"]
        assert error["code"] == code and error["message"] and error["details"] == [], (step.name, error)
