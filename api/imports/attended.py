"""A user's attended list from setlist.fm's API 1.0, page by page, with Gigz's key: two requests a second, 1,440 a day.

    GET /rest/1.0/user/{name}/attended?p=1    x-api-key, Accept: application/json
    {"type": "setlists", "itemsPerPage": 20, "page": 1, "total": 415, "setlist": [...]}

Described at https://api.setlist.fm/docs/1.0/resource__1.0_user__userId__attended.html. A page becomes lines of JSON, a
setlist each, which `documents.json_records` reads.

Errors
    ImportFailed    unknown_user, too_many_pages, service_away: with the remedy
    QuotaUsed       no request with this key any more today
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from urllib.parse import quote

import httpx
import orjson

from api.imports.documents import too_many_pages
from api.imports.shapes import Code, ImportFailed, Limits
from deploy.turns import means_the_day

HOST = "https://api.setlist.fm"
SPIDER = "setlistfm_attended"
"""As `GIGZ_SOURCE_MIRRORS` calls it: another address for the same API."""
EVERY_S, A_DAY = 0.5, 1_440
"""What setlist.fm lets a key do, as its spiders say it, too."""
LONGEST_PAGE = 5_000_000
"""Bytes; twenty setlists have some forty thousand."""
TIMEOUT_S = 20.0
TRIES = 4
LONGEST_PAUSE_S = 30.0
"""A service that wants us to wait for longer is away."""


class QuotaUsed(Exception):
    """No request with this key any more today."""


class Turns(Protocol):
    """Who may ask: one at a time, each EVERY_S after the one before, A_DAY in a day, in all processes together."""

    def turn(self) -> AbstractAsyncContextManager[None]:
        """Held while a request is made. QuotaUsed."""
        ...

    async def pause(self, seconds: float) -> None:
        """Nobody asks for so long: the service said so."""
        ...

    async def use_up(self) -> None:
        """Nobody asks any more today: the service said so."""
        ...


@dataclass(frozen=True, slots=True)
class Page:
    """Setlists as lines of JSON, and how many pages there are."""

    lines: bytes
    pages: int


class AttendedList:
    """One user's list."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        user: str,
        key: str,
        turns: Turns,
        limits: Limits | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._client, self._user, self._turns, self._sleep = client, user, turns, sleep
        self._headers = {"x-api-key": key, "accept": "application/json"}
        self._limits = limits or Limits()

    async def page(self, number: int) -> Page:
        """One page, from 1. A page beyond the last has no lines. ImportFailed; QuotaUsed."""
        for attempt in range(TRIES):
            async with self._turns.turn():
                status, body, asked_s = await self._get(number)
            if status == 200:
                return self._read(body)
            if status == 404:
                if number > 1:
                    return Page(b"", number - 1)
                raise ImportFailed(
                    Code.UNKNOWN_USER,
                    f"setlist.fm knows no attended shows of {self._user!r}. Remedy: write the name as it stands in the "
                    "address of the profile, setlist.fm/user/NAME",
                )
            if status in (401, 403):
                raise _away("does not let Gigz in", "tell whoever runs this Gigz: the key is wrong")
            if status == 429 and means_the_day(asked_s, body, keyed=True):
                await self._turns.use_up()
                raise QuotaUsed
            if asked_s is not None:
                await self._turns.pause(asked_s)
                if asked_s > LONGEST_PAUSE_S:
                    break
            await self._sleep(max(asked_s or 0.0, EVERY_S * 2**attempt))
        raise _away("does not answer", "try again later, with PATCH {} of this import: what was fetched is kept")

    async def _get(self, number: int) -> tuple[int, bytes, float | None]:
        """Status (0: no answer), body, seconds for which it asked to be left alone."""
        address = f"/rest/1.0/user/{quote(self._user, safe='')}/attended"
        body = bytearray()
        try:
            async with asyncio.timeout(TIMEOUT_S):
                async with self._client.stream("GET", address, params={"p": number}, headers=self._headers) as answer:
                    async for piece in answer.aiter_bytes():
                        body += piece
                        if len(body) > LONGEST_PAGE:
                            raise _away("answers with too much", "try again later")
        except (httpx.HTTPError, TimeoutError):
            return 0, b"", None
        wait = answer.headers.get("retry-after", "") if answer.status_code in (429, 503) else ""
        return answer.status_code, bytes(body), float(wait) if wait.isdigit() else None

    def _read(self, body: bytes) -> Page:
        try:
            told = orjson.loads(body)
            shows = [one for one in told["setlist"] if isinstance(one, dict)]
            pages = -(-int(told["total"]) // max(1, int(told["itemsPerPage"])))
        except (ValueError, TypeError, KeyError):
            raise _away("answers with something else than setlists", "try again later") from None
        if pages > self._limits.pages:
            raise too_many_pages(f"the list of {self._user}", self._limits)
        return Page(b"".join(orjson.dumps(one) + b"\n" for one in shows), pages)


def wants_peace() -> ImportFailed:
    """service_away: it said Retry-After, to us or to a spider, and longer than is waited for."""
    return _away(
        "wants to be left alone for a while", "try again later, with PATCH {} of this import: what was fetched is kept"
    )


def quota_used(done: int, pages: int, until: datetime) -> ImportFailed:
    """The day is used up; what is to be told while the list waits for the next one."""
    return ImportFailed(
        Code.QUOTA_USED,
        f"Gigz has asked setlist.fm as often as it may in a day; {done:,} of {pages:,} pages are fetched and kept. "
        f"Remedy: none is needed, it goes on by itself after {until:%Y-%m-%d %H:%M} UTC; or export the list there, and "
        "upload the file",
    )


def _away(what: str, remedy: str) -> ImportFailed:
    return ImportFailed(Code.SERVICE_AWAY, f"setlist.fm {what}. Remedy: {remedy}")
