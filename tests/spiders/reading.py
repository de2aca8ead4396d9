"""Saved answers as the spiders get them."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from scrapy import Request
from scrapy.http import HtmlResponse, TextResponse

from schemas.raw import RawMessage
from spiders.errand import Errand
from spiders.formats.base import SourceSpider, Unreadable

ANSWERS = Path(__file__).parent / "answers"
NOW = datetime(2024, 2, 1, 12, tzinfo=UTC)
S = TypeVar("S", bound=SourceSpider)


def spider_for(kind: type[S], start_url: str = "", *, api_key: str = "", now: datetime = NOW, **errand: Any) -> S:
    """A spider whose clock stands still; `errand`: fields of its errand."""
    return kind(errand=Errand(start_url=start_url, **errand), api_key=api_key, clock=lambda: now)


def answer(name: str, url: str, headers: Mapping[str, str] | None = None) -> TextResponse:
    """A file of `answers/` as if it came from this address."""
    body = (ANSWERS / name).read_bytes()
    kind = HtmlResponse if name.endswith(".html") else TextResponse
    return kind(url, body=body, headers=dict(headers or {}), encoding="utf-8", request=Request(url))


def messages(found: list[Any]) -> list[RawMessage]:
    """The messages among what a spider gave."""
    return [one for one in found if isinstance(one, RawMessage)]


def unreadable(found: list[Any]) -> list[Unreadable]:
    """What it could not make a message of."""
    return [one for one in found if isinstance(one, Unreadable)]


def followed(found: list[Any]) -> list[str]:
    """The addresses it asks for next."""
    return [one.url for one in found if isinstance(one, Request)]
