"""The stages chained without Kafka: what one publishes is handed to the next until nothing moves."""

from collections.abc import Iterable

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from schemas.concert import Concert
from schemas.decision import Decision
from schemas.history import Entry, Rematch
from schemas.listing import Listing
from schemas.message import Message
from schemas.outgoing import Origin, Outgoing, outgoing
from schemas.reference import Artist, Venue
from schemas.suggestion import Suggestions
from streams import match, rematch, resolve
from streams.record import Record
from streams.reference import NameStore
from streams.stage import Handle
from streams.store_match import MatchStore
from streams.store_resolve import ResolveStore
from tests.streams.conftest import rows
from tests.streams.support import clock


class Flow:
    """resolve, the concert side and match on one database."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine
        self.concerts = ResolveStore(engine, 8)
        self.store = MatchStore(engine, 8, clock)
        self.published: list[Outgoing] = []
        self._offset = 0
        names = NameStore(engine)
        self._handlers: dict[str, tuple[Handle, ...]] = {
            Artist.topic: (rematch.names_handler(Artist, names, self.store, clock),),
            Venue.topic: (
                resolve.handler(Venue, self.concerts, clock),
                rematch.names_handler(Venue, names, self.store, clock),
            ),
            Listing.topic: (resolve.handler(Listing, self.concerts, clock),),
            Concert.topic: (rematch.handler(self.store, clock),),
            Entry.topic: (match.entries_handler(Entry, self.store, clock),),
            Decision.topic: (match.again_handler(Decision, self.store, clock),),
            Rematch.topic: (match.again_handler(Rematch, self.store, clock),),
        }

    async def send(self, messages: Iterable[Message | Outgoing]) -> None:
        """Hand these on as one batch for each topic, then what follows from them, until nothing is left."""
        waiting = [m if isinstance(m, Outgoing) else outgoing(m, trace="t", stage="test") for m in messages]
        while waiting:
            following: list[Outgoing] = []
            for topic, handles in self._handlers.items():
                batch = [self._record(one) for one in waiting if one.topic == topic]
                for handle in handles if batch else ():
                    following += await handle(batch)
            following += await self._from_outbox()
            self.published += following
            waiting = following

    def _record(self, one: Outgoing) -> Record:
        self._offset += 1
        return Record(Origin(one.topic, 0, self._offset), one.key, one.value, one.headers)

    async def _from_outbox(self) -> list[Outgoing]:
        async with self.engine.begin() as connection:
            found = await connection.execute(text("select * from state.outbox order by id"))
            records = [Outgoing(r.topic, r.key, r.partition_by, r.value, r.headers) for r in found]
            await connection.execute(text("delete from state.outbox"))
        return records

    async def suggestions(self) -> dict[tuple[str, str], Suggestions]:
        """Every entry's present set; rev and time left out."""
        found = await rows(self.engine, "select cast(body as text) from state.suggestions")
        sets = [Suggestions.model_validate_json(str(body)) for (body,) in found]
        return {(s.user, s.entry_id): s.model_copy(update={"rev": 0, "made_at": None}) for s in sets}

    async def rev(self, user: str, entry_id: str) -> int:
        """How often an entry's set has changed."""
        ((rev,),) = await rows(
            self.engine, "select rev from state.suggestions where user_id = :u and entry_id = :e", u=user, e=entry_id
        )
        return int(str(rev))

    async def decide(self, decision: Decision) -> None:
        """As the API does: entry row locked, decision and outbox row in one transaction; then let it flow."""
        async with self.engine.begin() as connection:
            await insert_decision(connection, decision)
        await self.send([decision])


async def insert_decision(connection: object, decision: Decision) -> None:
    """The API's write."""
    await connection.execute(  # type: ignore[attr-defined]
        text("select 1 from state.entries where user_id = :user and entry_id = :entry for update"),
        {"user": decision.user, "entry": decision.entry_id},
    )
    await connection.execute(  # type: ignore[attr-defined]
        text(
            """
            insert into state.decisions
                (decision_id, user_id, entry_id, suggestion_id, concert_id, action, decided_at, body)
            values (:id, :user, :entry, :suggestion, :concert, :action, :at, cast(:body as jsonb))
            """
        ),
        {
            "id": decision.decision_id,
            "user": decision.user,
            "entry": decision.entry_id,
            "suggestion": decision.suggestion_id,
            "concert": decision.concert_id,
            "action": decision.action.value,
            "at": decision.decided_at,
            "body": decision.to_bytes().decode(),
        },
    )
