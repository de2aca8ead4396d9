"""listing, venue -> concerts, through the outbox."""

from collections.abc import Sequence

from schemas.listing import Listing
from schemas.outgoing import Outgoing
from schemas.reference import Venue
from streams.record import Record, read
from streams.stage import Clock, Handle
from streams.store_resolve import STAGE, ResolveStore

READS: tuple[type[Listing] | type[Venue], ...] = (Listing, Venue)


def handler(message: type[Listing] | type[Venue], store: ResolveStore, clock: Clock) -> Handle:
    """The stage of one topic: what can be read is applied, the rest is rejected."""

    async def handle(batch: Sequence[Record]) -> list[Outgoing]:
        good, rejections = read(batch, message, stage=STAGE, at=clock())
        await store.apply([(one, record.cause) for one, record in good])
        return rejections

    return handle
