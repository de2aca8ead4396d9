"""The OpenAPI document: what docs/api/openapi.json has, GET /schema answers and clients are generated from.

Litestar knows the routes, pydantic the shapes: schemas of bodies and answers are pydantic's own, as strict as what it
accepts and as whole as what it sends. Everything has an example: bodies and answers those of their models, parameters
those of PARAMETERS, errors those of `api.errors.told`. The examples tell one story with the same ids throughout.

Errors
    ValueError    a part of an answer has no example, or one that is not valid
"""

import re
import types
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Union, get_args, get_origin

import orjson
from litestar import Litestar, Response
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, License, SecurityScheme, Tag
from litestar.routes import HTTPRoute
from litestar.serialization import decode_json, encode_json, get_serializer
from pydantic import BaseModel, TypeAdapter
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode

from api.answers import cursor_of
from api.asked import NO_NUL
from api.errors import AnyRequest, Detail, ErrorAnswer, Problem, body_of, told

REF = "#/components/schemas/"
A_SUGGESTION = "8b7cf6a0-3f3e-5d6c-8a92-2a1f0e3b7c11"
A_CONCERT = "0e4b6f4e-0a7b-5c6f-9d0c-5b8a8f1f2d33"
PARAMETERS: dict[str, dict[str, Any]] = {
    "Idempotency-Key": {"example": "1f8b6c5e-confirm-e1"},
    "Last-Event-ID": {"example": "1287"},
    "X-Device": {"example": "phone-1"},
    "artist": {"example": "Radiohead"},
    "artist_id": {"example": "radiohead"},
    "band": {"example": "sure", "description": "How sure the best suggestion is."},
    "city": {"example": "Reading"},
    "as": {"example": "csv"},
    "concert_id": {"example": A_CONCERT, "description": "Of a concert; one it had before is followed."},
    "country": {"example": "GB"},
    "cursor": {"example": cursor_of([20])},
    "list_suggestions.cursor": {"example": cursor_of([0.97, "e1"])},
    "list_blocks.cursor": {"example": cursor_of(["2026-03-01T12:00:00+00:00", "u-2"])},
    "list_friends.cursor": {"example": cursor_of(["2026-03-01T12:00:00+00:00", "u-2"])},
    "list_friends_shows.cursor": {"example": cursor_of(["1994-08-27", "u-2", A_SUGGESTION])},
    "list_friends_there.cursor": {"example": cursor_of(["u-2"])},
    "list_imports.cursor": {
        "example": cursor_of(["2026-03-01T12:00:00+00:00", "c1b7f0de-8f5b-4d0e-9a53-3f0c6f0a1b2c"])
    },
    "list_requests.cursor": {"example": cursor_of(["2026-03-01T12:00:00+00:00", "u-2"])},
    "read_journal.cursor": {"example": cursor_of(["1994-08-27", A_SUGGESTION])},
    "device": {"example": "phone-1"},
    "direction": {"example": "in"},
    "export.format": {"example": "json"},
    "format": {"example": "csv"},
    "friend": {"example": "u-2"},
    "import_id": {
        "example": "c1b7f0de-8f5b-4d0e-9a53-3f0c6f0a1b2c",
        "description": "Of POST /v1/imports.",
        "schema": {"type": "string", "format": "uuid"},
    },
    "name": {"example": "shows.csv"},
    "origin": {"example": "entry", "description": "What is answered: a line of the history, or a question of ours."},
    "other": {"example": "u-2"},
    "q": {"example": "radiohead reading"},
    "receipt_id": {"example": "a9c1d5ce-2f9a-4f0e-8f1d-6f3f6e1b7a55", "description": "Of the answer to DELETE /v1/me."},
    "state": {"example": "open", "description": "Where the entries stand; `decided`: confirmed or dismissed."},
    "suggestion_id": {
        "example": A_SUGGESTION,
        "description": "Of GET /v1/suggestions.",
        "schema": {"type": "string", "format": "uuid"},
    },
    "take": {"example": 20},
    "token": {"example": "6a3e0c0e-54fb-4a0c-9f6a-2f7c4be21d11", "description": "Of the dry run."},
    "venue": {"example": "Little John's Farm"},
    "venue_id": {"example": "7d1c6c57-2c80-5f0f-8a53-0b6c3f1d9e21", "description": "Of GET /v1/search/venues."},
    "what": {"example": "decided"},
    "year": {"example": 1994},
}
"""Name, or operation and name, -> example, and what the declaration cannot say."""
_COUNT = {"schema": {"type": "integer", "minimum": 0}}
HEADERS: dict[str, dict[str, Any]] = {
    "RateLimit-Limit": _COUNT | {"description": "Requests a minute, of the tightest limit.", "example": 300},
    "RateLimit-Remaining": _COUNT | {"description": "How many of them are left.", "example": 299},
    "RateLimit-Reset": _COUNT | {"description": "Seconds until the oldest counts no more.", "example": 60},
    "Retry-After": {
        "description": "Seconds to wait.",
        "schema": {"type": "integer", "minimum": 1},
        "example": 40,
    },
    "WWW-Authenticate": {
        "description": "`Bearer`, where no token was sent.",
        "schema": {"type": "string"},
        "example": "Bearer",
    },
    "X-Request-Id": {
        "description": "Names this answer; the log has the same.",
        "schema": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
        "example": "0af7651916cd43dd8448eb211c80319c",
    },
}
"""Of answers."""

KEY_USED = {
    "summary": "This Idempotency-Key stands for another request.",
    "value": ErrorAnswer(
        error=Problem(
            code="CONFLICT",
            message="This Idempotency-Key stands for another request.",
            details=[
                Detail(field="Idempotency-Key", message="take a new key for each request; repeat it only to try again")
            ],
        )
    ).model_dump(mode="json"),
}
"""What every write that takes a key can answer."""

DESCRIPTION = """Shows find you: entries of a history in, suggestions out, decisions kept.

A success is `{"data": …, "meta": {…}}`, an error `{"error": {"code", "message", "details": [{"field", "message"}]}}`.
Lists go on at `meta.next_cursor`. Every write takes `Idempotency-Key`. docs/api/README.md says more."""
TAGS = (
    Tag("suggestions", "What was found, and what the user says of it."),
    Tag("journal", "The shows that the user was at."),
    Tag("history", "Lines of a history, by hand."),
    Tag("imports", "A history in whatever it was kept in: upload, look, correct, apply, undo."),
    Tag("friends", "Whoever follows each other sees what both show."),
    Tag("account", "Who somebody is, what was done, all of it to take along, and the end of it."),
    Tag("catalogue", "Concerts, whoever was there."),
    Tag("search", "By words, typing mistakes forgiven."),
    Tag("health", "For machines that watch."),
)


def config(version: str) -> OpenAPIConfig:
    """How the application documents itself."""
    return OpenAPIConfig(
        title="Gigz",
        version=version,
        description=DESCRIPTION,
        license=License("Apache-2.0", identifier="Apache-2.0"),
        tags=list(TAGS),
        render_plugins=[Document()],
        security=[{"bearer": []}],
        components=Components(
            security_schemes={"bearer": SecurityScheme(type="http", scheme="bearer", bearer_format="JWT")}
        ),
        use_handler_docstrings=True,
        # The name of a client's function.
        operation_id_creator=lambda handler, _method, _path: str(handler.handler_name),
    )


class Document(JsonRenderPlugin):
    """JSON at /schema; other renderers load scripts from elsewhere."""

    _rendered: bytes | None = None

    def render(self, request: AnyRequest, openapi_schema: dict[str, Any]) -> bytes:
        """The document as it is sent; written once."""
        if self._rendered is None:
            self._rendered = orjson.dumps(document(request.app))
        return self._rendered


def text(app: Litestar) -> str:
    """The document as it is committed."""
    return orjson.dumps(document(app), option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS).decode() + "\n"


def document(app: Litestar) -> dict[str, Any]:
    """OpenAPI 3.1 of this application, as values of JSON."""
    written: dict[str, Any] = decode_json(
        encode_json(app.openapi_schema.to_schema(), get_serializer(app.type_encoders))
    )
    routes = list(_routes(app, written["paths"]))
    wanted: dict[tuple[Any, JsonSchemaMode], None] = {(ErrorAnswer, "serialization"): None}
    for route in routes:
        wanted |= dict.fromkeys((shape, "serialization") for shape in route.answers.values())
        if route.asked is not None:
            wanted[route.asked, "validation"] = None
    references, definitions = _generated(wanted)
    for route in routes:
        route.complete(references)
    components = written["components"]
    components["headers"] = HEADERS
    components["responses"] = _shared(routes)
    schemas = components["schemas"] | definitions
    components["schemas"] = {name: schemas[name] for name in sorted(_used(written, schemas))}
    return written


@dataclass(frozen=True)
class _Route:
    """A handler and its operation in the document.

    opt texts        media type -> an example, of an answer that is text in one of several ways
    opt also_sent    media types of an answer beside JSON, which no JSON can show
    """

    handler: HTTPRouteHandler
    operation: dict[str, Any]
    asked: Any
    """The model of its body; None: it has none, or one that is no model."""
    answers: Mapping[int, Any]
    """Status -> model, where it is one."""

    def complete(self, references: Mapping[tuple[Any, JsonSchemaMode], dict[str, Any]]) -> None:
        """Schemas, examples and headers."""
        self.operation.pop("deprecated", None)
        for parameter in self.operation.get("parameters", ()):
            _complete_parameter(parameter, self.operation["operationId"])
        if self.asked is not None:
            self.operation["requestBody"]["required"] = self.handler.parsed_fn_signature.parameters["data"].is_required
            for content in self.operation["requestBody"]["content"].values():
                content["schema"] = references[self.asked, "validation"]
                content["examples"] = {
                    f"example_{place}": {"value": one} for place, one in enumerate(_given(self.asked), 1)
                }
        responses = self.operation["responses"]
        if "400" in responses and 400 not in (self.handler.responses or {}):
            responses["400"] = _refusal(400)
        if any(one["name"] == "Idempotency-Key" for one in self.operation.get("parameters", ())):
            conflict = responses.setdefault("409", _refusal(409) | {"description": KEY_USED["summary"]})
            conflict["content"]["application/json"].setdefault("examples", {})["key_used"] = KEY_USED
            if 409 not in (self.handler.responses or {}):
                conflict["content"]["application/json"]["examples"] = {"key_used": KEY_USED}
        if "404" in responses and not responses["404"]["content"]["application/json"].get("examples"):
            # The last id of the address is what there is none of.
            things = [one["name"] for one in self.operation.get("parameters", ()) if one["in"] == "path"]
            responses["404"] = _refusal(404, *(thing.removesuffix("_id") for thing in things[-1:]))
        for status, response in responses.items():
            self._complete_answer(int(status), response, references)
        if not self.handler.opt.get("credential"):
            self.operation["security"] = []

    def _complete_answer(
        self,
        status: int,
        response: dict[str, Any],
        references: Mapping[tuple[Any, JsonSchemaMode], dict[str, Any]],
    ) -> None:
        more = {401: ["WWW-Authenticate"], 429: ["Retry-After"]}.get(status, [])
        if not self.handler.opt.get("unlimited"):
            more = [*more, "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"]
        response["headers"] = response.get("headers", {}) | {
            name: {"$ref": f"#/components/headers/{name}"} for name in ("X-Request-Id", *more)
        }
        for content in response.get("content", {}).values():
            for example in content.get("examples", {}).values():
                example.pop("id", None)
        texts: Mapping[str, str] = self.handler.opt.get("texts", {})
        if texts and status == self.handler.status_code:
            response["content"] = {
                media_type: {"schema": {"type": "string"}, "examples": {"answer": {"value": text}}}
                for media_type, text in texts.items()
            }
        shape = self.answers.get(status)
        if shape is None:
            return
        if status < 400 and status not in (self.handler.responses or {}):
            response["description"] = _said(shape)
        for media_type, content in response["content"].items():
            if media_type == "text/event-stream":
                content["schema"] = _event_schema(shape, references[shape, "serialization"])
                content["examples"] = {"event": {"value": _as_event(shape)}}
            else:
                content["schema"] = references[shape, "serialization"]
                if not content.get("examples") and shape is not ErrorAnswer:
                    content["examples"] = {"answer": {"value": self._answer(shape)}}
        for media_type in self.handler.opt.get("also_sent", ()) if status == self.handler.status_code else ():
            schema = {"type": "string", "contentMediaType": media_type}
            response["content"][media_type] = {"schema": schema}

    def _answer(self, shape: Any) -> Any:
        example = example_of(shape)
        for parameter in self.operation.get("parameters", ()):
            if parameter["name"] == "cursor":  # each list has places of its own
                example["meta"]["next_cursor"] = parameter["example"]
        return example


def _routes(app: Litestar, paths: dict[str, Any]) -> Iterator[_Route]:
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            for method, (handler, _) in route.route_handler_map.items():
                operation = paths.get(route.path_format or "/", {}).get(method.lower())
                if operation is not None:
                    yield _Route(handler, operation, body_of(handler), _answers(handler))


def _shared(routes: Iterable[_Route]) -> dict[str, Any]:
    """Answers that several routes give in the same words, by their codes; the routes refer to them."""
    found: dict[bytes, list[tuple[dict[str, Any], str]]] = {}
    for route in routes:
        responses = route.operation["responses"]
        for status, response in responses.items():
            if int(status) >= 400:
                found.setdefault(orjson.dumps(response, option=orjson.OPT_SORT_KEYS), []).append((responses, status))
    shared: dict[str, Any] = {}
    for answer, uses in found.items():
        response = orjson.loads(answer)
        codes = sorted(next(iter(response["content"].values())).get("examples", {}))
        name = "_or_".join(codes)
        if len(uses) > 1 and codes and name not in shared:
            shared[name] = response
            for responses, status in uses:
                responses[status] = {"$ref": f"#/components/responses/{name}"}
    return shared


def _answers(handler: HTTPRouteHandler) -> dict[int, Any]:
    sent = handler.parsed_fn_signature.return_type.annotation
    origin = get_origin(sent)
    if isinstance(origin, type) and issubclass(origin, Response):
        (sent,) = get_args(sent)
    told_of = {status: spec.data_container for status, spec in (handler.responses or {}).items()}
    return {status: shape for status, shape in ({handler.status_code: sent} | told_of).items() if _is_model(shape)}


def _said(shape: Any) -> str:
    """What a model is, in a line; of an envelope, what is in it."""
    inner = shape.model_fields.get("data")
    within = inner.annotation if inner is not None else None
    parts = [one for one in (within, *get_args(within)) if _is_model(one)]
    return str((parts[0] if parts else shape).__doc__).strip().splitlines()[0]


def _is_model(shape: Any) -> bool:
    return isinstance(shape, type) and issubclass(shape, BaseModel)


def _refusal(status: int, *missing: str) -> dict[str, Any]:
    spec = told(status, missing=missing)[status]
    examples = {str(one.id): {"summary": one.summary, "value": one.value} for one in spec.examples or ()}
    schema = {"$ref": f"{REF}{ErrorAnswer.__name__}"}
    return {
        "description": spec.description,
        "content": {"application/json": {"schema": schema, "examples": examples}},
    }


# -- schemas ----------------------------------------------------------------------------------------------------------


class _Schemas(GenerateJsonSchema):
    """Of what is sent, every field is there; names of fields are not said twice."""

    def field_is_required(self, field: Any, total: bool) -> bool:
        return self.mode == "serialization" or super().field_is_required(field, total)

    def default_schema(self, schema: Any) -> dict[str, Any]:
        if self.mode == "serialization":
            return self.generate_inner(schema["schema"])
        return super().default_schema(schema)

    def str_schema(self, schema: Any) -> dict[str, Any]:
        written = super().str_schema(schema)
        if self.mode == "validation":
            written.setdefault("pattern", NO_NUL)
        return written

    def model_schema(self, schema: Any) -> dict[str, Any]:
        written = super().model_schema(schema)
        if self.mode == "serialization" and "examples" in written:
            written["examples"] = [example_of(schema["cls"])]
        return written

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def normalize_name(self, name: str) -> str:
        """Answer[list[NightView]] -> NightViewsAnswer: what a generated client calls it."""
        words: list[str] = re.findall(r"[\w.\-]+", name)
        outer, *inner = words
        if not inner:
            return super().normalize_name(name)
        return "".join(inner[1:] if inner[0] == "list" else inner) + ("s" if inner[0] == "list" else "") + outer


def _generated(
    wanted: Iterable[tuple[Any, JsonSchemaMode]],
) -> tuple[dict[tuple[Any, JsonSchemaMode], dict[str, Any]], dict[str, Any]]:
    """A reference to the schema of each, and the schemas by name."""
    given = [(shape, mode, TypeAdapter(shape).core_schema) for shape, mode in wanted]
    found, definitions = _Schemas(by_alias=True, ref_template=f"{REF}{{model}}").generate_definitions(given)
    for definition in definitions.values():
        definition.pop("title", None)
    named = {str(name): definition for name, definition in definitions.items()}
    return {(shape, mode): found[shape, mode] for shape, mode, _ in given}, named


def _used(part: Any, schemas: Mapping[str, Any], known: set[str] | None = None) -> set[str]:
    """Names of the schemas that a part of the document refers to, and those refer to."""
    known = set() if known is None else known
    if isinstance(part, dict):
        name = str(part.get("$ref", "")).removeprefix(REF).partition("/")[0]
        if name in schemas and name not in known:
            known.add(name)
            _used(schemas[name], schemas, known)
        for one in part.values():
            _used(one, schemas, known)
    elif isinstance(part, list):
        for one in part:
            _used(one, schemas, known)
    return known


def _complete_parameter(parameter: dict[str, Any], operation: str) -> None:
    schema = parameter["schema"]
    # Absent is absent: no address can say null.
    one_of = [one for one in schema.pop("oneOf", ()) if one != {"type": "null"}]
    if len(one_of) == 1:
        schema |= one_of[0]
    elif one_of:
        schema["oneOf"] = one_of
    schema.pop("description", None)
    for name in ("minimum", "maximum"):
        if isinstance(schema.get(name), float) and schema[name].is_integer():
            schema[name] = int(schema[name])
    if schema.get("type") == "string" and not {"format", "enum"} & schema.keys():
        schema.setdefault("pattern", NO_NUL)
    if "$ref" in schema:
        parameter["schema"] = {name: schema[name] for name in schema if name in ("$ref", "default")}
    for name in ("deprecated", "allowEmptyValue", "allowReserved"):
        parameter.pop(name, None)
    parameter |= PARAMETERS.get(f"{operation}.{parameter['name']}") or PARAMETERS.get(parameter["name"], {})


# -- examples ---------------------------------------------------------------------------------------------------------


def example_of(shape: Any) -> Any:
    """What is sent of this shape, whole: the first example of a model, else one composed of its fields' examples."""
    examples = _given(shape)
    given = examples[0] if examples else {name: _of_field(shape, name, field) for name, field in _fields(shape)}
    return shape.model_validate(given).model_dump(mode="json", by_alias=True)


def _given(shape: Any) -> list[Any]:
    extra = shape.model_config.get("json_schema_extra")
    return list(extra.get("examples", ())) if isinstance(extra, dict) else []


def _fields(shape: Any) -> list[tuple[str, FieldInfo]]:
    return [(field.alias or name, field) for name, field in shape.model_fields.items()]


def _of_field(shape: Any, name: str, field: FieldInfo) -> Any:
    if field.examples:
        return field.examples[0]
    nested = _of_type(field.annotation)
    if nested is not None:
        return nested
    if field.is_required():
        raise ValueError(f"{shape.__name__}.{name} has no example. Remedy: Field(examples=[…]), or one of the model.")
    return field.get_default(call_default_factory=True)


def _of_type(annotation: Any) -> Any:
    """Of a model, or of what holds one; None for the rest."""
    if _is_model(annotation):
        return example_of(annotation)
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin in (list, tuple) and parts and _is_model(parts[0]):
        return [example_of(parts[0])]
    if origin in (Union, types.UnionType):
        return next((example_of(one) for one in parts if _is_model(one)), None)
    return None


def _event_schema(shape: Any, reference: Mapping[str, str]) -> dict[str, Any]:
    """Of each event of a stream: its data are JSON, written as text. A model without data is the data."""
    data = f"{reference['$ref']}/properties/data" if "data" in shape.model_fields else reference["$ref"]
    return {
        "type": "object",
        "description": "One event of many.",
        "properties": {
            "id": {"type": "string", "description": "For Last-Event-ID."},
            "event": {"type": "string"},
            "data": {"type": "string", "contentMediaType": "application/json", "contentSchema": {"$ref": data}},
        },
        "required": ["event", "data"],
    }


def _as_event(shape: Any) -> dict[str, str]:
    """An event of a stream, as its parts."""
    example = example_of(shape)
    if "data" not in shape.model_fields:
        example = {"id": 1, "event": shape.__name__.lower(), "data": example}
    return {
        "id": str(example["id"]),
        "event": str(example["event"]),
        "data": orjson.dumps(example["data"]).decode(),
    }
