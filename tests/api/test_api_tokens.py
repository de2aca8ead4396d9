"""Tokens: what is given out, what is believed."""

import asyncio
import base64
import json
import stat
from collections.abc import Iterator
from datetime import timedelta
from time import perf_counter
from typing import Any
from uuid import uuid4

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from pydantic import SecretStr

from api.app import create_app
from api.errors import TokenExpiredError, UnauthorizedError, UnavailableError
from api.jwks import FETCH_S, FRESH_S, OLDEST_S, RETRY_S, UNKNOWN_A_MINUTE, Keys, fetching, keys_of
from api.tokens import (
    Audience,
    JwksChecker,
    checker,
    development_secret,
    inbox_link,
    issue_token,
    page_token,
)
from deploy.settings import Settings, SettingsError
from tests.api.issuing import AUDIENCE, ISSUER, SECONDS, Issuer, claims, publishing, segment, signed_with_hmac
from tests.api.support import START, Clock, reach


async def test_a_token_of_ours_names_its_user(offline: Settings) -> None:
    claims = await checker(offline).check(issue_token(offline, "alice", START), Audience.API, START)
    assert claims.subject == "dev:alice"
    assert claims.expires == START + timedelta(minutes=15)


async def test_a_token_expires_after_a_quarter_of_an_hour(offline: Settings) -> None:
    token = issue_token(offline, "alice", START)
    last = START + timedelta(minutes=15, seconds=offline.jwt_leeway_s)
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


def tampered(offline: Settings) -> list[str]:
    """Tokens that nobody of us gave out as they are."""
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


@pytest.mark.parametrize("number", range(13))
async def test_a_bad_token_is_not_believed(offline: Settings, number: int) -> None:
    with pytest.raises(UnauthorizedError) as refused:
        await checker(offline).check(tampered(offline)[number], Audience.API, START)
    assert refused.value.code == "UNAUTHORIZED"


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


def test_production_gives_out_no_tokens_and_wants_to_know_the_issuer(offline: Settings) -> None:
    production = offline.model_copy(update={"environment": "production"})
    with pytest.raises(SettingsError, match="GIGZ_ENVIRONMENT is production"):
        issue_token(production, "alice", START)
    told = {"jwt_jwks_url": "https://issuer.example/jwks.json", "jwt_issuer": ISSUER, "jwt_audience": AUDIENCE}
    for name in told:
        known = {other: value for other, value in told.items() if other != name}
        with pytest.raises(SettingsError, match=f"GIGZ_{name.upper()} is not set"):
            create_app(production.model_copy(update=known))
    with pytest.raises(SettingsError, match="GIGZ_JWT_JWKS_URL"):
        create_app(production.model_copy(update=told | {"jwt_jwks_url": "file:///etc/passwd"}))


# -- an issuer and its keys --------------------------------------------------------------------------------------------


@pytest.fixture
def issuer() -> Iterator[tuple[Issuer, JwksChecker]]:
    with publishing() as (issuer, url):
        yield issuer, JwksChecker(Keys(fetching(url), Timer()), ISSUER, AUDIENCE, 10.0)


class Timer:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def __call__(self) -> float:
        return self.seconds


def _timer(tokens: JwksChecker) -> Timer:
    timer: Any = tokens.keys._timer
    assert isinstance(timer, Timer)
    return timer


async def _believes(tokens: JwksChecker, token: str) -> bool:
    try:
        return (await tokens.check(token, Audience.API, START)).subject == "idp|42"
    except UnauthorizedError:
        return False


@pytest.mark.network
@pytest.mark.parametrize("algorithm", ["RS256", "EdDSA"])
async def test_a_token_of_the_issuer_is_believed_for_the_api_alone(
    issuer: tuple[Issuer, JwksChecker], algorithm: str
) -> None:
    published, tokens = issuer
    published.rotate("new", algorithm)
    claims = await tokens.check(published.token("new", roles=["operator", 7]), Audience.API, START)
    assert claims.subject == "idp|42" and claims.roles == {"operator"}
    for audience in (Audience.PAGE, Audience.LINK):
        with pytest.raises(UnauthorizedError):
            await tokens.check(published.token("new"), audience, START)


@pytest.mark.network
async def test_what_the_issuer_did_not_sign_for_us_is_refused(issuer: tuple[Issuer, JwksChecker]) -> None:
    published, tokens = issuer
    published.rotate("ed-1", "EdDSA", keep=True)
    elsewhere = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    own_jwk = dict(jwt.algorithms.RSAAlgorithm.to_jwk(elsewhere.public_key(), as_dict=True))
    rsa_key, _ = published.private["rsa-1"]
    good = published.token("rsa-1")
    head, body, signature = good.split(".")
    secret = published.pem("rsa-1").hex()
    none = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT","kid":"rsa-1"}').decode().rstrip("=")
    by_public_key = signed_with_hmac(published.pem("rsa-1"), kid="rsa-1")
    bad = {
        "alg none": f"{none}.{body}.",
        "alg none with a signature": f"{none}.{body}.{signature}",
        "HS256 signed with the public key": by_public_key,
        "HS256 with a secret": jwt.encode(claims(), secret, algorithm="HS256", headers={"kid": "rsa-1"}),
        "another hash": jwt.encode(claims(), rsa_key, algorithm="RS512", headers={"kid": "rsa-1"}),
        "PS256 of the same key": jwt.encode(claims(), rsa_key, algorithm="PS256", headers={"kid": "rsa-1"}),
        "an RSA token that names the Ed25519 key": jwt.encode(
            claims(), rsa_key, algorithm="RS256", headers={"kid": "ed-1"}
        ),
        "somebody's own key under a known id": jwt.encode(
            claims(), elsewhere, algorithm="RS256", headers={"kid": "rsa-1"}
        ),
        "an embedded key": jwt.encode(claims(), elsewhere, algorithm="RS256", headers={"jwk": own_jwk}),
        "an embedded key beside a good signature": published.token("rsa-1", headers={"jwk": own_jwk}),
        "an address of keys": published.token("rsa-1", headers={"jku": "https://evil.example/jwks.json"}),
        "an address of a certificate": published.token("rsa-1", headers={"x5u": "https://evil.example/c.pem"}),
        "an unknown critical header": published.token("rsa-1", headers={"crit": ["exp2"], "exp2": 1}),
        "an unknown key": published.token("rsa-1", headers={"kid": "rsa-0"}),
        "a key id of a path": published.token("rsa-1", headers={"kid": "../../etc/passwd"}),
        "another issuer": published.token("rsa-1", iss="https://elsewhere.example/"),
        "no issuer": published.token("rsa-1", iss=None),
        "another audience": published.token("rsa-1", aud="other-app"),
        "other audiences": published.token("rsa-1", aud=["a", "b"]),
        "no audience": published.token("rsa-1", aud=None),
        "no subject": published.token("rsa-1", sub=None),
        "no end": published.token("rsa-1", exp=None),
        "an end that is a word": _signed(rsa_key, claims() | {"exp": "never"}),
        "an end without end": _signed(rsa_key, claims() | {"exp": float("inf")}),
        "not yet": published.token("rsa-1", nbf=SECONDS + 60),
        "other claims under the signature": f"{head}.{segment(claims(sub='idp|43'))}.{signature}",
        "nothing": "",
        "not a token": "x.y.z",
    }
    assert await _believes(tokens, good)
    assert [name for name, token in bad.items() if await _believes(tokens, token)] == []


def _signed(key: Any, told: dict[str, Any]) -> str:
    """Also what the library would not sign."""
    parts = f"{segment({'alg': 'RS256', 'typ': 'JWT', 'kid': 'rsa-1'})}.{segment(told)}"
    signature = jwt.algorithms.RSAAlgorithm(jwt.algorithms.RSAAlgorithm.SHA256).sign(parts.encode(), key)
    return f"{parts}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


@pytest.mark.network
async def test_the_end_of_a_token_has_the_leeway_that_is_set(issuer: tuple[Issuer, JwksChecker]) -> None:
    published, tokens = issuer
    token = published.token("rsa-1")
    await tokens.check(token, Audience.API, START + timedelta(seconds=909))
    with pytest.raises(TokenExpiredError):
        await tokens.check(token, Audience.API, START + timedelta(seconds=910))


@pytest.mark.network
async def test_a_rotated_key_is_believed_at_its_first_token_and_a_withdrawn_one_no_more(
    issuer: tuple[Issuer, JwksChecker],
) -> None:
    published, tokens = issuer
    old = published.token("rsa-1")
    assert await _believes(tokens, old) and published.asked == 1
    published.rotate("ed-2", "EdDSA")
    assert await _believes(tokens, published.token("ed-2")) and published.asked == 2
    assert not await _believes(tokens, old)
    published.rotate("rsa-3", "RS256", keep=True)
    assert await _believes(tokens, published.token("rsa-3"))
    assert await _believes(tokens, published.token("ed-2"))


@pytest.mark.network
async def test_a_withdrawn_key_is_good_for_five_minutes_at_most(issuer: tuple[Issuer, JwksChecker]) -> None:
    published, tokens = issuer
    old = published.token("rsa-1")
    assert await _believes(tokens, old)
    published.rotate("rsa-2", "RS256")
    assert await _believes(tokens, old)
    _timer(tokens).seconds += FRESH_S + 1
    assert not await _believes(tokens, old)


@pytest.mark.network
async def test_a_flood_of_invented_key_ids_is_no_flood_at_the_issuer(issuer: tuple[Issuer, JwksChecker]) -> None:
    published, tokens = issuer
    known = published.token("rsa-1")
    flood = [published.token("rsa-1", headers={"kid": f"invented-{number}"}) for number in range(200)]
    await asyncio.gather(*(_believes(tokens, token) for token in flood[:100]))
    for token in flood[100:]:
        assert not await _believes(tokens, token)
        assert await _believes(tokens, known)
    assert published.asked <= 1 + UNKNOWN_A_MINUTE
    published.rotate("rsa-2", "RS256", keep=True)
    _timer(tokens).seconds += 60 / UNKNOWN_A_MINUTE
    assert await _believes(tokens, published.token("rsa-2"))


@pytest.mark.network
async def test_an_issuer_that_is_away_harms_nobody_whose_key_is_known(issuer: tuple[Issuer, JwksChecker]) -> None:
    published, tokens = issuer
    known, timer = published.token("rsa-1"), _timer(tokens)
    assert await _believes(tokens, known)
    for status, body in ((503, b""), (200, b"<html>"), (200, b'{"keys": []}'), (302, b""), (200, b"x" * 300_000)):
        published.status, published.body = status, body
        timer.seconds += FRESH_S + 1
        assert await _believes(tokens, known), (status, body[:10])
    published.rotate("rsa-2", "RS256", keep=True)
    timer.seconds += 60
    with pytest.raises(UnavailableError):  # it may be a good one: come again, not: sign in again
        await tokens.check(published.token("rsa-2"), Audience.API, START)
    published.status, published.body = 200, None
    timer.seconds += 60
    assert await _believes(tokens, published.token("rsa-2"))
    published.status = 503
    timer.seconds += OLDEST_S + 1
    await _believes_in_vain(tokens, known)


async def _believes_in_vain(tokens: JwksChecker, token: str) -> None:
    with pytest.raises(UnavailableError):
        await tokens.check(token, Audience.API, START)


@pytest.mark.network
async def test_an_issuer_that_hangs_is_waited_for_once(issuer: tuple[Issuer, JwksChecker]) -> None:
    published, tokens = issuer
    known, timer = published.token("rsa-1"), _timer(tokens)
    assert await _believes(tokens, known)
    published.answers.clear()
    timer.seconds += FRESH_S + 1
    began = perf_counter()
    assert all(await asyncio.gather(*(_believes(tokens, known) for _ in range(20))))
    assert perf_counter() - began < FETCH_S + 2
    for _ in range(3):
        timer.seconds += 60
        began = perf_counter()
        assert await _believes(tokens, known)
        assert perf_counter() - began < 0.5
    await tokens.close()


@pytest.mark.network
async def test_before_the_issuer_has_told_its_keys_nobody_is_believed_and_it_is_asked_with_pauses(
    issuer: tuple[Issuer, JwksChecker],
) -> None:
    published, tokens = issuer
    published.status = 503
    for _ in range(20):
        await _believes_in_vain(tokens, published.token("rsa-1"))
    assert published.asked == 1
    published.status = 200
    _timer(tokens).seconds += RETRY_S
    assert await _believes(tokens, published.token("rsa-1"))


def test_of_what_an_issuer_publishes_only_keys_that_fit_are_taken() -> None:
    rsa_key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    short = rsa.generate_private_key(public_exponent=65_537, key_size=1_024)
    curve = ec.generate_private_key(ec.SECP256R1())
    ed_key = ed25519.Ed25519PrivateKey.generate()

    def of(key: Any, kind: Any, **more: Any) -> dict[str, Any]:
        return dict(kind.to_jwk(key.public_key(), as_dict=True)) | more

    rs, okp = jwt.algorithms.RSAAlgorithm, jwt.algorithms.OKPAlgorithm
    listed = [
        of(rsa_key, rs, kid="good"),
        of(ed_key, okp, kid="ed", alg="EdDSA", key_ops=["verify"]),
        of(rsa_key, rs, kid="for encryption", use="enc"),
        of(rsa_key, rs, kid="for another algorithm", alg="PS256"),
        of(rsa_key, rs, kid="to sign with", key_ops=["sign"]),
        of(short, rs, kid="short"),
        of(curve, jwt.algorithms.ECAlgorithm, kid="curve"),
        {"kty": "oct", "k": "c2VjcmV0", "kid": "secret", "alg": "HS256"},
        {"kty": "OKP", "crv": "X25519", "x": "AAAA", "kid": "exchange"},
        {"kty": "RSA", "n": 7, "e": "AQAB", "kid": "broken"},
        {"kty": "RSA", "key_ops": 7},
        "nothing",
        None,
    ]
    assert [key.kid for key in keys_of(json.dumps({"keys": listed}).encode())] == ["good", "ed"]
    for document in (b"", b"[]", b"{}", b'{"keys": 1}', b'{"keys": [{}]}'):
        with pytest.raises(ValueError, match=r"."):
            keys_of(document)


@pytest.mark.stack
async def test_in_production_a_subject_becomes_an_id_of_ours_and_stays_it(migrated: Settings, clock: Clock) -> None:
    with publishing() as (issued, url):
        told = {"jwt_jwks_url": url, "jwt_issuer": ISSUER, "jwt_audience": AUDIENCE, "environment": "production"}
        subject = f"idp|{uuid4().hex}"

        async def named(client: httpx.AsyncClient, kid: str, **changes: Any) -> str:
            headers = {"Authorization": f"Bearer {issued.token(kid, **changes)}"}
            answer = await client.get("/v1/me", headers=headers)
            assert answer.status_code == 200, answer.text
            return str(answer.json()["data"]["user"])

        async with reach(create_app(migrated.model_copy(update=told), clock=clock)) as client:
            mine = await named(client, "rsa-1", sub=subject)
            issued.rotate("ed-2", "EdDSA")
            assert await named(client, "ed-2", sub=subject) == mine
            assert await named(client, "ed-2", sub=f"{subject}-2") != mine
            # A subject that looks like one of development is a subject like any other.
            assert await named(client, "ed-2", sub=f"dev:{mine}") != mine
            assert subject not in mine and len(mine) == 32
            service = {"Authorization": f"Bearer {issued.token('ed-2', sub=subject, roles=['service'])}"}
            assert (await client.get("/v1/me", headers=service)).status_code == 403
            some = "0e4b6f4e-0a7b-5c6f-9d0c-5b8a8f1f2d33"
            assert (await client.get(f"/v1/concerts/{some}", headers=service)).status_code == 404
