"""What machines ask: always an answer, and soon."""

import asyncio
import socket
from time import perf_counter

import pytest

from api.app import create_app
from api.tokens import issue_token
from deploy.settings import Settings
from tests.api.support import START, Client, reach


@pytest.mark.network
async def test_health_names_each_store_that_is_away(offline: Settings) -> None:
    away = offline.model_copy(update={"meilisearch_url": "http://127.0.0.1:1", "kafka_url": "127.0.0.1:1"})
    async with reach(create_app(away)) as client:
        health, ready = await client.get("/health"), await client.get("/ready")
    assert health.status_code == 503
    told = health.json()["data"]
    assert told["status"] == "error"
    assert {name: check["status"] for name, check in told["checks"].items()} == {
        "postgres": "error",
        "clickhouse": "error",
        "meilisearch": "error",
        "kafka": "error",
    }
    assert "127.0.0.1" not in health.text
    assert (ready.status_code, ready.json()["error"]["code"]) == (503, "UNAVAILABLE")


@pytest.mark.network
async def test_health_that_is_asked_all_the_time_asks_the_stores_once_a_second(offline: Settings) -> None:
    app = create_app(offline)
    async with reach(app) as client:
        answers = await asyncio.gather(*(client.get("/health") for _ in range(20)))
        looked = app.state.services.checks
        assert (await client.get("/health")).status_code == 503 and app.state.services.checks is looked
        assert len({str(answer.json()["data"]["checks"]) for answer in answers}) == 1


@pytest.mark.network
async def test_health_answers_although_a_store_hangs(offline: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # connections are taken by the kernel, and nobody answers
        port = silent.getsockname()[1]
        hanging = offline.model_copy(
            update={
                "postgres_url": f"postgresql://u:p@127.0.0.1:{port}/db",
                "clickhouse_url": f"http://127.0.0.1:{port}",
                "meilisearch_url": f"http://127.0.0.1:{port}",
                "kafka_url": f"127.0.0.1:{port}",
                "postgres_connect_timeout_s": 10,
            }
        )
        async with reach(create_app(hanging)) as client:
            began = perf_counter()
            answer = await client.get("/health")
    assert perf_counter() - began < 5
    assert {check["status"] for check in answer.json()["data"]["checks"].values()} == {"error"}


@pytest.mark.stack
async def test_health_of_a_whole_stack_is_ok_with_times(client: Client) -> None:
    answer = await client.get("/health")
    told = answer.json()["data"]
    assert (answer.status_code, told["status"]) == (200, "ok"), told
    assert set(told["checks"]) == {"postgres", "clickhouse", "meilisearch", "kafka"}
    assert all(check["latency_ms"] > 0 for check in told["checks"].values())
    assert told["memory_mb"] > 0 and told["timestamp"]
    assert (await client.get("/ready")).json()["data"] == {"status": "ok"}


@pytest.mark.stack
async def test_without_meilisearch_all_but_search_goes_on(migrated: Settings) -> None:
    away = migrated.model_copy(update={"meilisearch_url": "http://127.0.0.1:1"})
    async with reach(create_app(away)) as client:
        health, ready = await client.get("/health"), await client.get("/ready")
    assert (health.status_code, health.json()["data"]["status"]) == (200, "degraded")
    assert health.json()["data"]["checks"]["meilisearch"]["status"] == "error"
    assert ready.status_code == 200


async def test_metrics_count_requests_by_route_and_never_by_address(offline: Settings) -> None:
    app = create_app(offline)
    async with reach(app) as client:
        await client.get("/v1/secret-name")
        await client.get("/v1/suggestions")
        await client.post("/v1/suggestions/secret-id/confirm")
        page = await client.get("/metrics")
    assert page.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert 'http_requests_total{method="GET",path="none",status="404"} 1' in page.text
    assert 'http_requests_total{method="GET",path="/v1/suggestions",status="401"} 1' in page.text
    labels = 'le="5.0",method="GET",path="/v1/suggestions",status="401"'
    assert f"http_request_duration_seconds_bucket{{{labels}}} 1" in page.text
    assert "db_connections_active 0" in page.text
    assert "secret" not in page.text


async def test_metrics_are_not_public(offline: Settings) -> None:
    app = create_app(offline)
    async with reach(app, peer="203.0.113.7") as client:
        assert (await client.get("/metrics")).status_code == 404
    async with reach(app) as client:
        proxied = await client.get("/metrics", headers={"X-Forwarded-For": "203.0.113.7"})
        token = {"Authorization": f"Bearer {issue_token(offline, 'alice', START)}"}
        assert proxied.status_code == 404
        assert (await client.get("/metrics", headers=token | {"Forwarded": "for=x"})).status_code == 404
