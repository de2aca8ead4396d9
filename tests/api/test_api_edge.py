"""Around every request: headers, origins, bodies, and who may scrape."""

from typing import Any

import httpx
import pytest
from litestar import post
from litestar.params import RawBody

from api.app import create_app
from api.tokens import OPERATOR, issue_token
from deploy.settings import Settings, SettingsError
from tests.api.issuing import AUDIENCE, ISSUER, publishing
from tests.api.support import START, Clock, reach
from tests.api.walking import steps

ORIGIN = "https://app.example"


@pytest.mark.parametrize("origins", ["*", "https://a.example/", "null", "a.example", "https://"])
def test_an_origin_that_is_none_is_refused_with_the_settings_name(offline: Settings, origins: str) -> None:
    with pytest.raises(SettingsError, match="GIGZ_CORS_ORIGINS"):
        create_app(offline.model_copy(update={"cors_origins": f"{ORIGIN},{origins}"}))


async def test_every_method_of_every_route_may_be_called_from_a_listed_origin_and_no_other(
    offline: Settings, clock: Clock
) -> None:
    app = create_app(offline.model_copy(update={"cors_origins": ORIGIN}), clock=clock, rate_limits=False)
    async with reach(app) as client:
        for step in steps(app):
            if step.credential != "bearer":
                continue
            asks = {
                "Access-Control-Request-Method": step.method,
                "Access-Control-Request-Headers": "authorization,content-type,idempotency-key,x-device",
            }
            allowed = await client.options(step.path(), headers={"Origin": ORIGIN, **asks})
            assert allowed.status_code == 204, step.name
            assert step.method in allowed.headers["access-control-allow-methods"], step.name
            assert allowed.headers["access-control-allow-origin"] == ORIGIN
            assert allowed.headers["access-control-max-age"] == "86400"
            foreign = await client.options(step.path(), headers={"Origin": "https://evil.example", **asks})
            assert "access-control-allow-origin" not in foreign.headers
        refused = await client.get("/v1/journal", headers={"Origin": ORIGIN})
        assert refused.status_code == 401 and refused.headers["access-control-allow-origin"] == ORIGIN
        exposed = {name.strip() for name in refused.headers["access-control-expose-headers"].split(",")}
        assert {"retry-after", "x-request-id", "ratelimit-remaining"} <= exposed
        evil = await client.get("/v1/journal", headers={"Origin": "https://evil.example"})
        assert "access-control-allow-origin" not in evil.headers


async def test_answers_of_every_kind_carry_the_security_headers(offline: Settings, clock: Clock) -> None:
    mine = "0af7651916cd43dd8448eb211c80319c"
    wanted = {
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
        "referrer-policy": "strict-origin-when-cross-origin",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "cache-control": "no-store",
        "x-request-id": mine,
    }
    async with reach(create_app(offline, clock=clock)) as client:
        calls = [("GET", "/v1/nothing"), ("DELETE", "/v1/suggestions"), ("GET", "/v1/journal"), ("GET", "/health")]
        for method, path in [*calls, ("GET", "/schema"), ("OPTIONS", "/v1/journal"), ("GET", "/inbox")]:
            answer = await client.request(method, path, headers={"X-Request-Id": mine})
            assert {name: answer.headers.get(name) for name in wanted} == wanted, path
            assert "default-src 'none'" in answer.headers["content-security-policy"]
            assert "server" not in answer.headers and "strict-transport-security" not in answer.headers


@pytest.mark.network
async def test_in_production_browsers_are_told_to_stay_with_https(offline: Settings, clock: Clock) -> None:
    with publishing() as (_, url):
        told = {"jwt_jwks_url": url, "jwt_issuer": ISSUER, "jwt_audience": AUDIENCE, "environment": "production"}
        async with reach(create_app(offline.model_copy(update=told), clock=clock)) as client:
            answer = await client.get("/v1/nothing")
    assert answer.headers["strict-transport-security"] == "max-age=63072000; includeSubDomains"


async def test_a_body_that_is_too_large_is_refused_with_the_limit_of_its_route(offline: Settings, clock: Clock) -> None:
    @post("/v1/large", request_max_body_size=50 * 1_048_576)
    async def large(body: RawBody) -> dict[str, int]:
        return {"size": len(body)}

    app = create_app(offline, clock=clock)
    app.register(large)

    async def drip() -> Any:
        for _ in range(60):
            yield b"x" * 1_048_576

    headers = {"Authorization": f"Bearer {issue_token(offline, 'alice', START)}"}
    async with reach(app) as client:

        async def refused(path: str, content: Any) -> list[dict[str, str]]:
            answer = await client.post(path, content=content, headers=headers)
            assert (answer.status_code, answer.json()["error"]["code"]) == (400, "VALIDATION_ERROR")
            found: list[dict[str, str]] = answer.json()["error"]["details"]
            return found

        assert await refused("/v1/history", b" " * 3_000_000) == [{"field": "body", "message": "at most 2 MB"}]
        assert await refused("/v1/history", drip()) == [{"field": "body", "message": "at most 2 MB"}]
        assert await refused("/v1/large", drip()) == [{"field": "body", "message": "at most 50 MB"}]


async def test_metrics_are_for_listed_networks_and_operators(offline: Settings, clock: Clock) -> None:
    def bearer(*roles: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {issue_token(offline, 'alice', START, roles)}"}

    async def status(client: httpx.AsyncClient, headers: dict[str, str] | None = None) -> int:
        return (await client.get("/metrics", headers=headers)).status_code

    app = create_app(offline, clock=clock)
    async with reach(app, peer="203.0.113.7") as client:
        assert await status(client) == 404
        assert await status(client, bearer()) == await status(client, bearer("service")) == 404
        assert await status(client, {"Authorization": "Bearer x"}) == 404
        assert await status(client, bearer(OPERATOR)) == 200
    async with reach(app, peer="127.0.0.1") as client:
        assert await status(client) == 200
        assert await status(client, {"X-Forwarded-For": "127.0.0.1"}) == 404
        assert await status(client, {"X-Forwarded-For": "203.0.113.7"} | bearer(OPERATOR)) == 200
    listed = offline.model_copy(update={"metrics_networks": "10.1.0.0/16", "trusted_proxies": "10.2.0.0/16"})
    for peer, headers, expected in (
        ("10.1.2.3", {}, 200),
        ("127.0.0.1", {}, 404),
        ("10.2.0.1", {"X-Forwarded-For": "10.1.2.3"}, 404),  # the proxy is public: what it forwards is, too
    ):
        async with reach(create_app(listed, clock=clock), peer=peer) as client:
            assert await status(client, headers) == expected, peer
