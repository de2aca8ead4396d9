"""The OpenAPI document: whole, true of its own examples, and the one that is committed."""

import re
from collections.abc import Iterator
from typing import Any

import httpx
import jsonschema_rs
import orjson
import pytest
from litestar.routes import HTTPRoute
from pydantic import BaseModel, Field
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR

from api.answers import Answer
from api.app import create_app
from api.contract import contract_text
from api.openapi import REF, example_of
from api.tokens import issue_token
from deploy.settings import Settings
from tests.api.support import START, Clock, reach
from tests.support import ROOT

COMMITTED = ROOT / "docs" / "api" / "openapi.json"
STATUS_OF = {
    "VALIDATION_ERROR": "400",
    "UNAUTHORIZED": "401",
    "TOKEN_EXPIRED": "401",
    "FORBIDDEN": "403",
    "CONFLICT": "409",
    "RATE_LIMITED": "429",
    "INTERNAL_ERROR": "500",
    "UNAVAILABLE": "503",
}
Operation = dict[str, Any]


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(COMMITTED.read_bytes())
    return found


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, Operation]]:
    """Path, method and operation of each."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def resolved(document: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    """What a reference stands for."""
    while "$ref" in part:
        where: Any = document
        for name in part["$ref"].removeprefix("#/").split("/"):
            where = where[name]
        part = where
    return part


def contents(document: dict[str, Any], operation: Operation) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Of a body ("body") and of each answer (its status): the media type and what is said of it."""
    for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
        yield "body", media_type, content
    for status, response in operation["responses"].items():
        for media_type, content in resolved(document, response).get("content", {}).items():
            yield status, media_type, content


def validator(document: dict[str, Any], schema: dict[str, Any]) -> jsonschema_rs.Validator:
    whole = {"components": document["components"], "allOf": [schema]}
    return jsonschema_rs.Draft202012Validator(whole, validate_formats=True)


def test_the_committed_document_is_what_the_api_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIGZ_POSTGRES_URL", "postgresql://elsewhere/other")
    monkeypatch.setenv("GIGZ_CORS_ORIGINS", "https://app.example")
    assert contract_text() == COMMITTED.read_text(encoding="utf-8"), "`gigz contract` writes it anew"


def test_every_route_of_the_api_is_in_it_and_no_page_is(offline: Settings, document: dict[str, Any]) -> None:
    routed = {
        (route.path_format, method.lower())
        for route in create_app(offline, rate_limits=False).routes
        if isinstance(route, HTTPRoute)
        for method in route.route_handler_map
        if route.path_format.startswith("/v1/") and method != "OPTIONS"
    }
    written = {(path, method) for path, method, _ in operations(document)}
    assert written == routed | {("/health", "get"), ("/ready", "get")}


def test_it_is_openapi_as_its_own_schema_says(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    assert [str(error) for error in OPENAPI_31_VALIDATOR.iter_errors(document)] == []
    broken = document | {"paths": {"/v1/me": {"get": {"responses": []}}}}
    assert not OPENAPI_31_VALIDATOR.is_valid(broken)


def test_names_of_operations_are_functions_of_a_client(document: dict[str, Any]) -> None:
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(set(names)) == len(names) > 25
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", name) for name in names), names
    known = {tag["name"] for tag in document["tags"]}
    assert all(set(operation["tags"]) <= known for _, _, operation in operations(document))
    assert not [name for name in document["components"]["schemas"] if not re.fullmatch(r"[A-Z][A-Za-z]+", name)]


def test_every_parameter_says_what_it_is_and_has_an_example_that_is_valid(document: dict[str, Any]) -> None:
    for path, _, operation in operations(document):
        for parameter in operation.get("parameters", ()):
            where = f"{path} {parameter['name']}"
            assert parameter.get("description"), where
            assert validator(document, parameter["schema"]).is_valid(parameter["example"]), where


def test_every_body_and_every_answer_has_examples_that_are_valid(document: dict[str, Any]) -> None:
    for path, method, operation in operations(document):
        assert operation.get("summary") and operation.get("description"), path
        for what, _, content in contents(document, operation):
            if content["schema"].get("contentMediaType") == "application/zip":
                continue  # no JSON can show it
            examples = [example["value"] for example in content.get("examples", {}).values()]
            assert examples, f"{method} {path} {what}"
            check = validator(document, content["schema"])
            for example in examples:
                assert check.is_valid(example), (path, what, [str(error) for error in check.iter_errors(example)])


def test_every_error_that_can_be_told_is_an_example_of_its_status(document: dict[str, Any]) -> None:
    for path, _, operation in operations(document):
        responses = operation["responses"]
        asks = operation.get("parameters") or operation.get("requestBody")
        signed_in = operation.get("security") != []
        due = {"500", "503"} | ({"400"} if asks else set()) | ({"401", "429"} if signed_in else set())
        assert due <= set(responses), (path, due - set(responses))
        for status, response in responses.items():
            told = resolved(document, response)
            assert "X-Request-Id" in told["headers"], path
            assert ("Retry-After" in told["headers"]) == (status == "429"), path
            for content in told.get("content", {}).values():
                errors = [
                    one["value"]["error"] for one in content.get("examples", {}).values() if "error" in one["value"]
                ]
                assert errors or status < "400" or path == "/health", (path, status)
                for error in errors:
                    expected = "404" if error["code"].endswith("_NOT_FOUND") else STATUS_OF.get(error["code"])
                    assert expected == status, (path, error["code"])


def test_schemas_of_answers_promise_every_field_that_is_sent(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    assert set(schemas["EntryView"]["required"]) == set(schemas["EntryView"]["properties"])
    assert schemas["Snooze"]["additionalProperties"] is False and "required" not in schemas["Snooze"]


def test_what_has_no_example_is_named_with_the_remedy() -> None:
    class Bare(BaseModel):
        name: str

    class Told(BaseModel):
        name: str = Field(examples=["Radiohead"])

    with pytest.raises(ValueError, match=r"Bare\.name has no example. Remedy: "):
        example_of(Answer[Bare])
    assert example_of(Answer[list[Told]]) == {"data": [{"name": "Radiohead"}], "meta": {}}


@pytest.mark.parametrize(
    ("schema", "body", "right"),
    [
        ("Snooze", {"days": "7"}, False),
        ("Snooze", {"days": True}, False),
        ("Snooze", {"days": 7.5}, False),
        ("Snooze", {"days": 367}, False),
        ("Snooze", {"days": 7.0}, True),
        ("Snooze", {"days": 7, "until": "2026-03-02T00:00:00Z"}, False),
        ("Snooze", {"days": 7, "until": None}, True),
        ("OtherNight", {}, False),
        ("OtherNight", {"night": "1994-02-30"}, False),
        ("OtherNight", {"night": "1994-02-20", "step": "after"}, False),
        ("OtherNight", {"night": None, "step": "after"}, True),
        ("Bulk", {}, False),
        ("Bulk", {"dry_run": True}, False),
        ("Bulk", {"dry_run": True, "action": "confirm", "until": "2026-03-02T00:00:00Z"}, False),
        ("Bulk", {"dry_run": True, "action": "snooze", "until": "2026-03-02T00:00:00Z"}, True),
        ("Bulk", {"dry_run": 1, "action": "snooze"}, False),
        ("OwnShow", {"artist": "Low"}, False),
        ("OwnShow", {"artist": "Low", "night": 12_000}, False),
        ("OwnShow", {"artist": "Lo\x00w", "night": "1999-05-06"}, False),
        ("OwnShow", {"artist": "Low", "night": "1999-05-06", "lat": 1.5}, False),
        ("OwnShow", {"artist": "Low", "night": "1999-05-06", "lat": "1.5", "lon": "2"}, False),
        ("OwnShow", {"artist": "Low", "night": "1999-05-06", "lat": 0, "lon": 0}, True),
        ("OwnShow", {"concert_id": "0e4b6f4e-0a7b-5c6f-9d0c-5b8a8f1f2d33", "lat": 0, "lon": 0}, False),
        ("History", {"entries": [{"country": "GB"}]}, False),
        ("History", {"entries": [{"artist": ""}]}, False),
        ("History", {"entries": [{"lat": True}]}, False),
        ("History", {"entries": [{"lat": 3}]}, True),
    ],
)
def test_what_the_schema_of_a_body_allows_is_what_the_model_takes(
    document: dict[str, Any], schema: str, body: dict[str, Any], right: bool
) -> None:
    from api import bulk, history, journal, suggestions

    (model,) = [getattr(one, schema) for one in (suggestions, bulk, journal, history) if hasattr(one, schema)]
    assert validator(document, {"$ref": REF + schema}).is_valid(body) is right
    try:
        asked = model.model_validate(body)
        if schema == "Bulk":
            bulk._check(asked)
        if schema == "Snooze":
            suggestions._until(asked, START)
        if schema == "OtherNight":
            suggestions._target(asked)
    except Exception as error:
        assert not right, error
    else:
        assert right


def test_the_pages_about_the_api_name_routes_and_codes_that_exist(document: dict[str, Any]) -> None:
    text = (ROOT / "docs/api/README.md").read_text(encoding="utf-8")
    for method, path in re.findall(r"`(GET|POST|PATCH|DELETE) (/v1/[\w/{}-]+)`", text):
        assert method.lower() in document["paths"][path], path
    told = set(re.findall(r"^\| \d{3} \| (.*?) \|", text, flags=re.M))
    codes = {code for cell in told for code in re.findall(r"`([A-Z_]+)`", cell)}
    assert codes == {*STATUS_OF, "METHOD_NOT_ALLOWED"}


@pytest.mark.network
async def test_every_documented_request_can_be_sent(offline: Settings, clock: Clock, document: dict[str, Any]) -> None:
    """All of it is understood: what is missing is the store behind."""
    async with reach(create_app(offline, clock=clock, rate_limits=False)) as client:
        await send_all(client, offline, document)


async def send_all(client: httpx.AsyncClient, offline: Settings, document: dict[str, Any]) -> None:
    user = document["components"]["schemas"]["Farewell"]["examples"][0]["confirm"]
    token = {"Authorization": f"Bearer {issue_token(offline, user, START)}"}
    for path, method, operation in operations(document):
        said = {place: {} for place in ("path", "query", "header")}
        for parameter in operation.get("parameters", ()):
            said[parameter["in"]][parameter["name"]] = parameter["example"]
        bodies = [(kind, example["value"]) for what, kind, content in contents(document, operation)
                  if what == "body" for example in content["examples"].values()]  # fmt: skip
        for kind, body in bodies or [("", None)]:
            content = _content(kind, body)
            headers = token | {name: str(value) for name, value in said["header"].items()}
            headers |= {"Content-Type": kind} if "content" in content else {}
            answer = await client.request(
                method, path.format(**said["path"]), params=said["query"], headers=headers, **content
            )
            assert str(answer.status_code) in operation["responses"], (path, answer.text)
            understood = (401, 503) if path.startswith("/v1/auth/") else (503, 200) if path == "/v1/me" else (503,)
            assert answer.status_code in understood, (path, answer.text)


def _content(kind: str, body: Any) -> dict[str, Any]:
    """A body as httpx takes it."""
    if body is None:
        return {}
    if kind == "multipart/form-data":
        return {"files": {"file": (body["name"], body["file"])}}
    return {"json": body} if kind == "application/json" else {"content": body}
