"""Tokens: what is given out, what is believed."""

import base64
import json
import stat
from datetime import timedelta
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from pydantic import SecretStr

from api.app import create_app
from api.errors import TokenExpiredError, UnauthorizedError, UnavailableError
from api.tokens import (
    LEEWAY_S,
    Audience,
    JwksChecker,
    checker,
    development_secret,
    inbox_link,
    issue_token,
    page_token,
)
from deploy.settings import Settings, SettingsError
from tests.api.support import START, Clock

ROUTES = [
    ("GET", "/v1/suggestions"),
    ("POST", "/v1/suggestions/6f1d3ce0-54fb-5a0c-9f6a-2f7c4be21d11/confirm"),
    ("POST", "/v1/suggestions/6f1d3ce0-54fb-5a0c-9f6a-2f7c4be21d11/dismiss"),
    ("POST", "/v1/suggestions/6f1d3ce0-54fb-5a0c-9f6a-2f7c4be21d11/undo"),
    ("POST", "/v1/history"),
    ("GET", "/v1/search?q=x"),
]


async def test_a_token_of_ours_names_its_user(offline: Settings) -> None:
    claims = await checker(offline).check(issue_token(offline, "alice", START), Audience.API, START)
    assert claims.subject == "dev:alice"
    assert claims.expires == START + timedelta(minutes=15)


async def test_a_token_expires_after_a_quarter_of_an_hour(offline: Settings) -> None:
    token = issue_token(offline, "alice", START)
    last = START + timedelta(minutes=15, seconds=LEEWAY_S)
    await checker(offline).check(token, Audience.API, last - timedelta(seconds=1))
    with pytest.raises(TokenExpiredError):
        await checker(offline).check(token, Audience.API, last)


async def test_a_token_is_good_for_its_own_purpose_only(offline: Settings) -> None:
    tokens = {
        Audience.API: issue_token(offline, "alice", START),
        Audience.PAGE: page_token(offline, "alice", START),
        Audience.LINK: inbox_link(offline, "http://x", "alice", START).rpartition("=")[2],
    }
    for made_for, token in tokens.items():
        for audience in Audience:
            if audience is made_for:
                await checker(offline).check(token, audience, START)
            else:
                with pytest.raises(UnauthorizedError):
                    await checker(offline).check(token, audience, START)


def _tampered(offline: Settings) -> list[str]:
    good = issue_token(offline, "alice", START)
    secret = development_secret(offline)
    head, body, signature = good.split(".")
    claims = jwt.decode(good, options={"verify_signature": False})
    other_body = base64.urlsafe_b64encode(json.dumps(claims | {"sub": "dev:bob"}).encode()).decode().rstrip("=")

    def signed(key: str = secret, algorithm: str = "HS256", **changes: Any) -> str:
        told = {name: value for name, value in (claims | changes).items() if value is not None}
        return jwt.encode(told, key, algorithm=algorithm)

    return [
        "",
        "x",
        f"{head}.{other_body}.{signature}",
        f"{head}.{body}.",
        jwt.encode(claims, "", algorithm="none"),
        signed(key="another secret that is long enough, too"),
        signed(key=secret * 2, algorithm="HS512"),
        signed(iss="https://elsewhere.example"),
        signed(aud="other"),
        signed(sub=None),
        signed(sub=""),
        signed(exp=None),
        signed(nbf=int(START.timestamp()) + 3_600),
    ]


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_every_route_refuses_every_bad_token(
    alone: httpx.AsyncClient, offline: Settings, method: str, path: str
) -> None:
    refused = [await alone.request(method, path)]
    refused += [
        await alone.request(method, path, headers={"Authorization": f"Bearer {token}"}) for token in _tampered(offline)
    ]
    refused.append(await alone.request(method, path, headers={"Authorization": "Basic YTpi"}))
    # A cookie is no credential here: it would let another site's form call the API.
    cookie = {"Cookie": f"gigz_session={page_token(offline, 'alice', START)}"}
    refused.append(await alone.request(method, path, headers=cookie))
    for answer in refused:
        assert answer.status_code == 401
        error = answer.json()["error"]
        assert error["code"] == "UNAUTHORIZED" and error["message"] and error["details"] == []


async def test_an_expired_token_is_told_from_a_bad_one(
    alone: httpx.AsyncClient, offline: Settings, clock: Clock
) -> None:
    headers = {"Authorization": f"Bearer {issue_token(offline, 'alice', clock())}"}
    clock.move(minutes=16)
    answer = await alone.get("/v1/suggestions", headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "TOKEN_EXPIRED")


def test_the_secret_is_made_once_and_for_the_owner_alone(offline: Settings) -> None:
    assert development_secret(offline) == development_secret(offline)
    file = offline.home / "jwt.secret"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in offline.home.iterdir()] == ["jwt.secret"]


def test_a_short_secret_is_refused_with_the_settings_name(offline: Settings) -> None:
    with pytest.raises(SettingsError, match="GIGZ_JWT_SECRET: shorter than 32 bytes"):
        create_app(offline.model_copy(update={"jwt_secret": SecretStr("short")}))


@pytest.mark.parametrize("user", ["", "a/b", " a", "x" * 129])
def test_an_impossible_user_gets_no_token(offline: Settings, user: str) -> None:
    with pytest.raises(ValueError, match="1 to 128 characters"):
        issue_token(offline, user, START)


def test_production_gives_out_no_tokens_and_wants_the_issuers_keys(offline: Settings) -> None:
    production = offline.model_copy(update={"environment": "production"})
    with pytest.raises(SettingsError, match="GIGZ_ENVIRONMENT is production"):
        issue_token(production, "alice", START)
    with pytest.raises(SettingsError, match="GIGZ_JWT_JWKS_URL is not set"):
        create_app(production)
    with pytest.raises(SettingsError, match="GIGZ_JWT_JWKS_URL"):
        create_app(production.model_copy(update={"jwt_jwks_url": "file:///etc/passwd"}))


class _Keys(jwt.PyJWKClient):
    """An issuer's keys without its web server."""

    def __init__(self, keys: list[dict[str, Any]] | None) -> None:
        super().__init__("https://issuer.example/jwks.json")
        self._published = keys

    def fetch_data(self) -> Any:
        if self._published is None:
            raise jwt.PyJWKClientConnectionError("away")
        return {"keys": self._published}


async def test_production_believes_the_issuers_keys_and_no_shared_secret() -> None:
    rsa_key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    ed_key = ed25519.Ed25519PrivateKey.generate()
    algorithms: dict[str, tuple[Any, dict[str, Any]]] = {
        "RS256": (rsa_key, jwt.algorithms.RSAAlgorithm.to_jwk(rsa_key.public_key(), as_dict=True)),
        "EdDSA": (ed_key, jwt.algorithms.OKPAlgorithm.to_jwk(ed_key.public_key(), as_dict=True)),
    }
    published = [jwk | {"kid": name, "use": "sig", "alg": name} for name, (_, jwk) in algorithms.items()]
    tokens = JwksChecker(_Keys(published))
    claims = {"sub": "idp|42", "exp": int(START.timestamp()) + 900, "aud": "app"}
    for name, (key, _) in algorithms.items():
        token = jwt.encode(claims, key, algorithm=name, headers={"kid": name})
        assert (await tokens.check(token, Audience.API, START)).subject == "idp|42"
        with pytest.raises(UnauthorizedError):
            await tokens.check(token, Audience.PAGE, START)
    bad = [
        jwt.encode(claims, rsa_key, algorithm="RS512", headers={"kid": "RS256"}),
        jwt.encode(claims, "a secret as long as it has to be, and more", algorithm="HS256", headers={"kid": "RS256"}),
        jwt.encode(claims, rsa_key, algorithm="RS256", headers={"kid": "unknown"}),
        jwt.encode(claims, "", algorithm="none", headers={"kid": "RS256"}),
        "x.y.z",
    ]
    for token in bad:
        with pytest.raises(UnauthorizedError):
            await tokens.check(token, Audience.API, START)
    with pytest.raises(UnavailableError):
        await JwksChecker(_Keys(None)).check(bad[0], Audience.API, START)
