"""Every answer that is not a success: one envelope, one code for each kind.

ApiError
    InvalidError             400 VALIDATION_ERROR     names the field and what would be right
    UnauthorizedError        401 UNAUTHORIZED         no token, or one that was not given out by us
      TokenExpiredError      401 TOKEN_EXPIRED
    ForbiddenError           403 FORBIDDEN
    NotFoundError            404 <THING>_NOT_FOUND    also somebody else's thing: its existence is not told
    ConflictError            409 CONFLICT             details are the current state
    RateLimitedError         429 RATE_LIMITED         with Retry-After
    UnavailableError         503 UNAVAILABLE          something that we lean on does not answer
Routing adds ROUTE_NOT_FOUND (404) and METHOD_NOT_ALLOWED (405, with Allow); whatever else happens is INTERNAL_ERROR
(500), told in the log only.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, get_args

import orjson
import structlog
from litestar import Request, Response
from litestar._signature.types import ExtendedMsgSpecValidationError
from litestar.datastructures import State
from litestar.exceptions import HTTPException, SerializationException
from litestar.handlers import BaseRouteHandler
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example
from litestar.response import Template
from litestar.types import ExceptionHandlersMap
from pydantic import BaseModel
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from deploy.logs import places

log = structlog.get_logger()

AnyRequest = Request[Any, Any, State]
OPS = "/ops"
PAGES = (
    "/inbox",
    "/open",
    "/decisions",
    "/imports",
    "/journal",
    "/search",
    "/friends",
    "/settings",
    "/session",
    "/sign",
    "/farewell",
)
"""Where a person reads the answer, however it was asked for."""
PROGRAMS = ("/v1/", "/health", "/ready", "/metrics", "/schema")
"""Where a program does; anywhere else a person who asks with a browser."""


MOST_BODY_MB = 2
"""Two hundred entries with long notes; more is an import."""


class Detail(BaseModel):
    """One field and what is to be said of it."""

    field: str
    message: str


class Problem(BaseModel):
    """What went wrong."""

    code: str
    message: str
    details: list[Detail] = []


class ErrorAnswer(BaseModel):
    """The envelope of every error."""

    error: Problem


def told(*statuses: int, missing: Iterable[str] = ()) -> dict[int, ResponseSpec]:
    """The error answers of a route, for its OpenAPI entry. `missing`: the things that a 404 can be of, as NotFoundError
    names them; each is an example.
    """
    return {
        status: ResponseSpec(ErrorAnswer, description=_MEANING[status], examples=_examples(status, tuple(missing)))
        for status in (*statuses, 401, 403, 429, 500, 503)
    }


def _examples(status: int, missing: tuple[str, ...]) -> list[Example]:
    problems = _PROBLEMS.get(status, ())
    if status == 404:
        problems = tuple(
            Problem(code=f"{thing.upper()}_NOT_FOUND", message=f"There is no {thing} {_SOME_ID}.") for thing in missing
        )
    return [
        Example(id=one.code.lower(), summary=one.message, value=ErrorAnswer(error=one).model_dump(mode="json"))
        for one in problems
    ]


_MISSING = re.compile(r"^Missing required \w+ parameter '([^']+)'")
_MEANING = {
    400: "VALIDATION_ERROR: each detail names a field and what would be right",
    401: "UNAUTHORIZED or TOKEN_EXPIRED",
    403: "FORBIDDEN: the token's role is not for this",
    404: "<THING>_NOT_FOUND: there is none, or it is somebody else's",
    409: "CONFLICT, with the current state",
    429: "RATE_LIMITED, with Retry-After",
    500: "INTERNAL_ERROR",
    503: "UNAVAILABLE: try again in a moment",
}
_SOME_ID = "8b7cf6a0-3f3e-5d6c-8a92-2a1f0e3b7c11"
_PROBLEMS = {
    400: (
        Problem(
            code="VALIDATION_ERROR",
            message="The request is not valid.",
            details=[Detail(field="take", message="Expected `int` <= 100")],
        ),
    ),
    401: (
        Problem(code="UNAUTHORIZED", message="The token is not valid."),
        Problem(code="TOKEN_EXPIRED", message="The token has expired."),
    ),
    403: (Problem(code="FORBIDDEN", message="This is for people with the role operator."),),
    409: (
        Problem(
            code="CONFLICT",
            message=f"This entry is already dismissed. Undo that first: POST /v1/suggestions/{_SOME_ID}/undo.",
            details=[
                Detail(field="decision", message="dismissed"),
                Detail(field="entry_id", message="e1"),
                Detail(field="suggestion_id", message=_SOME_ID),
                Detail(field="concert_id", message="0e4b6f4e-0a7b-5c6f-9d0c-5b8a8f1f2d33"),
                Detail(field="decision_id", message="4f6d7a52-9f0e-4a53-8ef2-9f39a0f6a5a1"),
                Detail(field="decided_at", message="2026-03-01T12:00:00+00:00"),
            ],
        ),
    ),
    429: (Problem(code="RATE_LIMITED", message="Too many requests; try again in 40 s."),),
    500: (
        Problem(
            code="INTERNAL_ERROR",
            message="Something went wrong on our side. The X-Request-Id of this answer finds it.",
        ),
    ),
    503: (Problem(code="UNAVAILABLE", message="The database does not answer. Try again in a moment."),),
}


class ApiError(Exception):
    """An answer that is not a success."""

    status = 500
    code = "INTERNAL_ERROR"

    def __init__(
        self, message: str, details: Iterable[Detail] = (), headers: Mapping[str, str] | None = None, code: str = ""
    ) -> None:
        super().__init__(message)
        self.message = message
        self.details = tuple(details)
        self.headers = dict(headers or {})
        self.code = code or type(self).code


class InvalidError(ApiError):
    """The request is not what it should be."""

    status = 400
    code = "VALIDATION_ERROR"


class UnauthorizedError(ApiError):
    """Nobody is signed in."""

    status = 401
    code = "UNAUTHORIZED"


class TokenExpiredError(UnauthorizedError):
    """Somebody was."""

    code = "TOKEN_EXPIRED"


class ForbiddenError(ApiError):
    """Signed in, but not for this."""

    status = 403
    code = "FORBIDDEN"


class NotFoundError(ApiError):
    """There is none, or it is not the caller's."""

    status = 404

    def __init__(self, thing: str, message: str) -> None:
        super().__init__(message, code=f"{thing.upper()}_NOT_FOUND")


class ConflictError(ApiError):
    """Decided otherwise before."""

    status = 409
    code = "CONFLICT"


class RateLimitedError(ApiError):
    """Too many requests of one kind from one caller."""

    status = 429
    code = "RATE_LIMITED"

    def __init__(self, seconds: int) -> None:
        super().__init__(f"Too many requests; try again in {seconds} s.", headers={"Retry-After": str(seconds)})


class UnavailableError(ApiError):
    """Try again later."""

    status = 503
    code = "UNAVAILABLE"


def handlers() -> ExceptionHandlersMap:
    """Exception -> answer, for the whole application."""
    return {
        ApiError: _answer,
        HTTPException: lambda request, error: _answer(request, _of_framework(request, error)),
        # The pool or PostgreSQL itself: a bad world, which passes; not a bug of ours.
        OperationalError: _away,
        InterfaceError: _away,
        PoolTimeoutError: _away,
        Exception: _bug,
    }


def _answer(request: AnyRequest, error: ApiError) -> Response[Any]:
    path = request.url.path
    operator = path == OPS or path.startswith(f"{OPS}/")
    browser = "text/html" in request.headers.get("accept", "") and not path.startswith(PROGRAMS)
    if path.startswith(PAGES) or browser:
        if error.status == 401 and _followed_from_elsewhere(request):
            return Template("onward.html", context={"address": _own_address(request)}, status_code=error.status)
        context = {"error": error, "operator": operator}
        return Template("problem.html", context=context, status_code=error.status, headers=error.headers)
    problem = Problem(code=error.code, message=error.message, details=list(error.details))
    return Response(ErrorAnswer(error=problem), status_code=error.status, headers=error.headers)


def _followed_from_elsewhere(request: AnyRequest) -> bool:
    """Whether a link of another site led here, with which a browser sends no strict cookie: asked again, it does."""
    told = request.headers
    return request.method == "GET" and (told.get("sec-fetch-site"), told.get("sec-fetch-mode")) == (
        "cross-site",
        "navigate",
    )


def _own_address(request: AnyRequest) -> str:
    """What was asked for, on this host whatever it looks like."""
    query = request.url.query
    return "/" + request.url.path.lstrip("/\\") + (f"?{query}" if query else "")


def _away(request: AnyRequest, error: Exception) -> Response[Any]:
    code = getattr(getattr(error, "orig", None), "sqlstate", None)
    log.error("postgres_away", error=type(error).__name__, code=code)
    return _answer(request, UnavailableError("The database does not answer. Try again in a moment."))


def _bug(request: AnyRequest, error: Exception) -> Response[Any]:
    log.error("internal_error", path=request.scope.get("path_template", ""), **places(error))
    return _answer(request, ApiError("Something went wrong on our side. The X-Request-Id of this answer finds it."))


def _of_framework(request: AnyRequest, error: HTTPException) -> ApiError:
    """Litestar's own exceptions in our words; none of its texts that repeat internals."""
    status = error.status_code
    if status == 404:
        return NotFoundError("route", f"There is nothing at {request.url.path}.")
    if status == 405:
        refused = ApiError(f"{request.method} is not possible here.", headers=error.headers, code="METHOD_NOT_ALLOWED")
        refused.status = 405
        return refused
    if status == 413:
        return InvalidError("The body is too large.", [Detail(field="body", message=f"at most {_most_mb(request)} MB")])
    if status == 500 and isinstance(error.__cause__, ExtendedMsgSpecValidationError):
        # A field of the body that is called like one of our dependencies (user, trace): the framework takes the
        # caller's mistake for ours.
        return InvalidError(
            "The request is not valid.",
            [
                Detail(field=".".join(map(str, one["loc"])) or "body", message=one["msg"].removeprefix("Value error, "))
                for one in error.__cause__.errors
            ],
        )
    if 400 <= status < 500:
        return InvalidError("The request is not valid.", _details(request, error))
    log.error("internal_error", path=request.scope.get("path_template", ""), **places(error))
    return ApiError("Something went wrong on our side. The X-Request-Id of this answer finds it.")


def _most_mb(request: AnyRequest) -> int:
    """What this route takes: imports take more than the others."""
    most = request.route_handler.resolve_request_max_body_size()
    return MOST_BODY_MB if most is None else int(most) // 1_048_576


def _details(request: AnyRequest, error: HTTPException) -> list[Detail]:
    if isinstance(error.extra, list):
        return [_of_field(request, one.get("key", "body"), one.get("message", "")) for one in error.extra]
    missing = _MISSING.search(error.detail)
    if missing:
        return [Detail(field=missing[1], message="is required")]
    if isinstance(error.__cause__, SerializationException):
        return [Detail(field="body", message=f"is not JSON: {error.detail}")]
    return [Detail(field="request", message=error.detail)]


def _of_field(request: AnyRequest, key: str, message: str) -> Detail:
    if (key, message) == ("data", "'data'"):  # a KeyError, in the framework's words: no body came
        return Detail(field="body", message=f"is missing: send JSON{_example(request)}")
    if key == "body" and message.startswith("Input should be a valid dictionary"):
        return Detail(field="body", message=f"must be a JSON object{_example(request)}")
    return Detail(field=_sent_name(request, key), message=message.removeprefix("Value error, "))


def _example(request: AnyRequest) -> str:
    """The shortest of the examples that the OpenAPI document has of the body."""
    model = body_of(request.route_handler)
    extra = None if model is None else model.model_config.get("json_schema_extra")
    examples = [orjson.dumps(one).decode() for one in extra.get("examples", ())] if isinstance(extra, dict) else []  # type: ignore[union-attr]
    return f", for example {min(examples, key=len)}" if examples else ""


def body_of(handler: BaseRouteHandler) -> type[BaseModel] | None:
    """The model of a handler's body, which may be one that can be left out. None: it has none, or one without model."""
    data = handler.parsed_fn_signature.parameters.get("data")
    shapes = () if data is None else (data.annotation, *get_args(data.annotation))
    return next((one for one in shapes if isinstance(one, type) and issubclass(one, BaseModel)), None)


def _sent_name(request: AnyRequest, key: str) -> str:
    """A parameter's name as the caller sends it; fields of a body have theirs already."""
    parameter = request.route_handler.parsed_fn_signature.parameters.get(key)
    return getattr(parameter and parameter.kwarg_definition, "name", None) or key
