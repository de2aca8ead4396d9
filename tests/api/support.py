"""Users of their own for each test, rows as match would leave them, and a clock that stands."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import orjson
from litestar import Litestar
from sqlalchemy import Row, insert, select
from sqlalchemy.ext.asyncio import AsyncEngine

from api.tokens import inbox_link, issue_token
from deploy.settings import Settings
from schemas.concert import Facts, Member
from schemas.history import Entry, EntryOrigin, Remembered
from schemas.ids import concert_id, listing_id, suggestion_id
from schemas.listing import Place
from schemas.suggestion import Band, Evidence, Nothing, Suggestion, Suggestions
from schemas.tables import DecisionRow, EntryRow, OutboxRow, SuggestionsRow

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
Client = httpx.AsyncClient


@asynccontextmanager
async def reach(app: Litestar, peer: str = "127.0.0.1") -> AsyncIterator[httpx.AsyncClient]:
    """A client of an application that was not started: what it finds of its stores is up to its settings."""
    transport = httpx.ASGITransport(app, client=(peer, 50_000))  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://gigz.test", timeout=10) as client:
        try:
            yield client
        finally:
            await app.state.services.close()


@dataclass
class Clock:
    """A clock that stands until it is moved."""

    now: datetime = START

    def __call__(self) -> datetime:
        return self.now

    def move(self, **by: float) -> None:
        self.now += timedelta(**by)


@dataclass(frozen=True)
class Story:
    """One user, and the tables of match and of decisions as far as they concern it."""

    engine: AsyncEngine
    settings: Settings
    user: str = field(default_factory=lambda: f"u-{uuid4().hex}")

    def headers(self, clock: Clock) -> dict[str, str]:
        return {"Authorization": f"Bearer {issue_token(self.settings, self.user, clock())}"}

    async def sign_in(self, client: Client, clock: Clock) -> None:
        """Open the inbox's link; the client keeps the cookie."""
        link = inbox_link(self.settings, "http://gigz.test", self.user, clock())
        answer = await client.get(link)
        assert answer.status_code == 303

    async def found(
        self, entry_id: str, *suggested: Suggestion, entry: Remembered | None = None, **more: Any
    ) -> list[UUID]:
        """An entry with its suggestions, as match stores them. The suggestions' ids."""
        remembered = entry or Remembered(artist="Radiohead", date="summer 1994")
        message = Entry.model_validate(
            remembered.model_dump(by_alias=True, exclude_none=True)
            | {"user": self.user, "entry_id": entry_id, "seen_at": START}
        )
        ranked = [one.model_copy(update={"rank": rank}) for rank, one in enumerate(suggested, 1)]
        found = Suggestions(
            user=self.user,
            entry_id=entry_id,
            rev=1,
            entry=remembered,
            suggestions=tuple(ranked),
            reason=None if suggested else Nothing.NO_CANDIDATE,
            **more,
        )
        async with self.engine.begin() as connection:
            await connection.execute(
                insert(EntryRow).values(
                    user_id=self.user,
                    entry_id=entry_id,
                    version=message.version,
                    origin=EntryOrigin.FEED,
                    keys=[],
                    body=orjson.loads(message.to_bytes()),
                )
            )
            await connection.execute(
                insert(SuggestionsRow).values(
                    user_id=self.user,
                    entry_id=entry_id,
                    rev=1,
                    suggestion_ids=[one.suggestion_id for one in suggested],
                    confidence=suggested[0].confidence if suggested else 0.0,
                    body=orjson.loads(found.to_bytes()),
                )
            )
        return [one.suggestion_id for one in suggested]

    def suggestion(self, entry_id: str, concert: Facts, confidence: float = 0.97, **more: Any) -> Suggestion:
        source = listing_id("setlistfm", f"{concert.artist} {concert.night}")
        concert_uuid = concert_id(source, concert.artist)
        band = Band.SURE if confidence >= 0.9 else Band.LIKELY if confidence >= 0.6 else Band.POSSIBLE
        told: dict[str, Any] = {
            "suggestion_id": suggestion_id(self.user, entry_id, concert_uuid),
            "rank": 1,
            "concert_id": concert_uuid,
            "concert": concert,
            "members": (
                Member(
                    listing_id=source,
                    source="setlistfm",
                    source_id="63de4613",
                    version=1,
                    act=concert.artist,
                    url="https://www.setlist.fm/setlist/63de4613.html",
                ),
            ),
            "confidence": confidence,
            "band": band,
            "why": (Evidence(field="artist", bits=14.2, text="same artist"),),
            "signature": "s1",
        }
        return Suggestion.model_validate(told | more)

    async def decisions(self) -> Sequence[Row[Any]]:
        async with self.engine.connect() as connection:
            rows = await connection.execute(
                select(DecisionRow.__table__).where(DecisionRow.user_id == self.user).order_by(DecisionRow.seq)
            )
            return rows.all()

    async def outbox(self) -> Sequence[Row[Any]]:
        async with self.engine.connect() as connection:
            rows = await connection.execute(
                select(OutboxRow.__table__).where(OutboxRow.partition_by == self.user).order_by(OutboxRow.id)
            )
            return rows.all()


READING = Facts(
    artist="Radiohead",
    night=date(1994, 8, 27),
    place=Place(name="Little John's Farm", city="Reading", country="GB"),
    songs=("Creep", "My Iron Lung"),
)
ASTORIA = Facts(artist="Radiohead", night=date(1994, 5, 27), place=Place(name="Astoria", city="London", country="GB"))
