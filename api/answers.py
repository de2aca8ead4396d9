"""The envelope of every success, and cursors."""

import base64
import binascii
from typing import Annotated, Any, Generic, TypeVar

import orjson
from litestar.params import QueryParameter
from pydantic import BaseModel, Field

from api.errors import Detail, InvalidError

TAKE = 20
MOST = 100

T = TypeVar("T")

Take = Annotated[int, QueryParameter(name="take", ge=1, le=MOST, description="How many at once.")]
Year = Annotated[int | None, QueryParameter(name="year", ge=1900, le=2200, description="Of the night.")]
Cursor = Annotated[
    str | None, QueryParameter(name="cursor", max_length=1_000, description="`meta.next_cursor` of the answer before.")
]


class NoMeta(BaseModel):
    """There is nothing to add."""


class Answer(BaseModel, Generic[T]):
    """One thing."""

    data: T
    meta: NoMeta = NoMeta()


class PageMeta(BaseModel):
    """Where a list goes on."""

    next_cursor: str | None = Field(examples=[None], description="Send it as `cursor`; null: that was all.")
    take: int = Field(examples=[20])


class Page(BaseModel, Generic[T]):
    """A part of a list."""

    data: list[T]
    meta: PageMeta


def cursor_of(place: list[Any]) -> str:
    """A place in a list, opaque to callers."""
    return base64.urlsafe_b64encode(orjson.dumps(place)).decode().rstrip("=")


def place_of(cursor: str, *shape: type) -> list[Any]:
    """What `cursor_of` was given. InvalidError when it is not one of ours."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        place = orjson.loads(base64.b64decode(padded.encode("ascii"), altchars=b"-_", validate=True))
    except (ValueError, binascii.Error):
        place = None
    if not isinstance(place, list) or [type(one) for one in place] != list(shape):
        raise InvalidError(
            "The cursor is not valid.",
            [Detail(field="cursor", message="take meta.next_cursor of the answer before, unchanged")],
        )
    return place


def plain(name: str, value: str | None) -> str | None:
    """The text of a filter, if PostgreSQL can hold it: no NUL."""
    if value is not None and "\x00" in value:
        raise InvalidError("The request is not valid.", [Detail(field=name, message="must not contain NUL")])
    return value
