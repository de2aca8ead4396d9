"""GET and DELETE /v1/me, GET /v1/erasures/{receipt_id}: who a token is, the end of an account, and its receipt.

The end is one transaction: the user stands in the ledger and the request beside it, or nothing happened. From then on
no token of the user is answered, and nobody writes for the user; the work itself takes a minute or two and is done by
the active scheduler (deploy.erasing.requests draws the states). The receipt needs no account: its id is 122 random bits
that were told to nobody else, and it names no one.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from litestar import Response, Router, delete, get
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from pydantic import BaseModel, ConfigDict, Field, StrictStr

from api.answers import Answer
from api.calls import Key
from api.erased import RECEIPT
from api.errors import AnyRequest, ConflictError, Detail, NotFoundError, UnavailableError, told
from api.services import Caller, Services
from api.tokens import DEVELOPMENT
from deploy.erasing import ErasureError, requests
from deploy.erasing.requests import Stands

AN_ID = "5f3c9a1e0b7d4c22a96e8f10d4b7c3aa"
"""As ids look that Gigz gives; nobody's who tries the examples."""


class Me(BaseModel):
    """Who is signed in."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"user": AN_ID}]})

    user: str = Field(description="Your id, opaque: for a friend who is to follow you, and to be typed to end it all.")


class Farewell(BaseModel):
    """That it is meant."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"confirm": AN_ID}]})

    confirm: StrictStr = Field(max_length=128, description="Your id, as GET /v1/me tells it, typed.")


class Erasure(BaseModel):
    """How far an erasure is."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "receipt_id": "0c7d3f0e-8d0a-4a53-8ef2-9f39a0f6a5a1",
                    "address": "/v1/erasures/0c7d3f0e-8d0a-4a53-8ef2-9f39a0f6a5a1",
                    "state": "waiting",
                    "erased_at": "2026-03-01T12:00:00Z",
                    "done_at": None,
                    "receipt": None,
                }
            ]
        }
    )

    receipt_id: UUID
    address: str = Field(description="Answers without any account; keep it.")
    state: Stands = Field(description="waiting, under_way, done.")
    erased_at: datetime = Field(description="From then on nothing was written for the user, and no token answered.")
    done_at: datetime | None = Field(default=None, description="When a search of every store found nothing left.")
    receipt: dict[str, Any] | None = Field(
        default=None, description="Once done: what was removed, what was looked at, what expires when. Names no one."
    )


@get("/", summary="Your id", responses=told())
async def read_me(user: NamedDependency[str]) -> Answer[Me]:
    """Given to a friend, it is what they follow."""
    return Answer(data=Me(user=user))


@delete("/", status_code=202, summary="Erase the account and all that there is of it", responses=told(400, 409))
async def erase_me(
    request: AnyRequest,
    services: NamedDependency[Services],
    user: NamedDependency[str],
    data: JSONBody[Farewell],
    idempotency_key: Key = None,
) -> Response[Answer[Erasure]]:
    """Cannot be undone. Tokens are refused from this answer on; what is left is told at `address`."""
    if data.confirm != user:
        raise ConflictError(
            "Nothing was erased: what was typed is not your id.",
            [Detail(field="confirm", message="type your id, as GET /v1/me tells it")],
        )
    erasure = await leave(services, request.user)
    return Response(Answer(data=erasure), status_code=202, headers={"location": erasure.address})


async def leave(services: Services, caller: Caller) -> Erasure:
    """Ask for the end of the caller's account; all or nothing. UnavailableError while somebody writes for long."""
    subject = caller.claims.subject
    development = services.settings.environment == "development" and subject.startswith(DEVELOPMENT)
    try:
        asked = await requests.ask(services.engine, caller.user, None if development else subject, services.clock())
    except ErasureError as error:
        raise UnavailableError("Somebody is writing for a long time. Nothing was erased; try again.") from error
    return Erasure(
        receipt_id=asked.receipt_id,
        address=f"{RECEIPT}/{asked.receipt_id}",
        state=Stands.WAITING,
        erased_at=asked.erased_at,
    )


@get(
    "/{receipt_id:uuid}",
    summary="How far an erasure is, and its receipt",
    responses=told(404, missing=["erasure"]),
)
async def read_erasure(services: NamedDependency[Services], receipt_id: FromPath[UUID]) -> Answer[Erasure]:
    """Without any token: whoever was erased has none."""
    return Answer(data=await erasure_of(services, receipt_id))


async def erasure_of(services: Services, receipt_id: UUID) -> Erasure:
    """How far it is. NotFoundError for an id that is no receipt's."""
    async with services.engine.connect() as connection:
        found = await requests.told_by(connection, receipt_id)
    if found is None:
        raise NotFoundError("erasure", f"There is no erasure {receipt_id}.")
    return Erasure(
        receipt_id=found.receipt_id,
        address=f"{RECEIPT}/{found.receipt_id}",
        state=found.stands,
        erased_at=found.erased_at,
        done_at=found.done_at,
        receipt=found.receipt,
    )


router = Router("/v1/me", route_handlers=[read_me, erase_me], opt={"credential": "bearer"}, tags=["account"])
erasures_router = Router(RECEIPT, route_handlers=[read_erasure], tags=["account"])
