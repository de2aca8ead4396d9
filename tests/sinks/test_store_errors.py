"""What a store's answer means: come again, give up, or the rows are bad."""

import json
from typing import Any

import psycopg
import pytest
import requests
from clickhouse_connect.driver.exceptions import DatabaseError, DataError, OperationalError, ProgrammingError
from meilisearch.errors import MeilisearchApiError, MeilisearchCommunicationError, MeilisearchTimeoutError
from sqlalchemy.exc import DBAPIError

from sinks import clickhouse, meilisearch, postgres
from sinks.errors import BadRows, StoreAway, StoreRefuses


@pytest.mark.parametrize(
    ("error", "meaning", "says"),
    [
        (OperationalError("Network Error: refused"), StoreAway, "refused"),
        (DatabaseError("HTTP 502 of a proxy"), StoreAway, "502"),
        (ConnectionResetError("reset"), StoreAway, "reset"),
        (DatabaseError("memory", code=241), StoreAway, "MEMORY_LIMIT_EXCEEDED"),
        (DatabaseError("disk", code=243), StoreAway, "NOT_ENOUGH_SPACE"),
        (DatabaseError("no such table", code=60), StoreRefuses, "gigz migrate"),
        (DatabaseError("password", code=516), StoreRefuses, "GIGZ_CLICKHOUSE_URL"),
    ],
)
def test_clickhouse(error: Exception, meaning: type[Exception], says: str) -> None:
    meant = clickhouse.store_error(error)
    assert type(meant) is meaning
    assert says in str(meant)


@pytest.mark.parametrize("ours", [ProgrammingError("column count"), DataError("not a number")])
def test_a_mistake_in_our_use_of_the_clickhouse_client_is_raised_as_it_is(ours: Exception) -> None:
    with pytest.raises(type(ours)):
        clickhouse.store_error(ours)


def of_postgres(sqlstate: str | None) -> DBAPIError:
    original = psycopg.errors.lookup(sqlstate)("told so") if sqlstate else psycopg.OperationalError("told so")
    return DBAPIError("insert", {}, original)


@pytest.mark.parametrize(
    ("error", "meaning", "says"),
    [
        (of_postgres(None), StoreAway, "told so"),
        (ConnectionRefusedError("nobody"), StoreAway, "nobody"),
        (of_postgres("57P03"), StoreAway, "57P03"),
        (of_postgres("53100"), StoreAway, "53100"),
        (of_postgres("40P01"), StoreAway, "40P01"),
        (of_postgres("25006"), StoreAway, "25006"),
        (of_postgres("22P05"), BadRows, "22P05"),
        (of_postgres("54000"), BadRows, "54000"),
        (of_postgres("42P01"), StoreRefuses, "gigz migrate"),
        (of_postgres("28P01"), StoreRefuses, "GIGZ_POSTGRES_URL"),
    ],
)
def test_postgres(error: Any, meaning: type[Exception], says: str) -> None:
    meant = postgres.store_error(error)
    assert type(meant) is meaning
    assert says in str(meant)


def of_meilisearch(status: int, **body: str) -> MeilisearchApiError:
    response = requests.Response()
    response.status_code = status
    response._content = json.dumps(body).encode() if body else b"<html>"
    return MeilisearchApiError("", response)


@pytest.mark.parametrize(
    ("error", "meaning", "says"),
    [
        (MeilisearchCommunicationError("refused"), StoreAway, "refused"),
        (MeilisearchTimeoutError("no answer"), StoreAway, "no answer"),
        (of_meilisearch(502), StoreAway, "502"),
        (of_meilisearch(429, code="too_many_search_requests", type="system"), StoreAway, "429"),
        (of_meilisearch(413, code="payload_too_large", type="invalid_request"), BadRows, "payload_too_large"),
        (of_meilisearch(403, code="invalid_api_key", type="auth"), StoreRefuses, "GIGZ_MEILISEARCH_KEY"),
        (of_meilisearch(404, code="index_not_found", type="invalid_request"), StoreRefuses, "lays indexes"),
    ],
)
def test_a_call_of_meilisearch(error: Any, meaning: type[Exception], says: str) -> None:
    meant = meilisearch.store_error(error)
    assert type(meant) is meaning
    assert says in str(meant)


@pytest.mark.parametrize(
    ("code", "kind", "meaning"),
    [
        ("invalid_document_id", "invalid_request", BadRows),
        ("no_space_left_on_device", "system", StoreAway),
        ("internal", "internal", StoreAway),
        ("index_not_found", "invalid_request", StoreRefuses),
    ],
)
def test_a_task_of_meilisearch(code: str, kind: str, meaning: type[Exception]) -> None:
    assert type(meilisearch.task_error({"code": code, "type": kind, "message": "m"})) is meaning
